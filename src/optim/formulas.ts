import * as s from '../ir/expr.ts';
import { elementwise, floating, type Operand, type Recorded } from '../ops/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Scalar } from './scalars.ts';

/*
 * The formulas that updates are made of, each an op of its own: what is recorded in every step for every parameter is then a few
 * operations, not a dozen. They have no gradient.
 */

type Expr = s.Expr;
type Formula = ((...operands: Operand[]) => Tensor) & Recorded;

/* @__NO_SIDE_EFFECTS__ */
const formula = (lower: (...operands: Expr[]) => Expr): Formula =>
  elementwise('update', { type: floating, lower, gradient: null, sample: [0, 1] });

const weighted: Formula = formula((before: Expr, share: Expr, value: Expr, rest: Expr) =>
  s.add(s.mul(before, share), s.mul(value, rest)),
);
const weightedSquare: Formula = formula((before: Expr, share: Expr, value: Expr, rest: Expr) =>
  s.add(s.mul(before, share), s.mul(s.mul(value, value), rest)),
);
const less: Formula = formula((p: Expr, direction: Expr, rate: Expr) => s.sub(p, s.mul(direction, rate)));
const adaptive: Formula = formula((p: Expr, m: Expr, v: Expr, root: Expr, eps: Expr, rate: Expr) =>
  s.sub(p, s.mul(s.div(m, s.add(s.div(s.sqrt(v), root), eps)), rate)),
);

/** The average of before, of which a share is kept, and a new value. */
export const averaged = (before: Tensor, share: number, value: Tensor): Tensor =>
  weighted(before, share, value, 1 - share);

/** The same with the square of the new value. */
export const averagedSquare = (before: Tensor, share: number, value: Tensor): Tensor =>
  weightedSquare(before, share, value, 1 - share);

/** A parameter after a step: p - rate * direction. */
export const moved = (p: Tensor, direction: Tensor, rate: Scalar): Tensor => less(p, direction, rate);

/** A parameter after a step of Adam's kind: p - rate * m / (sqrt(v) / root + eps). */
export const movedByMoments = (p: Tensor, m: Tensor, v: Tensor, root: Scalar, eps: number, rate: Scalar): Tensor =>
  adaptive(p, m, v, root, eps, rate);
