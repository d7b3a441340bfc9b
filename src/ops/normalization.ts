import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, checkSizes, normalizeDim, type Shape, sameShape, showShape } from '../core/shape.ts';
import { gradEnabled, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { assign_ } from './assign.ts';
import { add, clamp, div, lerp, mul, rsqrt, square, sub } from './elementwise.ts';
import { checkWhole } from './movement.ts';
import { norm } from './norms.ts';
import { checkFlag, checkOptions, checkTensor, compose, describe, deviceOf, type Operand, taped } from './record.ts';
import { floats, mean } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { expand, inFloat32, reshape, sum } from './structure.ts';

/** Throws unless what is added to a variance is a number that is not negative. */
function checkEps(op: string, eps: unknown): void {
  if (typeof eps !== 'number' || !(eps >= 0))
    throw new UnsupportedError(`${op}: eps is ${describe(eps)}, but it must be a number of at least 0`);
}

/** What the elements are normalised by: their mean, where it is taken off, and the mean of what is left, squared. */
interface Moments {
  readonly center: Tensor | null;
  readonly spread: Tensor;
}

function momentsOf(x: Tensor, dims: readonly number[], centered: boolean): Moments {
  const over = { dim: dims, keepDim: true };
  const center = centered ? mean(x, over) : null;
  return { center, spread: mean(square(center ? sub(x, center) : x), over) };
}

/**
 * The elements, less their mean over some dims if they are centered, over the root of their mean square there, times a weight and
 * plus a bias. The tape keeps the elements, their moments and the weight: what is normalised is computed again from them.
 */
function standardized(
  op: string,
  x: Tensor,
  dims: readonly number[],
  eps: number,
  affine: { readonly weight?: Tensor | null | undefined; readonly bias?: Tensor | null | undefined },
  centered = true,
): { output: Tensor; moments: Moments } {
  checkEps(op, eps);
  const { weight, bias } = affine;
  const scaleOf = ({ spread }: Moments): Tensor => rsqrt(add(spread, eps));
  const normal = (y: Tensor, center: Tensor | null, scale: Tensor): Tensor => mul(center ? sub(y, center) : y, scale);
  const moments = withGrad(false, () => momentsOf(x, dims, centered));
  const scale = withGrad(false, () => scaleOf(moments));
  const value = withGrad(false, () => {
    const scaled = normal(x, moments.center, scale);
    const weighted = weight ? mul(scaled, weight) : scaled;
    return bias ? add(weighted, bias) : weighted;
  });
  const [hasWeight, over] = [!!weight, { dim: dims, keepDim: true }];
  const gradient = (
    g: Tensor,
    { inputs, needs }: { inputs: readonly Tensor[]; needs: readonly boolean[] },
  ): (Tensor | null)[] => {
    const [y, savedScale, savedCenter, w] = inputs as readonly [Tensor, Tensor, Tensor, Tensor];
    // For gradients of the gradient the moments must depend on the elements.
    const fresh = gradEnabled() ? momentsOf(y, dims, centered) : null;
    const s = fresh ? scaleOf(fresh) : savedScale;
    const n = normal(y, fresh ? fresh.center : centered ? savedCenter : null, s);
    const own = (): Tensor => {
      const gn = hasWeight ? mul(g, w) : g;
      const along = mul(n, mean(mul(gn, n), over));
      return mul(s, sub(centered ? sub(gn, mean(gn, over)) : gn, along));
    };
    return [needs[0] ? own() : null, null, null, needs[3] ? mul(g, n) : null, needs[4] ? g : null];
  };
  const inputs: Operand[] = [x, scale, moments.center ?? 0, weight ?? 1, bias ?? 0];
  return { output: taped(op, { gradient, saves: [0, 1, 2, 3] }, inputs, value), moments };
}

/** Weight and bias of a normalisation; none unless given. */
export interface AffineOptions {
  /** Scales the normalised elements. */
  readonly weight?: Tensor | null | undefined;
  /** Added to the scaled elements. */
  readonly bias?: Tensor | null | undefined;
}

/** Options of `layerNorm`, whose weight and bias are of the normalised shape. */
export interface LayerNormOptions extends AffineOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
}

