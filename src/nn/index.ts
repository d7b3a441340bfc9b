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
export { MultiheadAttention, type MultiheadAttentionOptions } from './attention.ts';
export { AlphaDropout, Dropout, Dropout1d, Dropout2d } from './dropout.ts';
export { Embedding, type EmbeddingLayerOptions } from './embedding.ts';
export * as functional from './functional.ts';
export * as init from './init.ts';
export { Bilinear, Identity, Linear, type LinearOptions, Sequential } from './layers.ts';
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
export {
  type CellOptions,
  GRU,
  GRUCell,
  LSTM,
  LSTMCell,
  type RecurrentOptions,
  RNN,
  RNNCell,
  type RNNCellOptions,
  type RNNNonlinearity,
  type RNNOptions,
} from './recurrent.ts';
export { Flatten, PixelShuffle, PixelUnshuffle, Unflatten, Upsample, ZeroPad2d } from './shape.ts';
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
