import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, type Shape, sameShape, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { select as choose, index, le, load, uniform } from '../ir/expr.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, div, eq, exp, isfinite, mul, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { cat } from './joins.ts';
import { linear, matmul } from './matmul.ts';
import { checkWhole } from './movement.ts';
import { checkFlag, checkOptions, compose, deviceOf, produce, reading, taped } from './record.ts';
import { amax, floats, mean } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { checkProbability, dropped } from './sampling.ts';
import { chunk, expand, inFloat32, permute, reshape, squeeze, sum, transpose, unsqueeze } from './structure.ts';
import { pad } from './windows.ts';

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /** Broadcasts to [..., L, S]: of bools, true where a query may attend to a key; of floats, added to the scores. */
  readonly attnMask?: Tensor | null | undefined;
  /** The probability with which a weight is dropped; 0 unless given. */
  readonly dropoutP?: number | undefined;
  /** Query i attends to keys 0 to i only; false unless given. */
  readonly isCausal?: boolean | undefined;
  /** Factor of the scores; 1 / sqrt(E) unless given. */
  readonly scale?: number | null | undefined;
}

/** Another number in place of the scores of keys after the query. */
function causal(scores: Tensor, fill: number): Tensor {
  const device = deviceOf('causal', [scores]);
  const { shape, ndim, dtype } = scores;
  const past = le(index(ndim - 1), index(ndim - 2));
  const out = produce(device, 'causal', dtype, shape, {
    template: template('map', choose(past, load(0, dtype), uniform(0, dtype)), [dtype]),
    space: shape,
    inputs: [reading(scores, shape)],
    scalars: [fill],
  });
  return taped('causal', { gradient: (g) => [causal(g, 0)], saves: 'nothing' }, [scores], out);
}

/** Softmax over the last dim, but zeros where all scores are -Infinity. */
function softmaxOrZeros(scores: Tensor): Tensor {
  const over = { dim: -1, keepDim: true };
  const out = withGrad(false, () => {
    if (scores.size === 0) return exp(scores);
    const top = amax(scores, over);
    const raised = exp(sub(scores, where(isfinite(top), top, 0)));
    const total = sum(raised, over);
    return div(raised, where(eq(total, 0), 1, total));
  });
  const gradient = (g: Tensor, { output: y }: { output: Tensor }): Tensor[] => [mul(y, sub(g, sum(mul(g, y), over)))];
  return taped('softmax', { gradient, saves: 'output' }, [scores], out);
}

/** The weights [..., L, S] with which queries attend to keys. */
function attentionWeights(
  op: string,
  query: Tensor,
  key: Tensor,
  scale: number | null | undefined,
  masked: (scores: Tensor) => Tensor,
): Tensor {
  return inFloat32(op, [query, key], (q, k) => {
    const width = q.shape[q.ndim - 1]!;
    const scores = mul(matmul(q, transpose(k, -1, -2)), scale ?? 1 / Math.sqrt(width));
    return softmaxOrZeros(masked(scores));
  });
}

function checkMask(op: string, name: string, mask: Tensor): void {
  if (mask.dtype !== 'bool' && !isFloating(mask.dtype))
    throw new DTypeError(
      `${op}: ${name} is ${mask.dtype}; it is made of bools, or of floats that are added to the scores`,
    );
}

