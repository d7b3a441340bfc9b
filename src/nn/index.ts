export { MultiheadAttention, type MultiheadAttentionOptions } from './attention.ts';
export { Embedding, type EmbeddingLayerOptions } from './embedding.ts';
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
export { LayerNorm, type LayerNormLayerOptions } from './normalization.ts';
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
