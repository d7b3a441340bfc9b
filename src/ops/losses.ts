import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { full } from './creation.ts';
import { abs, add, clamp, div, exp, gt, log, lt, maximum, mul, square, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { checkFlag, checkOptions, checkTensor, compose, describe, deviceOf, taped } from './record.ts';
import { floats, mean } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { inFloat32, sum, unsqueeze } from './structure.ts';

/*
 * What all losses share, and those of regression. Losses of classes are in classification.ts, those of pairs and distances in
 * ranking.ts.
 */

/** How the losses of single elements become one: their mean, their sum, or not at all. */
export type LossReduction = 'mean' | 'sum' | 'none';

/** Options that every loss has. */
export interface LossOptions {
  /** 'mean' unless given. */
  readonly reduction?: LossReduction | undefined;
}

/** @internal The losses of single elements as one. */
export function reduceLoss(op: string, loss: Tensor, reduction: LossReduction = 'mean'): Tensor {
  switch (reduction) {
    case 'mean':
      return mean(loss);
    case 'sum':
      return sum(loss);
    case 'none':
      return loss;
    default:
      throw new UnsupportedError(`${op}: reduction ${String(reduction)} is unknown; use 'mean', 'sum' or 'none'`);
  }
}

/** @internal A loss from what it gives for single elements; float16 is computed with in float32. */
export function lossOf(
  op: string,
  inputs: readonly Tensor[],
  reduction: LossReduction | undefined,
  each: (...inputs: Tensor[]) => Tensor,
): Tensor {
  return compose(op, () => inFloat32(op, inputs, (...given) => reduceLoss(op, each(...given), reduction)));
}

/** @internal Refuses predictions that are no floats, and targets of another shape. */
export function sameShapes(op: string, input: Tensor, target: Tensor): void {
  checkTensor(op, input);
  checkTensor(op, target);
  deviceOf(op, [input, target]);
  if (!sameShape(input.shape, target.shape))
    throw new ShapeError(
      `${op}: input ${showShape(input.shape)} and target ${showShape(target.shape)} must have the same shape; reshape one of them`,
    );
  floats(op, input);
}

/** @internal A number among the options of a loss. */
export function checkNumber(
  op: string,
  name: string,
  value: unknown,
  fits: (v: number) => boolean = Number.isFinite,
  rule = 'a finite number',
): void {
  if (typeof value !== 'number' || !fits(value))
    throw new UnsupportedError(`${op}: ${name} is ${describe(value)}, but it must be ${rule}`);
}

const above = (v: number): boolean => v > 0 && Number.isFinite(v);
const atLeast = (v: number): boolean => v >= 0 && Number.isFinite(v);

/**
 * Squared differences (`F.mse_loss`).
 *
 * @throws ShapeError when the shapes differ.
 * @example
 * ```ts
 * const loss = tl.nn.functional.mseLoss(tl.tensor([1, 2]), tl.tensor([1, 4])); // 2
 * ```
 */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  const op = 'mseLoss';
  checkOptions(op, options, ['reduction']);
  sameShapes(op, input, target);
  return lossOf(op, [input, target], options.reduction, (x, y) => square(sub(x as Tensor, y as Tensor)));
}

/**
 * Magnitudes of differences (`F.l1_loss`); their gradient is 0 where both are equal.
 *
 * @throws ShapeError when the shapes differ.
 */
export function l1Loss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  const op = 'l1Loss';
  checkOptions(op, options, ['reduction']);
  sameShapes(op, input, target);
  return lossOf(op, [input, target], options.reduction, (x, y) => abs(sub(x as Tensor, y as Tensor)));
}

/** Options of `smoothL1Loss`. */
export interface SmoothL1LossOptions extends LossOptions {
  /** Differences smaller than this are squared; 1 unless given, and with 0 it is `l1Loss`. */
  readonly beta?: number | undefined;
}

/** Options of `huberLoss`. */
export interface HuberLossOptions extends LossOptions {
  /** Differences smaller than this are squared; 1 unless given. */
  readonly delta?: number | undefined;
}

/** Half the square of d up to `limit`, then limit * (|d| - limit / 2), over `scale`: one formula, so that both derivatives are right. */
function huber(x: Tensor, y: Tensor, limit: number, scale: number): Tensor {
  const d = sub(x, y);
  const near = clamp(d, { min: -limit, max: limit });
  return mul(scale === 1 ? near : div(near, scale), sub(d, mul(near, 0.5)));
}

