import { isFloating, promote } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { replaying } from '../core/random.ts';
import { broadcastShapes, type Shape, sameShape, showShape, sizeOf } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { select as choose, index, le, load, add as plus, uniform } from '../ir/expr.ts';
import { type GradientRule, gradEnabled, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add, cast, div, eq, exp, isfinite, mul, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { cat } from './joins.ts';
import { linear, matmul, multiply, narrowed } from './matmul.ts';
import { checkWhole } from './movement.ts';
import { recomputed } from './recomputation.ts';
import { checkFlag, checkOptions, compose, deviceOf, produce, reading, taped } from './record.ts';
import { amax, floats, mean } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { checkProbability, dropped } from './sampling.ts';
import {
  chunk,
  contiguous,
  expand,
  inFloat32,
  permute,
  reshape,
  slice,
  squeeze,
  sum,
  sumTo,
  transpose,
  unsqueeze,
} from './structure.ts';
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

/** What becomes of scores before their softmax, and of weights after it. */
interface Manner {
  readonly scale: number;
  readonly isCausal: boolean;
  /** Of bools in masks, true means: not attended to. */
  readonly excluding: boolean;
  readonly dropoutP: number;
}

/** Another number in place of the scores of keys after the query; the scores are those of queries from `first` on. */
function causal(scores: Tensor, fill: number, first: number): Tensor {
  const device = deviceOf('causal', [scores]);
  const { shape, ndim, dtype } = scores;
  const past = le(index(ndim - 1), plus(index(ndim - 2), uniform(1, 'int32')));
  const out = produce(device, 'causal', dtype, shape, {
    template: template('map', choose(past, load(0, dtype), uniform(0, dtype)), [dtype, 'int32']),
    space: shape,
    inputs: [reading(scores, shape)],
    scalars: [fill, first],
  });
  return taped('causal', { gradient: (g) => [causal(g, 0, first)], saves: 'nothing' }, [scores], out);
}

/** The scores that the softmax is taken of, for queries from `first` on. */
function masked(scores: Tensor, masks: readonly Tensor[], { isCausal, excluding }: Manner, first = 0): Tensor {
  let out = isCausal ? causal(scores, -Infinity, first) : scores;
  for (const mask of masks) {
    if (mask.dtype !== 'bool') out = add(out, mask);
    else out = excluding ? where(mask, -Infinity, out) : where(mask, out, -Infinity);
  }
  return out;
}

const ROW = { dim: -1, keepDim: true };

/** The parts of a softmax over the last dim: raised / total. Where all scores are -Infinity, zeros over 1. */
function softmaxParts(scores: Tensor): { top: Tensor; total: Tensor; raised: Tensor } {
  const most = amax(scores, ROW);
  const top = where(isfinite(most), most, 0);
  const raised = exp(sub(scores, top));
  const sums = sum(raised, ROW);
  return { top, raised, total: where(eq(sums, 0), 1, sums) };
}

/** Softmax over the last dim, but zeros where all scores are -Infinity. */
function softmaxOrZeros(scores: Tensor): Tensor {
  const out = withGrad(false, () => {
    if (scores.size === 0) return exp(scores);
    const { raised, total } = softmaxParts(scores);
    return div(raised, total);
  });
  const gradient = (g: Tensor, { output: y }: { output: Tensor }): Tensor[] => [mul(y, sub(g, sum(mul(g, y), ROW)))];
  return taped('softmax', { gradient, saves: 'output' }, [scores], out);
}

/** The weights [..., L, S] with which queries attend to keys. */
function attentionWeights(op: string, query: Tensor, key: Tensor, masks: readonly Tensor[], manner: Manner): Tensor {
  return inFloat32(op, [query, key], (q, k) =>
    softmaxOrZeros(masked(mul(matmul(q, flipped(k)), manner.scale), masks, manner)),
  );
}

/** Bytes of scores that are made in one piece, and that a block has at most; but a block has so many queries at least. */
const AT_ONCE = 2 ** 22;
const LEAST_ROWS = 64;
let forcedRows: number | null = null;

/** @internal Runs a function whose attention is made in blocks of so many queries. */
export function withBlocksOf<T>(rows: number, fn: () => T): T {
  const before = forcedRows;
  forcedRows = rows;
  try {
    return fn();
  } finally {
    forcedRows = before;
  }
}

/** How many queries are attended to at once, by shapes only. */
function rowsAtOnce(lead: Shape, queries: number, keys: number): number {
  const row = 4 * sizeOf(lead) * keys;
  if (row * queries === 0) return queries;
  const most = forcedRows ?? Math.max(LEAST_ROWS, Math.floor(AT_ONCE / row));
  // Blocks alike in size, for which a product finds the same kernel.
  return Math.ceil(queries / Math.ceil(queries / most));
}

/** What queries [..., L, E] find at keys [..., S, E] with values [..., S, V]. */
function attend(
  op: string,
  query: Tensor,
  key: Tensor,
  value: Tensor,
  masks: readonly Tensor[],
  manner: Manner,
): Tensor {
  const lead = broadcastShapes(op, query.shape.slice(0, -2), key.shape.slice(0, -2));
  const queries = query.shape.at(-2)!;
  const rows = rowsAtOnce(lead, queries, key.shape.at(-2)!);
  if (rows < queries) return attendInBlocks(op, [query, key, value].map(narrowed), masks, manner, rows);
  return matmul(dropped(attentionWeights(op, query, key, masks, manner), manner.dropoutP), value);
}

/** Some queries, the keys that they look at, and what draws their random numbers again. */
interface Block {
  readonly from: number;
  readonly to: number;
  readonly keys: number;
  readonly redraw: <T>(again: () => T) => T;
}

/**
 * Attention of some queries after the others, so that never all the weights are there. The tape keeps what goes in and out, and two
 * numbers a row, from which the gradient computes the weights again.
 */
function attendInBlocks(
  op: string,
  inputs: readonly Tensor[],
  masks: readonly Tensor[],
  manner: Manner,
  rows: number,
): Tensor {
  const [query, key, value] = inputs as readonly [Tensor, Tensor, Tensor];
  const { scale, isCausal, dropoutP } = manner;
  const [queries, keys] = [query.shape.at(-2)!, key.shape.at(-2)!];
  const blocks: Block[] = [];
  const { engine } = query.device;
  /** A block by itself: where the queue is long, it is computed between blocks, when their temporaries are gone. */
  const alone = <T>(fn: () => T): T => {
    engine.flushIfLong();
    return engine.withoutFlush(() => compose(op, fn));
  };
  const scoresOf = (q: Tensor, k: Tensor, cut: readonly Tensor[], { from }: Block): Tensor =>
    masked(mul(multiply(q, flipped(k), 'float32'), scale), cut, manner, from);
  const ofRows = (x: Tensor, { from, to }: Block): Tensor => slice(x, -2, from, to);
  const ofKeys = (x: Tensor, { keys: end }: Block): Tensor => slice(x, -2, 0, end);
  const hasRows = (mask: Tensor): boolean => mask.ndim > 1 && mask.shape.at(-2) !== 1;
  const ofMask = (mask: Tensor, block: Block): Tensor => {
    const x = mask.ndim > 0 && mask.shape.at(-1) !== 1 ? slice(mask, -1, 0, block.keys) : mask;
    return hasRows(mask) ? ofRows(x, block) : x;
  };
  const moments: Tensor[] = [];
  const out = withGrad(false, () => {
    const found: Tensor[] = [];
    // The last first, whose memory the others fit into.
    for (let to = queries; to > 0; to -= rows) {
      const from = Math.max(to - rows, 0);
      const block = { from, to, keys: isCausal ? Math.min(to, keys) : keys, redraw: replaying() };
      blocks.push(block);
      const [y, top, total] = alone(() => {
        const cut = masks.map((m) => ofMask(m, block));
        const parts = softmaxParts(scoresOf(ofRows(query, block), ofKeys(key, block), cut, block));
        const weights = dropped(div(parts.raised, parts.total), dropoutP);
        return [multiply(weights, ofKeys(value, block)), parts.top, parts.total] as const;
      });
      found.unshift(y);
      moments.push(top, total);
    }
    return cast(
      cat(found, -2),
      inputs.map((x) => x.dtype).reduce((a, b) => promote(op, a, b)),
    );
  });
  const gradient: GradientRule = (g, { inputs: saved, output, needs }) => {
    const [q, k, v] = saved as readonly [Tensor, Tensor, Tensor];
    const given = saved.slice(3, 3 + masks.length);
    const kept = saved.slice(3 + masks.length);
    const recorded = gradEnabled();
    const means = recorded ? null : sum(mul(g, output), ROW);
    const gq: Tensor[] = [];
    let [gk, gv]: readonly [Tensor[], Tensor[]] = [[], []];
    const gm = given.map((): Tensor[] => []);
    for (const [i, block] of blocks.entries()) {
      const back = (qi: Tensor, ki: Tensor, vi: Tensor, gi: Tensor, ...cut: Tensor[]): Tensor[] => {
        const scores = scoresOf(qi, ki, cut, block);
        // For gradients of the gradient the softmax must depend on the scores.
        const weights = recorded ? softmaxOrZeros(scores) : div(exp(sub(scores, kept[2 * i]!)), kept[2 * i + 1]!);
        const drop = (x: Tensor): Tensor => block.redraw(() => dropped(x, dropoutP, weights.shape));
        // First, so that the gradient of the scores can take the place of the weights.
        const ofValues = multiply(flipped(drop(weights)), gi);
        const gw = drop(multiply(gi, flipped(vi)));
        const gs = mul(weights, sub(gw, means ? ofRows(means, block) : sum(mul(weights, gw), ROW)));
        const scaled = mul(gs, scale);
        const ofCut = cut.map((m, j) => (needs[3 + j] ? sumTo(gs, m.shape) : m));
        return [multiply(scaled, ki), multiply(flipped(scaled), qi), ofValues, ...ofCut];
      };
      const found = alone(() => {
        const parts = [ofRows(q, block), ofKeys(k, block), ofKeys(v, block), ofRows(g, block)] as const;
        const cut = given.map((m) => ofMask(m, block));
        const made = recorded ? recomputed(back, ...parts, ...cut) : back(...parts, ...cut);
        const [dq, dk, dv, ...dm] = made as [Tensor, Tensor, Tensor];
        return { dq, sums: [addUp(gk, dk), addUp(gv, dv)] as const, dm: dm as Tensor[] };
      });
      gk[0]?.dispose();
      gv[0]?.dispose();
      [gk, gv] = found.sums;
      gq.unshift(found.dq);
      for (const [j, x] of found.dm.entries()) gm[j]!.unshift(x);
    }
    const ofMasks = given.map((m, j) => {
      if (!needs[3 + j]) return null;
      const all = gm[j]!.map((x) => filled(x, -1, m.shape.at(-1)!));
      return hasRows(m) ? cat(all, -2) : all.reduce((a, b) => add(a, b));
    });
    const whole = (parts: Tensor[]): Tensor => filled(parts.length > 1 ? cat(parts, -2) : parts[0]!, -2, keys);
    return [cat(gq, -2), whole(gk), whole(gv), ...ofMasks];
  };
  return taped(op, { gradient, saves: 'both' }, [...inputs, ...masks, ...moments], out);
}

/**
 * Adds gradients of the first keys to those so far, which are of as many keys or more: their sum, and what was of further keys, of which
 * copies are made, so that the sum that they were part of need not stay.
 */
function addUp([before, ...further]: readonly Tensor[], x: Tensor): Tensor[] {
  if (!before) return [x];
  const n = x.shape.at(-2)!;
  const rest = n < before.shape.at(-2)! ? [contiguous(slice(before, -2, n))] : [];
  return [add(slice(before, -2, 0, n), x), ...rest, ...further];
}

/** With zeros up to a size of a dim, one of the last two. */
function filled(x: Tensor, dim: -1 | -2, size: number): Tensor {
  const short = size - x.shape.at(dim)!;
  return short > 0 ? pad(x, [0, 0, 0, short].slice(dim === -1 ? 2 : 0)) : x;
}

const flipped = (x: Tensor): Tensor => transpose(x, -1, -2);

function checkMask(op: string, name: string, mask: Tensor): void {
  if (mask.dtype !== 'bool' && !isFloating(mask.dtype))
    throw new DTypeError(
      `${op}: ${name} is ${mask.dtype}; it is made of bools, or of floats that are added to the scores`,
    );
}

/**
 * Attention of queries [..., L, E] to keys [..., S, E] with values [..., S, V] (`F.scaled_dot_product_attention`): the values,
 * weighted by the softmax of the scaled products of queries and keys, as [..., L, V]. A query that may attend to no key gives zeros.
 * Memory grows with L + S: where [..., L, S] is large, it is made for some queries after the others, and again for the gradient.
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
  const manner = { scale: scale ?? 1 / Math.sqrt(query.shape.at(-1)!), isCausal, excluding: false, dropoutP };
  return compose(op, () => attend(op, query, key, value, mask ? [mask] : [], manner));
}

/** Options of a call of multi-head attention. */
export interface MultiheadCallOptions {
  /** [N, S], or [S] without a batch: keys that are not attended to, by bools that are true or floats that are added. */
  readonly keyPaddingMask?: Tensor | null | undefined;
  /** Give the weights, too, for which all [N, numHeads, L, S] are made; true unless given. */
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
 * query that may attend to no key gets weights of 0. With `needWeights: false`, memory grows with L + S.
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
    const extendedMasks = [
      attnMask?.ndim === 3 ? reshape(attnMask, [n, numHeads, length, keys]) : attnMask,
      keyPaddingMask && reshape(keyPaddingMask, [n, 1, 1, keys]),
    ].flatMap((mask) => (mask ? [more > 0 ? pad(mask, [0, more]) : mask] : []));
    const manner = {
      scale: 1 / Math.sqrt(width / numHeads),
      isCausal,
      excluding: true,
      dropoutP: training ? dropoutP : 0,
    };
    const [qs, ks, vs] = [heads(q), heads(extended(k, biasK)), heads(extended(v, biasV))] as const;
    const weights = needWeights ? dropped(attentionWeights(op, qs, ks, extendedMasks, manner), manner.dropoutP) : null;
    const found = weights ? matmul(weights, vs) : attend(op, qs, ks, vs, extendedMasks, manner);
    const values = permute(found, [2, 0, 1, 3]);
    const out = linear(reshape(values, [length, n, width]), outProjWeight, outProjBias);
    const shown = weights && (averageAttnWeights ? mean(weights, { dim: 1 }) : weights);
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
