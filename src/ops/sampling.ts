import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, showShape } from '../core/shape.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { rand, setup, type TensorOptions, zerosLike } from './creation.ts';
import { add, cast, div, ge, gt, isfinite, log, logicalAnd, maximum, mul, neg } from './elementwise.ts';
import { where } from './functions.ts';
import { gather } from './gather.ts';
import { guarded } from './guard.ts';
import { all } from './masks.ts';
import { randomBits } from './random.ts';
import { checkOptions, compose, describe, deviceOf } from './record.ts';
import { argmax } from './reductions.ts';
import { argsort, topk } from './sorting.ts';
import { expand, reshape, unsqueeze } from './structure.ts';

/**
 * The whole numbers from 0 up to, not including, n in random order (`torch.randperm`), as int32 unless another dtype is given. The
 * same on every device for the same seed.
 *
 * @throws UnsupportedError unless n is a whole number that is not negative.
 * @example
 * ```ts
 * const x = tl.randn([6, 2]);
 * const shuffled = x.indexSelect(0, tl.randperm(6));
 * ```
 */
export function randperm(n: number, options: TensorOptions = {}): Tensor {
  const { device } = setup('randperm', options);
  if (!Number.isSafeInteger(n) || n < 0 || n >= 2 ** 31)
    throw new UnsupportedError(`randperm: n is ${describe(n)}, but it must be a whole number from 0 to 2^31 - 1`);
  const out = compose('randperm', () => cast(argsort(randomBits(device, [n])), options.dtype ?? 'int32'));
  if (options.requiresGrad) out.requiresGrad = true;
  return out;
}

/** Options of `multinomial`. */
export interface MultinomialOptions {
  /** Whether a category may be drawn again; false by default. */
  readonly replacement?: boolean | undefined;
}

/**
 * Categories drawn at random (`torch.multinomial`): `count` places for each row of weights, as int32 of shape [count] or
 * [rows, count]. The weights need not sum to 1. Each draw takes the largest of weight / e with e exponentially distributed
 * (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006), so that drawing with replacement takes a random
 * number for each draw and category.
 *
 * @throws ShapeError unless the weights have one or two dims, and at least `count` categories where none is drawn twice.
 * @throws DTypeError for weights that are no floats.
 * @throws NumericsError at the next await, for weights that are negative or not finite, and where fewer than `count` are above 0
 * (one, with replacement).
 * @example
 * ```ts
 * const token = tl.multinomial(tl.randn([1000]).softmax(0), 1);
 * ```
 */
export function multinomial(weights: Tensor, count: number, options: MultinomialOptions = {}): Tensor {
  checkOptions('multinomial', options, [], ['replacement']);
  const device = deviceOf('multinomial', [weights]);
  const { shape, ndim, dtype } = weights;
  if (!isFloating(dtype))
    throw new DTypeError(`multinomial: weights must be floats, got ${dtype}; convert them with .to('float32')`);
  const n = shape[ndim - 1] ?? 0;
  if (ndim < 1 || ndim > 2 || n === 0)
    throw new ShapeError(
      `multinomial: weights of ${showShape(shape)} must be [categories] or [rows, categories], with a category or more`,
    );
  if (!Number.isSafeInteger(count) || count < 1)
    throw new ShapeError(`multinomial: count is ${describe(count)}, but it must be a whole number of at least 1`);
  const { replacement = false } = options;
  if (!replacement && count > n)
    throw new ShapeError(
      `multinomial: ${count} different ones of ${n} categories cannot be drawn; draw fewer, or with { replacement: true }`,
    );
  return compose('multinomial', () =>
    withGrad(false, () => {
      const rows = cast(reshape(weights, [-1, n]), 'float32');
      const draws = replacement ? count : 1;
      const wide = expand(unsqueeze(rows, 1), [rows.shape[0]!, draws, n]);
      // At least 2^-25, so that weights of 0 give 0, never 0 / 0.
      const exponential = maximum(neg(log(add(rand(wide.shape, { device }), 2 ** -24))), 2 ** -25);
      const keys = div(wide, exponential);
      const [places, drawn] = replacement
        ? ((at: Tensor) => [at, gather(keys, 2, unsqueeze(at, 2))] as const)(argmax(keys, { dim: 2 }))
        : ((top) => [top.indices, top.values] as const)(topk(keys, count, { dim: 2 }));
      const flat = [rows.shape[0]!, count];
      const fit = all(logicalAnd(ge(rows, 0), isfinite(rows)), { dim: 1, keepDim: true });
      const enough = logicalAnd(fit, gt(reshape(drawn, flat), 0));
      const out = guarded('multinomial', reshape(places, flat), enough, 'probabilities');
      return ndim === 1 ? reshape(out, [count]) : out;
    }),
  );
}

/** @internal Throws unless the value is a probability. */
export function checkProbability(op: string, p: unknown): void {
  if (typeof p !== 'number' || !(p >= 0 && p <= 1))
    throw new UnsupportedError(`${op}: p is ${describe(p)}, but it must be a probability, from 0 to 1`);
}

/** @internal The elements, each with probability p replaced by 0 and otherwise scaled by 1 / (1 - p); together where the shape has 1. */
export function dropped(x: Tensor, p: number, shape: Shape = x.shape): Tensor {
  if (p === 0) return x;
  if (p === 1) return mul(x, zerosLike(x));
  return where(ge(rand(shape, { device: x.device }), p), mul(x, 1 / (1 - p)), 0);
}
