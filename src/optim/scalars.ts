/*
 * Arithmetic on what is the same for all elements of a parameter, such as the correction of a bias: numbers of the host, or scalars
 * on the device once a GradScaler decides there which steps count.
 */
import { add, div, exp, expm1, gt, mul, neg, sqrt, sub } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import type { Operand } from '../ops/record.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A number of a step: on the host, or a scalar tensor on the device. */
export type Scalar = number | Tensor;

const either =
  (host: (a: number, b: number) => number, device: (a: Operand, b: Operand) => Tensor) =>
  (a: Scalar, b: Scalar): Scalar =>
    typeof a === 'number' && typeof b === 'number' ? host(a, b) : device(a, b);

type Arithmetic = (a: Scalar, b: Scalar) => Scalar;

export const plus: Arithmetic = /* @__PURE__ */ either((a, b) => a + b, add);
export const minus: Arithmetic = /* @__PURE__ */ either((a, b) => a - b, sub);
export const times: Arithmetic = /* @__PURE__ */ either((a, b) => a * b, mul);
export const over: Arithmetic = /* @__PURE__ */ either((a, b) => a / b, div);

export const root = (x: Scalar): Scalar => (typeof x === 'number' ? Math.sqrt(x) : sqrt(x));

/** base^t. */
export const power = (base: number, t: Scalar): Scalar =>
  typeof t === 'number' ? base ** t : exp(mul(t, Math.log(base)));

/** 1 - base^t, on the device without the loss of digits that the difference would bring. */
export const complement = (base: number, t: Scalar): Scalar =>
  typeof t === 'number' ? 1 - base ** t : neg(expm1(mul(t, Math.log(base))));

/** `yes` where x is above a limit, and `no` elsewhere; on the device both are computed. */
export const ifAbove = (x: Scalar, limit: number, yes: Scalar, no: Scalar): Scalar =>
  typeof x === 'number' ? (x > limit ? yes : no) : where(gt(x, limit), yes, no);
