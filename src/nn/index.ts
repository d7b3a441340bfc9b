export {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvModuleOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeModuleOptions,
  type PaddingMode,
  type PerDim,
} from './convolution.ts';
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
export { BCEWithLogitsLoss, CrossEntropyLoss, MSELoss } from './losses.ts';
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
