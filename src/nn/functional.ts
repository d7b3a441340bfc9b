/*
 * What layers compute, as functions without state (`torch.nn.functional`). Ops of their own are exported as they are.
 */
import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { rand, zerosLike } from '../ops/creation.ts';
import { add, ge, mul } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { checkOptions, checkTensor, compose } from '../ops/record.ts';
import { checkProbability, dropped } from '../ops/sampling.ts';
import { reshape } from '../ops/structure.ts';
import type { Tensor } from '../tensor/tensor.ts';

export { glu, maxout, prelu, softmin } from '../ops/activations.ts';
export {
  type AttentionOptions,
  type MultiheadCallOptions,
  type MultiheadOptions,
  type MultiheadResult,
  multiHeadAttentionForward,
  scaledDotProductAttention,
} from '../ops/attention.ts';
export {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  crossEntropy,
  klDiv,
  multiMarginLoss,
  nllLoss,
} from '../ops/classification.ts';
export {
  type ConvOptions,
  type ConvTransposeOptions,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
} from '../ops/conv.ts';
export {
  celu,
  elu,
  gelu,
  hardsigmoid,
  hardswish,
  hardtanh,
  leakyRelu,
  logSigmoid,
  mish,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softplus,
  softsign,
  tanh,
} from '../ops/elementwise.ts';
export { type EmbeddingOptions, embedding } from '../ops/embedding.ts';
export { gaussianNllLoss, huberLoss, l1Loss, mseLoss, poissonNllLoss, smoothL1Loss } from '../ops/losses.ts';
export { bilinear, linear } from '../ops/matmul.ts';
export {
  type AffineOptions,
  type BatchNormOptions,
  batchNorm,
  type CosineSimilarityOptions,
  cosineSimilarity,
  type GroupNormOptions,
  groupNorm,
  instanceNorm,
  type LayerNormOptions,
  layerNorm,
  type NormalizeOptions,
  normalize,
  type RMSNormOptions,
  rmsNorm,
} from '../ops/normalization.ts';
export {
  type AdaptiveMaxPoolOptions,
  type AdaptiveSize,
  type AvgPool2dOptions,
  type AvgPoolOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool2d,
  type MaxPoolOptions,
  maxPool1d,
  maxPool2d,
  type PooledWithIndices,
  type PoolOptions,
} from '../ops/pooling.ts';
export {
  cosineEmbeddingLoss,
  hingeEmbeddingLoss,
  marginRankingLoss,
  tripletMarginLoss,
} from '../ops/ranking.ts';
export { logSoftmax, softmax } from '../ops/reductions.ts';
export {
  col2im as fold,
  type FoldOptions,
  type InterpolateOptions,
  type InterpolationMode,
  im2col as unfold,
  interpolate,
  pixelShuffle,
  pixelUnshuffle,
} from '../ops/resampling.ts';
export { flatten } from '../ops/structure.ts';
export { pad } from '../ops/windows.ts';

/** Options of `dropout`. */
export interface DropoutOptions {
  /** The probability with which an element is dropped; 0.5 unless given. */
  readonly p?: number | undefined;
  /** Off, the input comes back as it is; true unless given. */
  readonly training?: boolean | undefined;
}

/** @internal */
export { checkProbability };

/**
 * Sets elements to 0 at random and scales the others by 1 / (1 - p), so that the mean stays (`F.dropout`). The same elements are
 * dropped on every device for the same `manualSeed`.
 *
 * @throws UnsupportedError unless p is a probability.
 * @example
 * ```ts
 * const y = tl.nn.functional.dropout(tl.ones([4, 4]), { p: 0.25 });
 * ```
 */
export function dropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  checkOptions('dropout', options, ['p'], ['training']);
  const { p = 0.5, training = true } = options;
  checkProbability('dropout', p);
  checkTensor('dropout', x);
  return compose('dropout', () => (training && p > 0 ? dropped(x, p) : reshape(x, x.shape)));
}

/** Sets whole channels to 0: what lies behind the dims that an image or a signal has. */
function dropChannels(op: string, x: Tensor, options: DropoutOptions, dims: number): Tensor {
  checkOptions(op, options, ['p', 'training']);
  const { p = 0.5, training = true } = options;
  checkProbability(op, p);
  checkTensor(op, x);
  if (x.ndim !== dims + 1 && x.ndim !== dims + 2)
    throw new ShapeError(
      `${op}: the input ${showShape(x.shape)} must have ${dims} dims behind [N, C] or [C]; use dropout for single elements`,
    );
  return compose(op, () => {
    if (!training || p === 0) return reshape(x, x.shape);
    const channels = x.shape.map((n, d) => (d < x.ndim - dims ? n : 1));
    return dropped(x, p, channels);
  });
}

/**
 * Sets whole channels of [N, C, L] or [C, L] to 0 at random and scales the others by 1 / (1 - p) (`F.dropout1d`).
 *
 * @throws UnsupportedError unless p is a probability.
 * @throws ShapeError for another number of dims.
 */
export function dropout1d(x: Tensor, options: DropoutOptions = {}): Tensor {
  return dropChannels('dropout1d', x, options, 1);
}

/**
 * Sets whole channels of images [N, C, H, W] or [C, H, W] to 0 at random and scales the others by 1 / (1 - p) (`F.dropout2d`).
 *
 * @throws UnsupportedError unless p is a probability.
 * @throws ShapeError for another number of dims.
 */
export function dropout2d(x: Tensor, options: DropoutOptions = {}): Tensor {
  return dropChannels('dropout2d', x, options, 2);
}

/** What `selu` approaches far below 0. */
const SELU_LIMIT = -1.7580993408473766;

/**
 * Sets elements to the limit of `selu` at random, and scales and shifts all, so that mean and variance stay (`F.alpha_dropout`).
 *
 * @throws UnsupportedError unless p is a probability.
 */
export function alphaDropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  const op = 'alphaDropout';
  checkOptions(op, options, ['p', 'training']);
  const { p = 0.5, training = true } = options;
  checkProbability(op, p);
  checkTensor(op, x);
  return compose(op, () => {
    if (!training || p === 0) return reshape(x, x.shape);
    if (p === 1) return mul(x, zerosLike(x));
    const scale = 1 / Math.sqrt((1 - p) * (1 + p * SELU_LIMIT ** 2));
    const kept = where(ge(rand(x.shape, { device: x.device }), p), x, SELU_LIMIT);
    return add(mul(kept, scale), -scale * SELU_LIMIT * p);
  });
}