/** Checks the tensors that an op is given, and says which of them there are. */
function given(op: string, x: Tensor, { weight, bias }: AffineOptions): Tensor[] {
  const all = [x, ...[weight, bias].filter((t) => t != null)];
  deviceOf(op, all);
  for (const t of all) floats(op, t);
  return all;
}

/** The same with the tensors in float32, where they are float16. */
function inFloat32Affine(
  op: string,
  x: Tensor,
  affine: AffineOptions,
  fn: (x: Tensor, affine: AffineOptions) => Tensor,
): Tensor {
  return compose(op, () =>
    inFloat32(op, given(op, x, affine), (y, ...rest) =>
      fn(y, { weight: affine.weight ? rest[0] : null, bias: affine.bias ? rest.at(-1) : null }),
    ),
  );
}

/** The last dims, which must be of the shape that is normalised. */
function lastDims(op: string, x: Tensor, normalizedShape: number | Shape, affine: AffineOptions): readonly number[] {
  const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  checkSizes(op, shape);
  if (shape.length === 0 || !sameShape(shape, x.shape.slice(-shape.length)))
    throw new ShapeError(
      `${op}: the normalized shape ${showShape(shape)} must be that of the last dims of ${showShape(x.shape)}`,
    );
  for (const name of ['weight', 'bias'] as const) {
    const t = affine[name];
    if (t && !sameShape(t.shape, shape))
      throw new ShapeError(
        `${op}: ${name} of shape ${showShape(t.shape)} must have the normalized shape ${showShape(shape)}`,
      );
  }
  return shape.map((_, i) => x.ndim - shape.length + i);
}

/**
 * The elements of the last dims, whose shape is given, less their mean and over their standard deviation, which is not corrected
 * (`F.layer_norm`).
 *
 * @throws ShapeError when the last dims, or weight or bias, are of another shape.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.layerNorm(tl.rand([4, 8]), [8], { weight: tl.ones([8]), bias: tl.zeros([8]) });
 * ```
 */
export function layerNorm(x: Tensor, normalizedShape: number | Shape, options: LayerNormOptions = {}): Tensor {
  const op = 'layerNorm';
  checkOptions(op, options, ['weight', 'bias', 'eps']);
  const { eps = 1e-5 } = options;
  given(op, x, options);
  const dims = lastDims(op, x, normalizedShape, options);
  return inFloat32Affine(op, x, options, (y, affine) => standardized(op, y, dims, eps, affine).output);
}

/** Options of `rmsNorm`. */
export interface RMSNormOptions {
  /** Scales the normalised elements; of the normalised shape. */
  readonly weight?: Tensor | null | undefined;
  /** Added to the mean square; float32's epsilon, 2^-23, unless given. */
  readonly eps?: number | null | undefined;
}

/**
 * The elements of the last dims, whose shape is given, over the root of their mean square (`F.rms_norm`).
 *
 * @throws ShapeError when the last dims, or the weight, are of another shape.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.rmsNorm(tl.rand([4, 8]), [8], { weight: tl.ones([8]) });
 * ```
 */
export function rmsNorm(x: Tensor, normalizedShape: number | Shape, options: RMSNormOptions = {}): Tensor {
  const op = 'rmsNorm';
  checkOptions(op, options, ['weight', 'eps']);
  const { weight, eps } = options;
  given(op, x, { weight });
  const dims = lastDims(op, x, normalizedShape, { weight });
  return inFloat32Affine(
    op,
    x,
    { weight },
    (y, affine) => standardized(op, y, dims, eps ?? 2 ** -23, affine, false).output,
  );
}

/** Checks a tensor with channels in dim 1, and weight and bias of one number a channel. */
function channelsOf(op: string, x: Tensor, affine: AffineOptions, least: number): number {
  given(op, x, affine);
  const [, channels] = x.shape;
  if (x.ndim < least || channels === undefined)
    throw new ShapeError(`${op}: the input ${showShape(x.shape)} must be of shape [N, C${least > 2 ? ', …' : ''}]`);
  for (const name of ['weight', 'bias'] as const) perChannel(op, name, affine[name], channels, x);
  return channels;
}