/**
 * Half the squared difference over `beta` where it is less than `beta`, and the magnitude less beta / 2 elsewhere
 * (`F.smooth_l1_loss`; Girshick, arXiv 1504.08083).
 *
 * @throws ShapeError when the shapes differ.
 * @throws UnsupportedError for a `beta` below 0.
 */
export function smoothL1Loss(input: Tensor, target: Tensor, options: SmoothL1LossOptions = {}): Tensor {
  const op = 'smoothL1Loss';
  checkOptions(op, options, ['reduction', 'beta']);
  const { reduction, beta = 1 } = options;
  checkNumber(op, 'beta', beta, atLeast, 'a finite number of at least 0');
  sameShapes(op, input, target);
  return lossOf(op, [input, target], reduction, (x, y) =>
    beta === 0 ? abs(sub(x as Tensor, y as Tensor)) : huber(x as Tensor, y as Tensor, beta, beta),
  );
}

/**
 * Half the squared difference where it is less than `delta`, and delta * (magnitude - delta / 2) elsewhere (`F.huber_loss`).
 *
 * @throws ShapeError when the shapes differ.
 * @throws UnsupportedError unless `delta` is above 0.
 */
export function huberLoss(input: Tensor, target: Tensor, options: HuberLossOptions = {}): Tensor {
  const op = 'huberLoss';
  checkOptions(op, options, ['reduction', 'delta']);
  const { reduction, delta = 1 } = options;
  checkNumber(op, 'delta', delta, above, 'a finite number above 0');
  sameShapes(op, input, target);
  return lossOf(op, [input, target], reduction, (x, y) => huber(x as Tensor, y as Tensor, delta, 1));
}

/** Options of `poissonNllLoss`. */
export interface PoissonNllLossOptions extends LossOptions {
  /** The input is the logarithm of the rate; true unless given. */
  readonly logInput?: boolean | undefined;
  /** Add Stirling's approximation of log(target!) for targets above 1; false unless given. */
  readonly full?: boolean | undefined;
  /** Added to a rate before its logarithm; 1e-8 unless given. */
  readonly eps?: number | undefined;
}

/**
 * The negative log-likelihood of counts under Poisson distributions: exp(input) - target * input, or for rates
 * input - target * log(input + eps) (`F.poisson_nll_loss`).
 *
 * @throws ShapeError when the shapes differ.
 */
export function poissonNllLoss(input: Tensor, target: Tensor, options: PoissonNllLossOptions = {}): Tensor {
  const op = 'poissonNllLoss';
  checkOptions(op, options, ['reduction', 'logInput', 'full', 'eps']);
  const { reduction, logInput = true, full: complete = false, eps = 1e-8 } = options;
  checkFlag(op, 'logInput', logInput);
  checkFlag(op, 'full', complete);
  checkNumber(op, 'eps', eps, atLeast, 'a finite number of at least 0');
  sameShapes(op, input, target);
  return lossOf(op, [input, target], reduction, (...given) => {
    const [x, y] = given as [Tensor, Tensor];
    const loss = logInput ? sub(exp(x), mul(y, x)) : sub(x, mul(y, log(add(x, eps))));
    if (!complete) return loss;
    const large = gt(y, 1);
    // What is not chosen must not be infinite: its gradient would be NaN.
    const n = where(large, y, 1);
    const stirling = add(sub(mul(n, log(n)), n), mul(log(mul(n, 2 * Math.PI)), 0.5));
    return add(loss, where(large, stirling, 0));
  });
}

/** Options of `gaussianNllLoss`. */
export interface GaussianNllLossOptions extends LossOptions {
  /** Add the constant log(2 pi) / 2; false unless given. */
  readonly full?: boolean | undefined;
  /** The least variance; 1e-6 unless given. */
  readonly eps?: number | undefined;
}

/** Variances of at least `eps`, and NaN for negative ones; the gradient is that of the variance itself, as in PyTorch. */
function atLeastEps(op: string, variance: Tensor, eps: number): Tensor {
  const out = compose(op, () => withGrad(false, () => where(lt(variance, 0), Number.NaN, maximum(variance, eps))));
  return taped(op, { gradient: (g) => [g], saves: 'nothing' }, [variance], out);
}

