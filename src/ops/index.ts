// The ops as free functions: what `tensorloom/functional` exports, and the main entry as well.
export {
  type BinaryCrossEntropyOptions,
  type BinaryCrossEntropyWithLogitsOptions,
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  type KlDivOptions,
  klDiv,
  type LabelOptions,
  type MultiMarginLossOptions,
  multiMarginLoss,
  nllLoss,
} from './classification.ts';
export {
  arange,
  empty,
  emptyLike,
  eye,
  fromBuffer,
  full,
  fullLike,
  type HalfArray,
  linspace,
  type NestedNumbers,
  ones,
  onesLike,
  rand,
  randint,
  randLike,
  randn,
  randnLike,
  type TensorData,
  type TensorOptions,
  tensor,
  zeros,
  zerosLike,
} from './creation.ts';
export { einsum } from './einsum.ts';
export * from './functions.ts';
export type { IndexItem, IndexRange } from './indexing.ts';
export { cat, stack } from './joins.ts';
export type { Eigen, QR, RankOptions, SolveTriangularOptions, SVD } from './linalg.ts';
export {
  type GaussianNllLossOptions,
  gaussianNllLoss,
  type HuberLossOptions,
  huberLoss,
  type LossOptions,
  type LossReduction,
  l1Loss,
  mseLoss,
  type PoissonNllLossOptions,
  poissonNllLoss,
  type SmoothL1LossOptions,
  smoothL1Loss,
} from './losses.ts';
export type { UniqueOptions, UniqueValues } from './masks.ts';
export * from './methods.ts';
export { type MeshgridOptions, meshgrid, type RepeatInterleaveOptions } from './movement.ts';
export type {
  LinalgNormOptions,
  MatrixNormOptions,
  MatrixNormOrder,
  NormOptions,
  VectorNormOptions,
} from './norms.ts';
export * from './overloads.ts';
export { setPrintOptions } from './print.ts';
export type { IndexAddOptions, IndexPutOptions } from './puts.ts';
export { bernoulli } from './random.ts';
export {
  cosineEmbeddingLoss,
  hingeEmbeddingLoss,
  type MarginOptions,
  marginRankingLoss,
  type TripletMarginLossOptions,
  tripletMarginLoss,
} from './ranking.ts';
export {
  type ArgOptions,
  type DimOptions,
  type Extrema,
  type ValuesIndices,
  type VarianceOptions,
  variance,
} from './reductions.ts';
export { type MultinomialOptions, multinomial, randperm } from './sampling.ts';
export { fromGPUBuffer, type GPUBufferOptions, type GPUBufferRange } from './sharing.ts';
export type { SortOptions, TopkOptions } from './sorting.ts';
export type { ReduceOptions } from './structure.ts';
export type { PadMode, PadOptions } from './windows.ts';
