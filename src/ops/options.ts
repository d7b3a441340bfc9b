import { type DType, integerRange, isFloating } from '../core/dtype.ts';
import { DTypeError } from '../core/errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkOptions, describe, type Operand, type Recorded } from './record.ts';

/** An op with options: it calls recorded ops, from which its tests are generated. */
export interface Wrapping {
  /** @internal */
  readonly parts: () => readonly (((...operands: never[]) => Tensor) & Recorded)[];
}

/** Names the recorded ops that a function with options calls. */
/* @__NO_SIDE_EFFECTS__ */
export function wrapping<F extends (...args: never[]) => unknown>(call: F, parts: Wrapping['parts']): F & Wrapping {
  return Object.assign(call, { parts });
}

/** The numbers among an op's options, with their defaults; unknown names and other values are refused. */
export function numberOptions<K extends string>(
  op: string,
  options: { readonly [name in K]?: number | undefined } | undefined,
  defaults: Readonly<Record<K, number>>,
): Readonly<Record<K, number>> {
  if (options === undefined) return defaults;
  checkOptions(op, options, Object.keys(defaults));
  const out: Record<K, number> = { ...defaults };
  for (const name of Object.keys(defaults) as K[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== 'number')
      throw new DTypeError(
        `${op}: option ${name} is a number, got ${describe(value)}; leave it out for ${defaults[name]}`,
      );
    out[name] = value;
  }
  return out;
}

/** A number to be put into a tensor of a dtype: refused where it would lose something on the way. */
export function fittingNumber(op: string, dtype: DType, value: number): number {
  if (isFloating(dtype)) return value;
  if (dtype === 'bool') return Number(value !== 0);
  const [least, most] = integerRange(dtype)!;
  if (!Number.isInteger(value) || value < least || value > most)
    throw new DTypeError(
      `${op}: ${dtype} cannot hold the value ${value}; give a whole number from ${least} to ${most}, or convert with .to('float32')`,
    );
  return value;
}

/** As `fittingNumber`, for a number or a tensor. */
export function fitting(op: string, dtype: DType, value: Operand): Operand {
  if (typeof value === 'number') return fittingNumber(op, dtype, value);
  if (isFloating(value.dtype) && !isFloating(dtype))
    throw new DTypeError(
      `${op}: a ${value.dtype} value does not fit into ${dtype} without loss; convert it with .to('${dtype}')`,
    );
  return value;
}