/**
 * The negative log-likelihood of targets under normal distributions of the given means and variances:
 * (log(variance) + (input - target)^2 / variance) / 2 (`F.gaussian_nll_loss`). The variance is a number, of the input's shape, or of
 * that shape with one element, or none, in place of the last dim. A negative variance gives NaN.
 *
 * @throws ShapeError when the shapes do not fit.
 * @throws UnsupportedError unless `eps` is above 0.
 * @example
 * ```ts
 * const loss = tl.nn.functional.gaussianNllLoss(tl.zeros([4, 2]), tl.ones([4, 2]), tl.full([4, 1], 0.5));
 * ```
 */
export function gaussianNllLoss(
  input: Tensor,
  target: Tensor,
  variance: Tensor | number,
  options: GaussianNllLossOptions = {},
): Tensor {
  const op = 'gaussianNllLoss';
  checkOptions(op, options, ['reduction', 'full', 'eps']);
  const { reduction, full: complete = false, eps = 1e-6 } = options;
  checkFlag(op, 'full', complete);
  checkNumber(op, 'eps', eps, above, 'a finite number above 0');
  sameShapes(op, input, target);
  if (typeof variance !== 'number') {
    checkTensor(op, variance);
    deviceOf(op, [input, variance]);
    floats(op, variance);
    const rows = input.shape.slice(0, -1);
    if (![input.shape, rows, [...rows, 1]].some((shape) => sameShape(shape, variance.shape)))
      throw new ShapeError(
        `${op}: a variance of shape ${showShape(variance.shape)} does not fit the input ${showShape(input.shape)}; ` +
          `give one for each element, or one for each row, of shape ${showShape([...rows, 1])}`,
      );
  }
  return compose(op, () => {
    const spread = typeof variance === 'number' ? full([], variance, { device: input.device }) : variance;
    const wide = spread.ndim > 0 && spread.ndim < input.ndim ? unsqueeze(spread, -1) : spread;
    return lossOf(op, [input, target, wide], reduction, (...given) => {
      const [x, y, v] = given as [Tensor, Tensor, Tensor];
      const safe = atLeastEps(op, v, eps);
      const loss = mul(add(log(safe), div(square(sub(x, y)), safe)), 0.5);
      return complete ? add(loss, 0.5 * Math.log(2 * Math.PI)) : loss;
    });
  });
}

const counts: Drawn = { shape: [3, 4], range: [0.25, 4] };
const pairs = (call: (x: Tensor, y: Tensor, options: LossOptions) => Tensor): Samples[string] => ({
  calls: [
    sample([[7], [7]], (x, y) => call(x, y, {})),
    sample(
      [
        [3, 5],
        [3, 5],
      ],
      (x, y) => call(x, y, { reduction: 'sum' }),
    ),
    sample([[], []], (x, y) => call(x, y, { reduction: 'none' })),
    sample(
      [
        [0, 2],
        [0, 2],
      ],
      (x, y) => call(x, y, { reduction: 'none' }),
    ),
  ],
});

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  mseLoss: pairs(mseLoss),
  l1Loss: pairs(l1Loss),
  smoothL1Loss: pairs((x, y, options) => smoothL1Loss(x, y, { ...options, beta: 0.7 })),
  huberLoss: pairs((x, y, options) => huberLoss(x, y, { ...options, delta: 0.6 })),
  poissonNllLoss: {
    calls: [
      sample([[3, 4], counts], (x, y) => poissonNllLoss(x, y, { full: true })),
      sample([counts, counts], (x, y) => poissonNllLoss(x, y, { logInput: false, reduction: 'sum', eps: 0.1 })),
    ],
  },
  gaussianNllLoss: {
    calls: [
      sample([[3, 4], [3, 4], counts], (x, y, v) => gaussianNllLoss(x, y, v)),
      sample([[3, 4], [3, 4], { shape: [3], range: [0.25, 4] }], (x, y, v) =>
        gaussianNllLoss(x, y, v, { full: true, reduction: 'none' }),
      ),
      sample([[5], [5]], (x, y) => gaussianNllLoss(x, y, 0.5, { reduction: 'sum' })),
    ],
  },
});
