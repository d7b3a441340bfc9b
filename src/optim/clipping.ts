import { UnsupportedError } from '../core/errors.ts';
import { add, cast, clamp, div, isfinite, mul } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { guarded } from '../ops/guard.ts';
import { stack } from '../ops/joins.ts';
import { norm } from '../ops/norms.ts';
import { checkFlag, checkOptions, compose, describe } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Options of `clipGradNorm`. */
export interface ClipGradNormOptions {
  /** The order of the norm: any number, or Infinity for the largest magnitude; 2 unless given. */
  readonly normType?: number | undefined;
  /** A NumericsError at the next await where the norm is not finite, and no clipping there; false unless given. */
  readonly errorIfNonfinite?: boolean | undefined;
}

/** @internal Checks what `clipGradNorm` is given. */
export function checkClipNorm(op: string, maxNorm: unknown, options: ClipGradNormOptions): void {
  checkOptions(op, options, ['normType', 'errorIfNonfinite']);
  checkFlag(op, 'errorIfNonfinite', options.errorIfNonfinite);
  const { normType = 2 } = options;
  if (typeof normType !== 'number' || Number.isNaN(normType))
    throw new UnsupportedError(`${op}: normType is ${describe(normType)}, but it must be the order of a norm`);
  if (typeof maxNorm !== 'number' || !(maxNorm >= 0))
    throw new UnsupportedError(`${op}: maxNorm is ${describe(maxNorm)}, but it must be a number of at least 0`);
}

/** @internal Checks what `clipGradValue` is given. */
export function checkClipValue(op: string, clipValue: unknown): void {
  if (typeof clipValue !== 'number' || !(clipValue >= 0))
    throw new UnsupportedError(`${op}: clipValue is ${describe(clipValue)}, but it must be a number of at least 0`);
}

/** float16 as float32: sums of squares would overflow. */
const wide = (x: Tensor): Tensor => (x.dtype === 'float16' ? cast(x, 'float32') : x);

/** @internal Gradients scaled so that their norm, as of one vector, is at most `maxNorm`; and that norm before. One must have elements. */
export function clippedByNorm(
  op: string,
  gradients: readonly Tensor[],
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipGradNormOptions,
): { readonly total: Tensor; readonly gradients: Tensor[] } {
  return compose(op, () => {
    const each = gradients.filter((g) => g.size > 0).map((g) => norm(wide(g), { p: normType }));
    const found = each.length === 1 ? (each[0] as Tensor) : norm(stack(each), { p: normType });
    const finite = isfinite(found);
    const total = errorIfNonfinite ? reshape(guarded(op, reshape(found, [1]), finite, 'infinite'), []) : found;
    const factor = clamp(div(maxNorm, add(total, 1e-6)), { max: 1 });
    const safe = errorIfNonfinite ? where(finite, factor, 1) : factor;
    return { total, gradients: gradients.map((g) => cast(mul(g, safe), g.dtype)) };
  });
}

/** @internal Gradients with their elements limited to ±clipValue. */
export const clippedByValue = (op: string, gradients: readonly Tensor[], clipValue: number): Tensor[] =>
  compose(op, () => gradients.map((g) => clamp(g, { min: -clipValue, max: clipValue })));