/**
 * Attention of queries [..., L, E] to keys [..., S, E] with values [..., S, V] (`F.scaled_dot_product_attention`): the values,
 * weighted by the softmax of the scaled products of queries and keys, as [..., L, V]. A query that may attend to no key gives zeros.
 *
 * @throws ShapeError when the shapes do not fit together.
 * @throws DTypeError for integers, and for masks that are neither bools nor floats.
 * @throws UnsupportedError for a mask beside `isCausal`, and a `dropoutP` that is no probability.
 * @example
 * ```ts
 * const q = tl.rand([2, 4, 10, 8]);
 * const y = tl.nn.functional.scaledDotProductAttention(q, q, q, { isCausal: true }); // shape [2, 4, 10, 8]
 * ```
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const op = 'scaledDotProductAttention';
  checkOptions(op, options, ['attnMask', 'dropoutP', 'isCausal', 'scale']);
  const { attnMask: mask, dropoutP = 0, isCausal = false, scale } = options;
  deviceOf(op, [query, key, value, ...(mask ? [mask] : [])]);
  for (const t of [query, key, value]) floats(op, t);
  checkFlag(op, 'isCausal', isCausal);
  checkProbability(op, dropoutP);
  if (scale !== undefined && scale !== null && typeof scale !== 'number')
    throw new DTypeError(`${op}: scale is a number; leave it out for 1 / sqrt(E)`);
  const shapes = `queries ${showShape(query.shape)}, keys ${showShape(key.shape)} and values ${showShape(value.shape)}`;
  if ([query, key, value].some((t) => t.ndim < 2) || query.shape.at(-1) !== key.shape.at(-1))
    throw new ShapeError(`${op}: ${shapes} must be [..., L, E], [..., S, E] and [..., S, V]`);
  if (key.shape.at(-2) !== value.shape.at(-2))
    throw new ShapeError(`${op}: ${shapes} must have as many keys as values`);
  const batch = broadcastShapes(op, query.shape.slice(0, -2), key.shape.slice(0, -2));
  broadcastShapes(op, batch, value.shape.slice(0, -2));
  if (mask) {
    checkMask(op, 'attnMask', mask);
    const scores = [...batch, query.shape.at(-2)!, key.shape.at(-2)!];
    if (!sameShape(broadcastShapes(op, scores, mask.shape), scores))
      throw new ShapeError(
        `${op}: attnMask ${showShape(mask.shape)} must broadcast to ${showShape(scores)}, the shape of the scores`,
      );
    if (isCausal)
      throw new UnsupportedError(`${op}: attnMask and isCausal exclude each other; put the causal mask into attnMask`);
  }
  const masked = (scores: Tensor): Tensor => {
    if (isCausal) return causal(scores, -Infinity);
    if (!mask) return scores;
    return mask.dtype === 'bool' ? where(mask, scores, -Infinity) : add(scores, mask);
  };
  return compose(op, () => matmul(dropped(attentionWeights(op, query, key, scale, masked), dropoutP), value));
}

/** Options of a call of multi-head attention. */
export interface MultiheadCallOptions {
  /** [N, S], or [S] without a batch: keys that are not attended to, by bools that are true or floats that are added. */
  readonly keyPaddingMask?: Tensor | null | undefined;
  /** Give the weights, too; true unless given. */
  readonly needWeights?: boolean | undefined;
  /** [L, S], or [N * numHeads, L, S]: bools that are true where a query does not attend, or floats that are added. */
  readonly attnMask?: Tensor | null | undefined;
  /** Weights as the mean over the heads, which is the default, or for each head. */
  readonly averageAttnWeights?: boolean | undefined;
  /** Query i attends to keys 0 to i only, besides what the masks say; false unless given. */
  readonly isCausal?: boolean | undefined;
}

/** Options of `multiHeadAttentionForward`: parameters in PyTorch's layouts. */
export interface MultiheadOptions extends MultiheadCallOptions {
  /** Number of heads, which divides the width E. */
  readonly numHeads: number;
  /** Of shape 3 E x E: for queries, keys and values, one below the other. Or one matrix for each: see `qProjWeight`. */
  readonly inProjWeight?: Tensor | null | undefined;
  /** [3 E]. */
  readonly inProjBias?: Tensor | null | undefined;
  /** [E, E], [E, width of keys] and [E, width of values], in place of `inProjWeight`. */
  readonly qProjWeight?: Tensor | null | undefined;
  readonly kProjWeight?: Tensor | null | undefined;
  readonly vProjWeight?: Tensor | null | undefined;
  /** Of shape 1 x 1 x E: a further key, and its value. */
  readonly biasK?: Tensor | null | undefined;
  readonly biasV?: Tensor | null | undefined;
  /** Add a key and a value of zeros. */
  readonly addZeroAttn?: boolean | undefined;
  /** The probability with which a weight is dropped; 0 unless given. */
  readonly dropoutP?: number | undefined;
  /** [E, E]. */
  readonly outProjWeight: Tensor;
  /** [E]. */
  readonly outProjBias?: Tensor | null | undefined;
  /** Off, nothing is dropped; true unless given. */
  readonly training?: boolean | undefined;
}

