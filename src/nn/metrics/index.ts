/*
 * Figures of how good predictions are (as in torchmetrics): as classes that take in batches, and as functions of one batch.
 */
export { AUC, auc } from './auc.ts';
export {
  Accuracy,
  type Average,
  type AverageOptions,
  accuracy,
  ConfusionMatrix,
  confusionMatrix,
  F1Score,
  f1Score,
  Precision,
  precision,
  Recall,
  recall,
  TopKAccuracy,
  topKAccuracy,
} from './classification.ts';
export type { ClassOptions } from './labels.ts';
export { Accumulated, Metric, type MetricCall } from './metric.ts';
export {
  MeanAbsoluteError,
  MeanSquaredError,
  meanAbsoluteError,
  meanSquaredError,
  R2Score,
  r2Score,
} from './regression.ts';
