export * as amp from './amp.ts';
export * as functional from './functional.ts';
export * as init from './init.ts';
export {
  Dropout,
  Flatten,
  Linear,
  type LinearOptions,
  LogSoftmax,
  ReLU,
  Sequential,
  Sigmoid,
  Softmax,
  Tanh,
} from './layers.ts';
export {
  BCELoss,
  BCEWithLogitsLoss,
  CosineEmbeddingLoss,
  CrossEntropyLoss,
  GaussianNLLLoss,
  HingeEmbeddingLoss,
  HuberLoss,
  KLDivLoss,
  L1Loss,
  LossModule,
  MarginRankingLoss,
  MSELoss,
  MultiMarginLoss,
  NLLLoss,
  PoissonNLLLoss,
  SmoothL1Loss,
  TripletMarginLoss,
} from './losses.ts';
export type { Loss, LossFunction, MetricFunction, MetricName } from './metrics.ts';
export {
  type AnyModule,
  type LoadReport,
  type LoadStateDictOptions,
  Module,
  Parameter,
  type StateDict,
} from './module.ts';
export {
  type Batches,
  type Callback,
  type CompileOptions,
  type EvaluateOptions,
  type FitOptions,
  History,
  type Logs,
  type PredictOptions,
  type TrainingRun,
  type Verbosity,
} from './training.ts';
export * as utils from './utils.ts';