function perChannel(op: string, name: string, t: Tensor | null | undefined, channels: number, x: Tensor): void {
  if (t && !sameShape(t.shape, [channels]))
    throw new ShapeError(
      `${op}: ${name} ${showShape(t.shape)} must be of shape [${channels}], one for each channel of ${showShape(x.shape)}`,
    );
}

/** Weight and bias with dims behind them that broadcast. */
const spreadOut = ({ weight, bias }: AffineOptions, shape: Shape): AffineOptions => ({
  weight: weight ? reshape(weight, shape) : null,
  bias: bias ? reshape(bias, shape) : null,
});

/** Options of `batchNorm`, whose weight and bias have one number for each channel. */
export interface BatchNormOptions extends AffineOptions {
  /** Normalise by the statistics of the batch, and update the running ones; false unless given. */
  readonly training?: boolean | undefined;
  /** The share of the batch in the updated running statistics; 0.1 unless given. */
  readonly momentum?: number | undefined;
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The elements of each channel, dim 1, less their mean and over their standard deviation: those of the batch in training, when the
 * running statistics are updated in place (with the corrected variance), and the running ones otherwise (`F.batch_norm`).
 *
 * @throws ShapeError when the sizes differ, or a channel has but one element in training.
 * @throws UnsupportedError without running statistics outside of training.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const [mean, variance] = [tl.zeros([3]), tl.ones([3])];
 * const y = tl.nn.functional.batchNorm(tl.rand([8, 3, 4, 4]), mean, variance, { training: true });
 * ```
 */
export function batchNorm(
  x: Tensor,
  runningMean?: Tensor | null,
  runningVar?: Tensor | null,
  options: BatchNormOptions = {},
): Tensor {
  checkOptions('batchNorm', options, ['weight', 'bias', 'training', 'momentum', 'eps']);
  const { training = false, momentum = 0.1, eps = 1e-5, ...affine } = options;
  checkFlag('batchNorm', 'training', training);
  return normalizeBatch(x, runningMean ?? null, runningVar ?? null, affine, training, momentum, eps);
}

/** @internal `batchNorm`, whose momentum may be a tensor. */
export function normalizeBatch(
  x: Tensor,
  runningMean: Tensor | null,
  runningVar: Tensor | null,
  affine: AffineOptions,
  training: boolean,
  momentum: Operand,
  eps: number,
): Tensor {
  const op = 'batchNorm';
  const channels = channelsOf(op, x, affine, 2);
  for (const [name, t] of Object.entries({ runningMean, runningVar })) {
    if (!t) continue;
    checkTensor(op, t);
    perChannel(op, name, t, channels, x);
  }
  if (!runningMean !== !runningVar || (!training && !runningMean))
    throw new UnsupportedError(
      `${op}: ${runningMean || runningVar ? 'one of runningMean and runningVar is missing' : 'there are no running statistics'}; give both, or none in training`,
    );
  const count = channels === 0 ? 0 : x.size / channels;
  if (training && count === 1)
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} has one element a channel, whose deviation is 0; train on larger batches, or use evaluation mode`,
    );
  const shape = [channels, ...x.shape.slice(2).map(() => 1)];
  return inFloat32Affine(op, x, affine, (y, own) => {
    const { weight, bias } = spreadOut(own, shape);
    if (!training) {
      const scale = rsqrt(add(reshape(runningVar!, shape), eps));
      const normal = mul(sub(y, reshape(runningMean!, shape)), weight ? mul(scale, weight) : scale);
      return bias ? add(normal, bias) : normal;
    }
    const dims = y.shape.map((_, d) => d).filter((d) => d !== 1);
    const { output, moments } = standardized(op, y, dims, eps, { weight, bias });
    if (runningMean && runningVar && count > 0)
      withGrad(false, () => {
        const corrected = mul(reshape(moments.spread, [channels]), count / (count - 1));
        assign_(runningMean, lerp(runningMean, reshape(moments.center!, [channels]), momentum));
        assign_(runningVar, lerp(runningVar, corrected, momentum));
      });
    return output;
  });
}