/** What `multiHeadAttentionForward` gives. */
export interface MultiheadResult {
  /** [L, N, E]. */
  readonly attnOutput: Tensor;
  /** [N, L, S], or [N, numHeads, L, S] where they are not averaged; null where they were not asked for. */
  readonly attnOutputWeights: Tensor | null;
}

const OPTIONS = (
  'numHeads inProjWeight inProjBias qProjWeight kProjWeight vProjWeight biasK biasV addZeroAttn dropoutP outProjWeight outProjBias ' +
  'training keyPaddingMask needWeights attnMask averageAttnWeights isCausal'
).split(' ');

function expectShape(op: string, name: string, t: Tensor | null | undefined, ...allowed: readonly Shape[]): void {
  if (t && !allowed.some((shape) => sameShape(t.shape, shape)))
    throw new ShapeError(
      `${op}: ${name} ${showShape(t.shape)} must be of shape ${allowed.map(showShape).join(' or ')}`,
    );
}

/**
 * Multi-head attention (`F.multi_head_attention_forward`; Vaswani et al., "Attention is all you need", 2017) of queries [L, N, E] to
 * keys [S, N, ...] with values [S, N, ...], or the same without the batch dim N. Of bools in masks, true means: not attended to. A
 * query that may attend to no key gets weights of 0.
 *
 * @throws ShapeError when the shapes do not fit together, and for a number of heads that does not divide E.
 * @throws DTypeError for integers, and for masks that are neither bools nor floats.
 * @throws UnsupportedError for missing weights, and a `dropoutP` that is no probability.
 */
