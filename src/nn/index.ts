export type { Batches, Samples } from './batches.ts';
export type { Callback, TrainingRun } from './callbacks/callback.ts';
export {
  type Checkpoint,
  type ModelCheckpoint,
  type ModelCheckpointOptions,
  modelCheckpoint,
  type SaveCheckpoint,
} from './callbacks/checkpoint.ts';
export { type CsvLogger, type CsvLoggerOptions, type CsvTarget, csvLogger } from './callbacks/csv-logger.ts';
export { type EarlyStopping, type EarlyStoppingOptions, earlyStopping } from './callbacks/early-stopping.ts';
export { type LRSchedulerOptions, lrScheduler, type Schedule } from './callbacks/lr-scheduler.ts';
export type { MonitorMode, MonitorOptions } from './callbacks/monitor.ts';
export { ModuleDict, ModuleList, Sequential } from './containers.ts';
export * as functional from './functional.ts';
export { History, type HistoryJSON } from './history.ts';
export * as init from './init.ts';
export {
  Dropout,
  Flatten,
  Linear,
  type LinearOptions,
  LogSoftmax,
  ReLU,
  Sigmoid,
  Softmax,
  Tanh,
} from './layers.ts';
export { BCEWithLogitsLoss, CrossEntropyLoss, MSELoss } from './losses.ts';
export * as metrics from './metrics/index.ts';
export type { Loss, LossFunction, MetricFunction, MetricLike, MetricName } from './metrics/named.ts';
export {
  type AnyModule,
  type BufferOptions,
  type LoadReport,
  type LoadStateDictOptions,
  Module,
  Parameter,
  type StateDict,
} from './module.ts';
export type { Logs, Verbosity } from './progress.ts';
export type { SummaryInput } from './summary.ts';
export type {
  CompileOptions,
  EvaluateOptions,
  FitOptions,
  InputBatches,
  PredictOptions,
  WeightOptions,
} from './training.ts';
export type { ClassWeight } from './weights.ts';
