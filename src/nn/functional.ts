/*
 * What layers compute, as functions without state (`torch.nn.functional`). Ops of their own are exported as they are.
 */
import { checkOptions, compose } from '../ops/record.ts';
import { checkProbability, dropped } from '../ops/sampling.ts';
import { reshape } from '../ops/structure.ts';
import type { Tensor } from '../tensor/tensor.ts';

export {
  type AttentionOptions,
  type MultiheadCallOptions,
  type MultiheadOptions,
  type MultiheadResult,
  multiHeadAttentionForward,
  scaledDotProductAttention,
} from '../ops/attention.ts';
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
export { type EmbeddingOptions, embedding } from '../ops/embedding.ts';
export { binaryCrossEntropyWithLogits, crossEntropy, mseLoss } from '../ops/losses.ts';
export { linear } from '../ops/matmul.ts';
export { type LayerNormOptions, layerNorm } from '../ops/normalization.ts';
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
  checkOptions('dropout', options, ['p', 'training']);
  const { p = 0.5, training = true } = options;
  checkProbability('dropout', p);
  return compose('dropout', () => (training && p > 0 ? dropped(x, p) : reshape(x, x.shape)));
}