export function multiHeadAttentionForward(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: MultiheadOptions,
): MultiheadResult {
  const op = 'multiHeadAttentionForward';
  checkOptions(op, options, OPTIONS);
  const { numHeads, inProjWeight, inProjBias, biasK, biasV, outProjWeight, outProjBias } = options;
  const { keyPaddingMask, attnMask, needWeights = true, averageAttnWeights = true, isCausal = false } = options;
  const { addZeroAttn = false, dropoutP = 0, training = true } = options;
  const separate = [options.qProjWeight, options.kProjWeight, options.vProjWeight];
  const given = [inProjWeight, ...separate, inProjBias, biasK, biasV, outProjBias].filter((t) => t != null);
  const masks = [keyPaddingMask, attnMask].filter((t) => t != null);
  deviceOf(op, [query, key, value, outProjWeight, ...given, ...masks]);
  for (const t of [query, key, value, outProjWeight, ...given]) floats(op, t);
  for (const [name, flag] of Object.entries({ needWeights, averageAttnWeights, isCausal, addZeroAttn, training }))
    checkFlag(op, name, flag);
  checkProbability(op, dropoutP);
  checkWhole(op, 'numHeads', numHeads, 1);
  const rank = query.ndim;
  const shapes = `queries ${showShape(query.shape)}, keys ${showShape(key.shape)} and values ${showShape(value.shape)}`;
  const fits = [key, value].every((t) => t.ndim === rank && (rank === 2 || t.shape[1] === query.shape[1]));
  if ((rank !== 3 && rank !== 2) || !fits || key.shape[0] !== value.shape[0])
    throw new ShapeError(`${op}: ${shapes} must be [L, N, E], [S, N, ...] and [S, N, ...], or the same without N`);
  const width = query.shape[rank - 1]!;
  const length = query.shape[0]!;
  const keys = key.shape[0]!;
  const n = rank === 3 ? query.shape[1]! : 1;
  if (width % numHeads !== 0)
    throw new ShapeError(`${op}: ${numHeads} heads do not divide the width ${width} of the queries`);
  if ((inProjWeight ? 1 : 0) + separate.filter(Boolean).length !== (inProjWeight ? 1 : 3))
    throw new UnsupportedError(`${op}: give inProjWeight, or all of qProjWeight, kProjWeight and vProjWeight`);
  if (!biasK !== !biasV) throw new UnsupportedError(`${op}: biasK and biasV come together; give both, or none`);
  const widths = [query, key, value].map((t) => t.shape[rank - 1]!);
  if (inProjWeight && widths.some((w) => w !== width))
    throw new ShapeError(
      `${op}: ${shapes} must be of one width; give qProjWeight, kProjWeight and vProjWeight for others`,
    );
  expectShape(op, 'inProjWeight', inProjWeight, [3 * width, width]);
  for (const [i, name] of ['qProjWeight', 'kProjWeight', 'vProjWeight'].entries())
    expectShape(op, name, separate[i], [width, widths[i]!]);
  expectShape(op, 'inProjBias', inProjBias, [3 * width]);
  expectShape(op, 'biasK', biasK, [1, 1, width]);
  expectShape(op, 'biasV', biasV, [1, 1, width]);
  expectShape(op, 'outProjWeight', outProjWeight, [width, width]);
  expectShape(op, 'outProjBias', outProjBias, [width]);
  for (const [name, mask] of Object.entries({ keyPaddingMask, attnMask })) if (mask) checkMask(op, name, mask);
  expectShape(op, 'keyPaddingMask', keyPaddingMask, rank === 3 ? [n, keys] : [keys]);
  expectShape(op, 'attnMask', attnMask, [length, keys], [n * numHeads, length, keys]);
  return compose(op, () => {
    const batched = (t: Tensor): Tensor => (rank === 3 ? t : unsqueeze(t, 1));
    const [q, k, v] = projected([query, key, value], inProjWeight ?? (separate as Tensor[]), inProjBias).map(
      batched,
    ) as [Tensor, Tensor, Tensor];
    /** Keys or values with those that are not from the input. */
    const extended = (t: Tensor, bias: Tensor | null | undefined): Tensor => {
      const all = bias ? cat([t, expand(bias, [1, n, width])]) : t;
      return addZeroAttn ? pad(all, [0, 0, 0, 0, 0, 1]) : all;
    };
    const more = (biasK ? 1 : 0) + (addZeroAttn ? 1 : 0);
    const heads = (t: Tensor): Tensor =>
      permute(reshape(t, [t.shape[0]!, n, numHeads, width / numHeads]), [1, 2, 0, 3]);
    /** Keys that are not from the input may always be attended to. */
    const applied = (scores: Tensor, mask: Tensor): Tensor => {
      const all = more > 0 ? pad(mask, [0, more]) : mask;
      return all.dtype === 'bool' ? where(all, -Infinity, scores) : add(scores, all);
    };
    const masked = (scores: Tensor): Tensor => {
      let out = isCausal ? causal(scores, -Infinity) : scores;
      if (attnMask) out = applied(out, attnMask.ndim === 2 ? attnMask : reshape(attnMask, [n, numHeads, length, keys]));
      return keyPaddingMask ? applied(out, reshape(keyPaddingMask, [n, 1, 1, keys])) : out;
    };
    const kept = attentionWeights(op, heads(q), heads(extended(k, biasK)), null, masked);
    const weights = dropped(kept, training ? dropoutP : 0);
    const values = permute(matmul(weights, heads(extended(v, biasV))), [2, 0, 1, 3]);
    const out = linear(reshape(values, [length, n, width]), outProjWeight, outProjBias);
    const shown = needWeights ? (averageAttnWeights ? mean(weights, { dim: 1 }) : weights) : null;
    const single = (t: Tensor, dim: number): Tensor => (rank === 3 ? t : squeeze(t, dim));
    return { attnOutput: single(out, 1), attnOutputWeights: shown && single(shown, 0) };
  });
}

