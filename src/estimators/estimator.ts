import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { type Rows, toTensor } from '../data/dataset.ts';
import { cast, div, eq, square, sub } from '../ops/elementwise.ts';
import { compose, describe } from '../ops/record.ts';
import { mean } from '../ops/reductions.ts';
import { reshape, sum } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { keep } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What estimators have in common: tensors that were learned and are their own, until `dispose` or the next `fit`. */
export abstract class Estimator<Learned extends Readonly<Record<string, Tensor>>> {
  /** For messages. */
  protected abstract readonly name: string;
  private learned: Learned | null = null;

  /** Frees what was learned. */
  dispose(): void {
    for (const t of Object.values(this.learned ?? {})) t.dispose();
    this.learned = null;
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What was learned, for `what`. */
  protected fitted(what: string): Learned {
    if (!this.learned) throw new UnsupportedError(`${this.name}.${what}: it was not fitted yet; await fit(...) first`);
    return this.learned;
  }

  /** Takes over what was learned, in place of what was before. */
  protected learn(found: Learned): void {
    this.dispose();
    for (const t of Object.values(found)) keep(t);
    this.learned = found;
  }

  /** Rows [samples, columns] as float32: a handle of its own, made in the scope that is open. */
  protected rows(what: string, x: Rows, device?: Device): Tensor {
    const op = `${this.name}.${what}`;
    const given = toTensor(op, x, device);
    if (given.ndim !== 2 || given.shape[1] === 0)
      throw new ShapeError(`${op}: x of ${showShape(given.shape)} must be of shape [samples, columns]`);
    return cast(given, 'float32');
  }

  /** Refuses rows that are too few. */
  protected enough(what: string, x: Tensor, least: number): void {
    const n = x.shape[0] ?? 0;
    if (n < least)
      throw new ShapeError(`${this.name}.${what}: ${n} samples are too few; there must be at least ${least}`);
  }

  /** Refuses rows with other columns than those it was fitted to. */
  protected columns(what: string, x: Tensor, columns: number): void {
    if (x.shape[1] !== columns)
      throw new ShapeError(
        `${this.name}.${what}: x has ${x.shape[1]} columns where it was fitted to ${columns}; give the same ones`,
      );
  }

  /** Targets of as many rows as x has: a handle of its own, made in the scope that is open. */
  protected targets(what: string, x: Tensor, y: Rows): Tensor {
    const given = toTensor(`${this.name}.${what}`, y, x.device);
    if (given.ndim === 0 || given.shape[0] !== x.shape[0])
      throw new ShapeError(
        `${this.name}.${what}: x has ${x.shape[0]} samples and y is ${showShape(given.shape)}; each sample needs one of both`,
      );
    return reshape(given, given.shape);
  }
}

/** A whole number of at least `least`, or an error. */
export function whole(op: string, name: string, value: unknown, least = 1): void {
  if (!Number.isSafeInteger(value) || Number(value) < least)
    throw new UnsupportedError(
      `${op}: ${name} is ${describe(value)}, but it must be a whole number of at least ${least}`,
    );
}

/** A number above 0, or an error. */
export function positive(op: string, name: string, value: unknown, orZero = false): void {
  if (typeof value !== 'number' || !(orZero ? value >= 0 : value > 0))
    throw new UnsupportedError(
      `${op}: ${name} is ${describe(value)}, but it must be a number ${orZero ? 'that is not negative' : 'above 0'}`,
    );
}

/** The coefficient of determination R², the mean over targets (`sklearn.metrics.r2_score`). */
export const r2 = (predicted: Tensor, y: Tensor): Tensor =>
  compose('r2', () => {
    const residual = sum(square(sub(y, predicted)), { dim: 0 });
    const spread = sum(square(sub(y, mean(y, { dim: 0, keepDim: true }))), { dim: 0 });
    return mean(sub(1, div(residual, spread)));
  });

/** The share of equal labels. */
export const accuracy = (predicted: Tensor, y: Tensor): Tensor =>
  compose('accuracy', () => mean(cast(eq(predicted, y), 'float32')));
