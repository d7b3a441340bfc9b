import type { DType } from '../core/dtype.ts';
import { DTypeError, UnsupportedError } from '../core/errors.ts';
import { type Expr, select } from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { elementwise, meeting, type Operand, type Recorded } from './record.ts';

/** Chooses between two operands by a bool tensor; all three broadcast. */
export type Where = ((condition: Tensor, x: Operand, y: Operand) => Tensor) & Recorded;

function chosenType(op: string, [condition, x, y]: readonly Operand[]): DType {
  if (typeof condition === 'number' || condition === undefined)
    throw new UnsupportedError(`${op}: the condition must be a bool tensor, got a number; make one with a comparison`);
  if (condition.dtype !== 'bool')
    throw new DTypeError(`${op}: the condition must be bool, got ${condition.dtype}; make one with ne(x, 0)`);
  const values = [x, y].filter((v) => v !== undefined);
  return values.every((v) => typeof v === 'number') ? 'float32' : meeting(op, values);
}

/** A bool operand before it was cast to the dtype of the others. */
const uncast = (x: Expr): Expr => {
  const [inner = x] = x.args;
  return x.op === 'cast' ? inner : x;
};

/**
 * Elements of `x` where the condition holds and of `y` elsewhere; the operands broadcast and promote (`torch.where`). What is
 * not chosen does not count: a NaN there stays hidden, and its gradient is 0.
 *
 * @throws DTypeError when the condition is not bool.
 * @example
 * ```ts
 * const positive = tl.where(x.gt(0), x, 0);
 * ```
 */
export const where: Where = elementwise('where', {
  type: chosenType,
  lower: (condition, x, y) => select(uncast(condition), x, y),
  gradient: (g, { inputs, needs }) => {
    const [condition] = inputs as readonly [Tensor];
    return [null, needs[1] ? where(condition, g, 0) : null, needs[2] ? where(condition, 0, g) : null];
  },
  saves: [0],
  sample: [
    [0, 1],
    [-3, 3],
    [-3, 3],
  ],
});
