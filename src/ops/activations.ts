import { ShapeError } from '../core/errors.ts';
import { normalizeDim, showShape } from '../core/shape.ts';
import * as s from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { gt, mul, neg, sigmoid } from './elementwise.ts';
import { where } from './functions.ts';
import { checkWhole, unflatten } from './movement.ts';
import { type Binary, compose, deviceOf, elementwise, floating } from './record.ts';
import { floats, max, softmax } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { reshape, slice } from './structure.ts';

/*
 * Activations that are more than a function of one element.
 */

const leaky: Binary = elementwise('prelu', {
  type: floating,
  lower: (x, slope) => s.select(s.lt(0, x), x, s.mul(x, slope)),
  gradient: (g, { inputs, needs }) => {
    const [x, slope] = inputs as readonly [Tensor, Tensor];
    const above = gt(x, 0);
    return [needs[0] ? where(above, g, mul(g, slope)) : null, needs[1] ? where(above, 0, mul(g, x)) : null];
  },
  saves: 'inputs',
  sample: [-3, 3],
  kinks: [0],
});

/**
 * x above 0 and a learned slope times x elsewhere, at 0 too: one slope [1] for all elements, or one for each place of dim 1 (`F.prelu`).
 *
 * @throws ShapeError when the slopes are neither one nor as many as dim 1 has places.
 * @throws DTypeError for integers and bools.
 */
export function prelu(x: Tensor, weight: Tensor): Tensor {
  deviceOf('prelu', [x, weight]);
  floats('prelu', x);
  floats('prelu', weight);
  const channels = x.ndim < 2 ? 1 : x.shape[1]!;
  if (weight.ndim > 1 || (weight.size !== 1 && weight.size !== channels))
    throw new ShapeError(
      `prelu: weight ${showShape(weight.shape)} must be of shape [1] or [${channels}], one slope for each channel of ${showShape(x.shape)}`,
    );
  return compose('prelu', () =>
    leaky(x, reshape(weight, weight.size === 1 ? [] : [weight.size, ...x.shape.slice(2).map(() => 1)])),
  );
}

/**
 * The first half of a dim times the sigmoid of the second (`F.glu`).
 *
 * @throws ShapeError when the size of the dim is odd.
 * @throws DTypeError for integers and bools.
 */
export function glu(x: Tensor, dim = -1): Tensor {
  floats('glu', x);
  const d = normalizeDim('glu', dim, x.ndim);
  const n = x.shape[d] ?? 1;
  if (n % 2 !== 0)
    throw new ShapeError(`glu: dim ${dim} of ${showShape(x.shape)} has ${n} elements; it takes an even number of them`);
  return compose('glu', () => mul(slice(x, d, 0, n / 2), sigmoid(slice(x, d, n / 2))));
}

/**
 * softmax(-x) along a dim (`F.softmin`).
 *
 * @throws DTypeError for integers and bools.
 */
export function softmin(x: Tensor, dim: number): Tensor {
  floats('softmin', x);
  return compose('softmin', () => softmax(neg(x), dim));
}

/**
 * The largest of each `pieces` neighbours along a dim: after a linear layer with `pieces` times as many outputs, the maxout
 * units of Goodfellow et al., 2013. The gradient goes to the first of equals.
 *
 * @throws ShapeError when the size of the dim does not divide by `pieces`.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.maxout(tl.rand([8, 12]), 3); // shape [8, 4]
 * ```
 */
export function maxout(x: Tensor, pieces: number, dim = -1): Tensor {
  floats('maxout', x);
  checkWhole('maxout', 'pieces', pieces, 1);
  const d = normalizeDim('maxout', dim, x.ndim);
  const n = x.shape[d] ?? 1;
  if (x.ndim === 0 || n % pieces !== 0)
    throw new ShapeError(
      `maxout: the ${n} elements of dim ${dim} of ${showShape(x.shape)} do not divide into groups of ${pieces}`,
    );
  return compose('maxout', () => max(unflatten(x, d, [n / pieces, pieces]), { dim: d + 1 }).values);
}

/** @internal */
export const samples = (): Samples => ({
  prelu: {
    calls: [
      sample([{ shape: [3, 4], distinct: true }, [1]], prelu),
      sample([{ shape: [2, 3, 4], distinct: true }, [3]], prelu),
      sample([{ shape: [4], distinct: true }, []], prelu),
    ],
  },
  glu: { calls: [sample([[3, 4]], (x) => glu(x)), sample([[4, 3]], (x) => glu(x, 0))] },
  softmin: { calls: [sample([[3, 5]], (x) => softmin(x, 1))] },
  maxout: {
    calls: [
      sample([{ shape: [3, 6], distinct: true }], (x) => maxout(x, 3)),
      sample([{ shape: [2, 4, 3], distinct: true }], (x) => maxout(x, 2, 1)),
    ],
  },
});