/** Options of `groupNorm` and `instanceNorm`, whose weight and bias have one number for each channel. */
export interface GroupNormOptions extends AffineOptions {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The elements of each sample [N, C, …] in groups of neighbouring channels, less their mean and over their standard deviation
 * (`F.group_norm`).
 *
 * @throws ShapeError when the channels do not divide by the number of groups, or weight or bias are not one number for each.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.groupNorm(tl.rand([2, 6, 4, 4]), 3);
 * ```
 */
export function groupNorm(x: Tensor, numGroups: number, options: GroupNormOptions = {}): Tensor {
  const op = 'groupNorm';
  checkOptions(op, options, ['weight', 'bias', 'eps']);
  const { eps = 1e-5, ...affine } = options;
  const channels = channelsOf(op, x, affine, 2);
  checkWhole(op, 'numGroups', numGroups, 1);
  if (channels % numGroups !== 0)
    throw new ShapeError(`${op}: ${channels} channels of ${showShape(x.shape)} do not divide into ${numGroups} groups`);
  return inFloat32Affine(op, x, affine, (y, own) => {
    const [batch = 0, , ...rest] = y.shape;
    const parts = [numGroups, channels / numGroups];
    const grouped = reshape(y, [batch, ...parts, ...rest]);
    const shaped = spreadOut(own, [...parts, ...rest.map(() => 1)]);
    const dims = grouped.shape.map((_, d) => d).slice(2);
    return reshape(standardized(op, grouped, dims, eps, shaped).output, y.shape);
  });
}

/**
 * The elements of each channel of each sample [N, C, …], less their mean and over their standard deviation (`F.instance_norm`,
 * without running statistics).
 *
 * @throws ShapeError when there is but one element a channel, or weight or bias are not one number for each.
 * @throws DTypeError for integers and bools.
 */
export function instanceNorm(x: Tensor, options: GroupNormOptions = {}): Tensor {
  const op = 'instanceNorm';
  checkOptions(op, options, ['weight', 'bias', 'eps']);
  const { eps = 1e-5, ...affine } = options;
  const channels = channelsOf(op, x, affine, 3);
  if (x.shape.slice(2).every((n) => n === 1))
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} has one element a channel, whose deviation is 0; use larger images`,
    );
  return inFloat32Affine(op, x, affine, (y, own) => {
    const dims = y.shape.map((_, d) => d).slice(2);
    return standardized(op, y, dims, eps, spreadOut(own, [channels, ...dims.map(() => 1)])).output;
  });
}

/** Options of `normalize`. */
export interface NormalizeOptions {
  /** The order of the norm; 2 unless given. */
  readonly p?: number | undefined;
  /** The dim along which the norms are taken; 1 unless given. */
  readonly dim?: number | undefined;
  /** The least norm to divide by; 1e-12 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The elements over their norm along a dim (`F.normalize`). Zeros stay zeros.
 *
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const unit = tl.nn.functional.normalize(tl.tensor([[3, 4]])); // [[0.6, 0.8]]
 * ```
 */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  const op = 'normalize';
  checkOptions(op, options, ['p', 'dim', 'eps']);
  const { p = 2, dim = 1, eps = 1e-12 } = options;
  floats(op, x);
  const d = normalizeDim(op, dim, x.ndim);
  return compose(op, () =>
    inFloat32(op, [x], (y) => div(y, clamp(norm(y, { p, dim: d, keepDim: true }), { min: eps }))),
  );
}

