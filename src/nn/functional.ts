/*
 * What layers compute, as functions without state (`torch.nn.functional`). Ops of their own are exported as they are.
 */
import { UnsupportedError } from '../core/errors.ts';
import { rand, zerosLike } from '../ops/creation.ts';
import { ge, mul } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { checkOptions, compose, describe } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import type { Tensor } from '../tensor/tensor.ts';

export {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  crossEntropy,
  klDiv,
  multiMarginLoss,
  nllLoss,
} from '../ops/classification.ts';
export { type ConvOptions, conv2d } from '../ops/conv.ts';
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
export { gaussianNllLoss, huberLoss, l1Loss, mseLoss, poissonNllLoss, smoothL1Loss } from '../ops/losses.ts';
export { linear } from '../ops/matmul.ts';
export { type LayerNormOptions, layerNorm } from '../ops/normalization.ts';
export {
  cosineEmbeddingLoss,
  hingeEmbeddingLoss,
  marginRankingLoss,
  tripletMarginLoss,
} from '../ops/ranking.ts';
export { logSoftmax, softmax } from '../ops/reductions.ts';
export { flatten } from '../ops/structure.ts';
export { pad } from '../ops/windows.ts';

/** Options of `dropout`. */
export interface DropoutOptions {
  /** The probability with which an element is dropped; 0.5 unless given. */
  readonly p?: number | undefined;
  /** Off, the input comes back as it is; true unless given. */
  readonly training?: boolean | undefined;
}

/** @internal Throws unless the value is a probability. */
export function checkProbability(op: string, p: unknown): void {
  if (typeof p !== 'number' || !(p >= 0 && p <= 1))
    throw new UnsupportedError(`${op}: p is ${describe(p)}, but it must be a probability, from 0 to 1`);
}

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
  checkOptions('dropout', options, ['p', 'training']);
  const { p = 0.5, training = true } = options;
  checkProbability('dropout', p);
  return compose('dropout', () => {
    if (!training || p === 0) return reshape(x, x.shape);
    if (p === 1) return mul(x, zerosLike(x));
    return where(ge(rand(x.shape, { device: x.device }), p), mul(x, 1 / (1 - p)), 0);
  });
}
