export {
  CELU,
  ELU,
  GELU,
  GLU,
  Hardsigmoid,
  Hardswish,
  Hardtanh,
  LeakyReLU,
  LogSigmoid,
  LogSoftmax,
  Maxout,
  Mish,
  PReLU,
  type PReLUOptions,
  ReLU,
  ReLU6,
  SELU,
  Sigmoid,
  SiLU,
  Softmax,
  Softmin,
  Softplus,
  Softsign,
  Tanh,
} from './activation.ts';
export * as amp from './amp.ts';
export { MultiheadAttention, type MultiheadAttentionOptions } from './attention.ts';
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
export { AlphaDropout, Dropout, Dropout1d, Dropout2d } from './dropout.ts';
export { Embedding, type EmbeddingLayerOptions } from './embedding.ts';
export * as functional from './functional.ts';
export { History, type HistoryJSON } from './history.ts';
export * as init from './init.ts';
export { Bilinear, Identity, Linear, type LinearOptions } from './layers.ts';
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
export {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormLayerOptions,
  GroupNorm,
  type GroupNormLayerOptions,
  InstanceNorm1d,
  InstanceNorm2d,
  LayerNorm,
  type LayerNormLayerOptions,
  RMSNorm,
  type RMSNormLayerOptions,
} from './normalization.ts';
export {
  AdaptiveAvgPool1d,
  AdaptiveAvgPool2d,
  AdaptiveMaxPool1d,
  AdaptiveMaxPool2d,
  AvgPool1d,
  AvgPool2d,
  MaxPool1d,
  MaxPool2d,
  type MaxPoolLayerOptions,
} from './pooling.ts';
export type { Logs, Verbosity } from './progress.ts';
export {
  type CellOptions,
  GRU,
  GRUCell,
  LSTM,
  LSTMCell,
  type LSTMOptions,
  type RecurrentOptions,
  RNN,
  RNNCell,
  type RNNCellOptions,
  type RNNNonlinearity,
  type RNNOptions,
} from './recurrent.ts';
export { Flatten, PixelShuffle, PixelUnshuffle, Unflatten, Upsample, ZeroPad2d } from './shape.ts';
export type { SummaryInput } from './summary.ts';
export type {
  CompileOptions,
  EvaluateOptions,
  FitOptions,
  InputBatches,
  PredictOptions,
  WeightOptions,
} from './training.ts';
export {
  type DecoderCallOptions,
  type EncoderCallOptions,
  type EncoderLayerCallOptions,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
  type TransformerOptions,
} from './transformer.ts';
export * as utils from './utils.ts';
export type { ClassWeight } from './weights.ts';
