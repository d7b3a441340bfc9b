import { noGrad } from '../autograd/grad.ts';
import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import {
  asRows,
  countRows,
  type HostRows,
  isRows,
  type Rows,
  TensorDataset,
  toTensor,
  type XY,
} from '../data/dataset.ts';
import { ge, isfinite, isnan, logicalAnd, logicalNot } from '../ops/elementwise.ts';
import { describe } from '../ops/record.ts';
import { sum } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal, step } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Inputs and targets, and what each sample counts for. */
export interface Samples {
  readonly x: Rows;
  readonly y: Rows;
  /** One number of at least 0 for each sample. */
  readonly sampleWeight?: Rows | undefined;
}

/** Batches for a pass over the data: what a `DataLoader` gives, or anything else of that form. Rows on the host are uploaded. */
export type Batches = Iterable<Samples> | AsyncIterable<Samples>;

/** @internal A batch on the device. */
export interface Uploaded {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly sampleWeight?: Tensor | undefined;
}

/** @internal */
export const isIterable = (x: unknown): x is Iterable<unknown> | AsyncIterable<unknown> =>
  typeof x === 'object' && x !== null && !isRows(x) && (Symbol.iterator in x || Symbol.asyncIterator in x);

/** @internal Tells `(x, y, options)` from `(batches, options)`. */
export function given<O extends object>(
  op: string,
  first: Rows | Batches,
  second: Rows | O | undefined,
  third: O | undefined,
): { x: Rows; y: Rows; options: O } | { batches: Batches; options: O } {
  if (isIterable(first)) return { batches: first as Batches, options: (second ?? {}) as O };
  if (!isRows(first))
    throw new UnsupportedError(
      `${op}: x is ${describe(first)}; give inputs and targets as tensors or arrays, or batches that can be iterated`,
    );
  if (!isRows(second))
    throw new UnsupportedError(`${op}: the targets y are ${describe(second)}; give one row for each sample of x`);
  return { x: first, y: second, options: third ?? ({} as O) };
}

/** Whether an element breaks a rule; one number is read where they are on a device. */
async function finds(
  op: string,
  rows: Tensor | HostRows,
  onHost: (v: number) => boolean,
  onDevice: (t: Tensor) => Tensor,
): Promise<boolean> {
  if (!(rows instanceof Tensor)) return rows.data.some(onHost);
  const count = step(op, () => noGrad(() => sum(onDevice(rows))));
  try {
    return (await count.item()) > 0;
  } finally {
    count.dispose();
  }
}

/** @internal Checked samples: as many inputs as targets and weights, at least one; no NaN among the targets. */
export async function samplesOf(op: string, { x, y, sampleWeight }: Samples): Promise<TensorDataset> {
  const [xs, ys] = [asRows(op, x), asRows(op, y)];
  const weights = sampleWeight === undefined ? undefined : asRows(op, sampleWeight);
  for (const [name, rows] of [
    ['y', ys],
    ['sampleWeight', weights ?? xs],
  ] as const)
    if (countRows(xs) !== countRows(rows))
      throw new ShapeError(
        `${op}: x has ${countRows(xs)} samples and ${name} has ${countRows(rows)}; they must be as many`,
      );
  if (countRows(xs) === 0) throw new ShapeError(`${op}: there are no samples; x has the shape ${showShape(xs.shape)}`);
  // NaN would spoil the parameters for good.
  if (!(ys instanceof Tensor && !isFloating(ys.dtype)) && (await finds(op, ys, Number.isNaN, isnan)))
    throw new DTypeError(`${op}: there is NaN among the targets y; remove or replace those samples first`);
  if (!weights) return new TensorDataset(xs, ys);
  const wrong = (v: number): boolean => !(v >= 0 && Number.isFinite(v));
  if (await finds(op, weights, wrong, (t) => logicalNot(logicalAnd(ge(t, 0), isfinite(t)))))
    throw new DTypeError(`${op}: a weight in sampleWeight is negative or no finite number; weights are at least 0`);
  const fields: { x: Rows; y: Rows } = { x: xs, y: ys, ...{ sampleWeight: weights } };
  return new TensorDataset<XY>(fields);
}

/** @internal Runs a function on a batch whose rows from the host are uploaded for as long. */
export function uploaded(op: string, batch: Samples, device: Device | undefined, fn: (batch: Uploaded) => void): void {
  if (typeof batch !== 'object' || batch === null || !isRows(batch.x) || !isRows(batch.y))
    throw new UnsupportedError(
      `${op}: a batch is ${describe(batch)}; it must be an object { x, y } of tensors or arrays`,
    );
  internal(op, () => {
    const x = toTensor(op, batch.x, device);
    const y = toTensor(op, batch.y, device);
    if (countRows(x) !== countRows(y))
      throw new ShapeError(`${op}: x has ${countRows(x)} samples and y has ${countRows(y)}; they must be as many`);
    const { sampleWeight } = batch;
    fn({ x, y, ...(sampleWeight !== undefined && { sampleWeight: toTensor(op, sampleWeight, device) }) });
  });
}

/** @internal Batches without end, for epochs of a given length: where they are used up, they start again. */
export class Endless {
  private iterator: Iterator<Samples> | AsyncIterator<Samples> | null = null;

  constructor(
    private readonly op: string,
    private readonly batches: Batches,
  ) {}

  /** The next batches, so many of them. */
  async *take(count: number): AsyncGenerator<Samples, void, undefined> {
    for (let i = 0; i < count; ) {
      const fresh = this.iterator === null;
      this.iterator ??= this.open();
      const { done, value } = await this.iterator.next();
      if (!done) {
        i++;
        yield value;
        continue;
      }
      this.iterator = null;
      if (fresh)
        throw new ShapeError(
          `${this.op}: the batches were used up after ${i} of the ${count} steps of an epoch; pass something that can be iterated again, or ask for fewer steps`,
        );
    }
  }

  private open(): Iterator<Samples> | AsyncIterator<Samples> {
    const { batches } = this;
    return Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  }

  /** Lets go of the batch that is held. */
  async close(): Promise<void> {
    await this.iterator?.return?.();
    this.iterator = null;
  }
}