/** Options of `cosineSimilarity`. */
export interface CosineSimilarityOptions {
  /** The dim along which vectors lie; 1 unless given. */
  readonly dim?: number | undefined;
  /** The least norm to divide by; 1e-8 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The cosine of the angles between vectors along a dim of two tensors that broadcast (`F.cosine_similarity`).
 *
 * @throws ShapeError when the shapes do not broadcast.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const similar = tl.nn.functional.cosineSimilarity(tl.rand([4, 8]), tl.rand([4, 8])); // shape [4]
 * ```
 */
export function cosineSimilarity(x1: Tensor, x2: Tensor, options: CosineSimilarityOptions = {}): Tensor {
  const op = 'cosineSimilarity';
  checkOptions(op, options, ['dim', 'eps']);
  const { dim = 1, eps = 1e-8 } = options;
  deviceOf(op, [x1, x2]);
  floats(op, x1);
  floats(op, x2);
  const shape = broadcastShapes(op, x1.shape, x2.shape);
  const d = normalizeDim(op, dim, shape.length);
  return compose(op, () =>
    inFloat32(op, [x1, x2], (a, b) => {
      const [u, v] = [a, b].map((t) => normalize(expand(t, shape), { dim: d, eps })) as [Tensor, Tensor];
      return sum(mul(u, v), { dim: d });
    }),
  );
}

const affine = (weight: Tensor | undefined, bias: Tensor | undefined): AffineOptions => ({ weight, bias });
const positive = (...shape: number[]) => ({ shape, range: [0.5, 2] as const });

/** @internal */
export const samples = (): Samples => ({
  layerNorm: {
    calls: [
      sample([[3, 5]], (x) => layerNorm(x, 5)),
      sample(
        [
          [2, 3, 5],
          [3, 5],
          [3, 5],
        ],
        (x, weight, bias) => layerNorm(x, [3, 5], { weight, bias, eps: 0.1 }),
      ),
      sample([[4], [4]], (x, weight) => layerNorm(x, [4], { weight })),
      sample([[0, 3]], (x) => layerNorm(x, [3])),
    ],
  },
  rmsNorm: {
    calls: [
      sample([[3, 5], [5]], (x, weight) => rmsNorm(x, 5, { weight })),
      sample([[2, 3, 5]], (x) => rmsNorm(x, [3, 5], { eps: 0.1 })),
    ],
  },
  batchNorm: {
    calls: [
      sample([[6, 3], [3], [3]], (x, w, b) => batchNorm(x, null, null, { ...affine(w, b), training: true })),
      sample([[2, 3, 4, 2]], (x) => batchNorm(x, null, null, { training: true, eps: 0.1 })),
      sample([[2, 3, 4], [3]], (x, b) => batchNorm(x, null, null, { bias: b, training: true })),
      sample([[4, 3, 2], [3], positive(3), [3], [3]], (x, m, v, w, b) => batchNorm(x, m, v, affine(w, b))),
      sample([[4, 3], [3], positive(3)], (x, m, v) => batchNorm(x, m, v)),
    ],
  },
  groupNorm: {
    calls: [
      sample([[2, 4, 3, 2], [4], [4]], (x, w, b) => groupNorm(x, 2, affine(w, b))),
      sample([[3, 6]], (x) => groupNorm(x, 3, { eps: 0.1 })),
      sample([[0, 4, 3]], (x) => groupNorm(x, 1)),
    ],
  },
  instanceNorm: {
    calls: [
      sample([[2, 3, 4, 2], [3], [3]], (x, w, b) => instanceNorm(x, affine(w, b))),
      sample([[2, 3, 5]], (x) => instanceNorm(x, { eps: 0.1 })),
    ],
  },
  normalize: {
    calls: [
      sample([[3, 5]], (x) => normalize(x)),
      sample([{ shape: [3, 4], distinct: true }], (x) => normalize(x, { p: 1, dim: 0 })),
      sample([[7]], (x) => normalize(x, { dim: 0, eps: 100 })),
      sample([[2, 0]], (x) => normalize(x)),
    ],
  },
  cosineSimilarity: {
    calls: [
      sample(
        [
          [3, 5],
          [3, 5],
        ],
        (x, y) => cosineSimilarity(x, y),
      ),
      sample(
        [
          [4, 1, 3],
          [2, 3],
        ],
        (x, y) => cosineSimilarity(x, y, { dim: -1 }),
      ),
    ],
  },
});