/** Queries, keys and values times their matrices; where all are one tensor and the matrices one, in one product. */
function projected(
  inputs: readonly [Tensor, Tensor, Tensor],
  weight: Tensor | readonly Tensor[],
  bias: Tensor | null | undefined,
): Tensor[] {
  const [query, key, value] = inputs;
  if (!Array.isArray(weight)) {
    const whole = weight as Tensor;
    if (query === key && key === value) return chunk(linear(query, whole, bias), 3, -1);
    return projected(inputs, chunk(whole, 3), bias);
  }
  const offsets = bias ? chunk(bias, 3) : [];
  return inputs.map((t, i) => linear(t, weight[i] as Tensor, offsets[i]));
}

const blocked = (...shape: number[]): Drawn => ({
  shape,
  dtype: 'bool',
  values: Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i % 3 === 1 ? 1 : 0)),
});
const packed: readonly Shape[] = [[12, 4], [12], [4, 4], [4]];
const attended = (
  x: readonly [Tensor, Tensor, Tensor],
  [inProjWeight, inProjBias, outProjWeight, outProjBias]: readonly Tensor[],
  options: Omit<MultiheadOptions, 'numHeads' | 'outProjWeight'>,
): Tensor[] => {
  const { attnOutput, attnOutputWeights } = multiHeadAttentionForward(...x, {
    numHeads: 2,
    inProjWeight,
    inProjBias,
    outProjWeight: outProjWeight as Tensor,
    outProjBias,
    ...options,
  });
  return attnOutputWeights ? [attnOutput, attnOutputWeights] : [attnOutput];
};

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  scaledDotProductAttention: {
    calls: [
      sample(
        [
          [2, 3, 4],
          [2, 5, 4],
          [2, 5, 6],
        ],
        (q, k, v) => scaledDotProductAttention(q, k, v),
      ),
      sample(
        [
          [3, 4],
          [5, 4],
          [5, 4],
        ],
        (q, k, v) => scaledDotProductAttention(q, k, v, { isCausal: true, scale: 0.3 }),
      ),
      sample([[2, 1, 3, 4], [2, 5, 4], [1, 2, 5, 4], blocked(3, 5)], (q, k, v, attnMask) =>
        scaledDotProductAttention(q, k, v, { attnMask }),
      ),
      sample(
        [
          [2, 2, 4],
          [2, 3, 4],
          [2, 3, 4],
          [2, 1, 3],
        ],
        (q, k, v, attnMask) => scaledDotProductAttention(q, k, v, { attnMask }),
      ),
      sample(
        [
          [2, 3],
          [0, 3],
          [0, 2],
        ],
        (q, k, v) => scaledDotProductAttention(q, k, v),
      ),
    ],
  },
  multiHeadAttentionForward: {
    calls: [
      sample([[3, 2, 4], ...packed], (x, ...weights) => attended([x, x, x], weights, { isCausal: true })),
      sample([[3, 2, 4], [5, 2, 4], [5, 2, 4], ...packed, blocked(3, 5), blocked(2, 5)], (q, k, v, ...rest) =>
        attended([q, k, v], rest, { attnMask: rest[4], keyPaddingMask: rest[5], averageAttnWeights: false }),
      ),
      sample([[3, 4], [5, 4], [5, 4], ...packed, [2, 3, 5], [5]], (q, k, v, ...rest) =>
        attended([q, k, v], rest, { attnMask: rest[4], keyPaddingMask: rest[5], needWeights: false }),
      ),
      sample(
        [[2, 1, 4], [3, 1, 3], [3, 1, 2], [4, 4], [4, 3], [4, 2], [1, 1, 4], [1, 1, 4], [4, 4], blocked(1, 3)],
        (q, k, v, qProjWeight, kProjWeight, vProjWeight, biasK, biasV, outProjWeight, keyPaddingMask) =>
          attended([q, k, v], [], {
            qProjWeight,
            kProjWeight,
            vProjWeight,
            biasK,
            biasV,
            outProjWeight,
            keyPaddingMask,
            addZeroAttn: true,
          } as MultiheadOptions),
      ),
    ],
  },
});
