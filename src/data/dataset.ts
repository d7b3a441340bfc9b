import { DTYPES, type DType, isDType } from '../core/dtype.ts';
import { FormatError, IndexError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, showShape, sizeOf } from '../core/shape.ts';
import { type NestedNumbers, tensor } from '../ops/creation.ts';
import { indexSelect } from '../ops/gather.ts';
import { stack } from '../ops/joins.ts';
import { compose, describe } from '../ops/record.ts';
import type { Device } from '../tensor/device.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Typed arrays that hold rows on the host. Bytes stay bytes, other integers become int32 (Uint32Array: uint32), floats float32. */
export type TypedRows =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Int8Array
  | Int16Array
  | Uint16Array
  | Uint8ClampedArray;

/** Rows on the host: the elements, row by row, and their shape, whose first size is the number of rows. */
export interface HostRows {
  readonly data: TypedRows;
  readonly shape: Shape;
  /** What the typed array suggests unless given. */
  readonly dtype?: DType | undefined;
}

/**
 * Samples, one a row: a tensor, a typed array (one number a row), nested arrays, or elements with a shape. What is on the host
 * stays there, and is uploaded batch by batch.
 */
export type Rows = Tensor | TypedRows | HostRows | readonly NestedNumbers[];

/** What a loader gives: tensors by name, with one row a sample. */
export type Batch = Readonly<Record<string, Tensor>>;

/** Inputs and targets. */
export interface XY extends Batch {
  readonly x: Tensor;
  readonly y: Tensor;
}

/** One sample: for each name of the batch a tensor, numbers, or one number. */
export type Sample<B extends Batch = XY> = { readonly [K in keyof B]: Tensor | TypedRows | NestedNumbers };

const TYPES = [
  Float32Array,
  Float64Array,
  Int32Array,
  Uint32Array,
  Uint8Array,
  Int8Array,
  Int16Array,
  Uint16Array,
  Uint8ClampedArray,
] as const;

const isTyped = (x: unknown): x is TypedRows => ArrayBuffer.isView(x) && !(x instanceof DataView);

/** @internal Whether a value can be taken as rows, by its look. */
export const isRows = (x: unknown): x is Rows =>
  x instanceof Tensor ||
  isTyped(x) ||
  (Array.isArray(x) &&
    (x.length === 0 || typeof x[0] === 'number' || typeof x[0] === 'boolean' || Array.isArray(x[0]))) ||
  (typeof x === 'object' && x !== null && 'data' in x && 'shape' in x);

/** @internal Rows of one kind: on a device, or on the host with a shape. */
export function asRows(op: string, rows: Rows): Tensor | HostRows {
  if (rows instanceof Tensor) {
    rows.alive(op);
    if (rows.ndim === 0) throw new ShapeError(`${op}: a scalar has no rows; reshape it to [1] or more dims`);
    return rows;
  }
  if (isTyped(rows)) return { data: rows, shape: [rows.length] };
  if (Array.isArray(rows)) return nestedRows(op, rows);
  if (!isRows(rows))
    throw new FormatError(
      `${op}: ${describe(rows)} are no samples; give a tensor, a typed array, nested arrays, or { data, shape }`,
    );
  const { data, shape, dtype } = rows as HostRows;
  if (!isTyped(data))
    throw new FormatError(`${op}: the data of { data, shape } is ${describe(data)}; it must be a typed array`);
  if (dtype !== undefined && !isDType(dtype))
    throw new FormatError(`${op}: ${describe(dtype)} is no dtype; use ${DTYPES}`);
  if (shape.length === 0 || sizeOf(shape) !== data.length)
    throw new ShapeError(
      `${op}: ${data.length} elements do not fill the shape ${showShape(shape)}; the first size is the number of rows`,
    );
  return { data, shape, ...(dtype && { dtype }) };
}

/** Nested arrays as float32 rows (bools stay bools); says where they are ragged. */
function nestedRows(op: string, rows: readonly NestedNumbers[]): HostRows {
  const shape: number[] = [];
  for (
    let level: NestedNumbers | undefined = rows;
    Array.isArray(level);
    level = (level as readonly NestedNumbers[])[0]
  )
    shape.push(level.length);
  const data = new Float32Array(sizeOf(shape));
  let at = 0;
  let bools = 0;
  const go = (x: NestedNumbers, depth: number, path: string): void => {
    if (
      Array.isArray(x)
        ? x.length !== shape[depth]
        : depth !== shape.length || (typeof x !== 'number' && typeof x !== 'boolean')
    )
      throw new FormatError(
        `${op}: row ${path || '(all)'} is not like the first one, which has the shape ${showShape(shape.slice(Math.max(1, depth)))}; make all rows alike`,
      );
    if (Array.isArray(x)) {
      x.forEach((y: NestedNumbers, i) => {
        go(y, depth + 1, `${path}[${i}]`);
      });
      return;
    }
    if (typeof x === 'boolean') bools++;
    data[at++] = Number(x);
  };
  go(rows, 0, '');
  return { data, shape, ...(bools > 0 && bools === at && { dtype: 'bool' as const }) };
}

/** @internal Rows as a tensor of its own on a device, or the tensor itself. */
export function toTensor(op: string, rows: Rows, device: Device | undefined): Tensor {
  const known = asRows(op, rows);
  if (known instanceof Tensor) return known;
  const { data, shape, dtype } = known;
  return tensor(data, { shape, ...(dtype && { dtype }), ...(device && { device }) });
}

/** @internal How many rows there are. */
export const countRows = (rows: Tensor | HostRows): number => rows.shape[0] ?? 0;

/** @internal The rows of the given numbers, in their order, on the host. */
export function pickHost(rows: HostRows, indices: ArrayLike<number>): HostRows {
  const size = sizeOf(rows.shape.slice(1));
  // Not by its constructor: Node's Buffer is a Uint8Array, too.
  const Type = TYPES.find((T) => rows.data instanceof T) ?? Float64Array;
  const out = new Type(indices.length * size);
  for (let i = 0; i < indices.length; i++) {
    const from = (indices[i] ?? 0) * size;
    out.set(rows.data.subarray(from, from + size), i * size);
  }
  return { ...rows, data: out, shape: [indices.length, ...rows.shape.slice(1)] };
}

/** @internal The rows of the given numbers, in their order. Tensors are picked on their device. */
export function pickRows(op: string, rows: Tensor | HostRows, indices: Int32Array, device: Device | undefined): Tensor {
  if (!(rows instanceof Tensor)) return toTensor(op, pickHost(rows, indices), device);
  rows.alive(op);
  return compose(op, () => indexSelect(rows, 0, tensor(indices, { device: rows.device })));
}

/**
 * Samples that are fetched by number (`torch.utils.data.Dataset`). A dataset of one's own defines `length` and `get`, which may be
 * asynchronous; one that can fetch many samples at once overrides `batch`, too.
 *
 * @example
 * ```ts
 * class Squares extends tl.data.Dataset {
 *   readonly length = 100;
 *   override get(i: number) {
 *     return { x: [i], y: [i * i] };
 *   }
 * }
 * ```
 */
export abstract class Dataset<B extends Batch = XY> {
  /** Number of samples. */
  abstract readonly length: number;

  /** One sample. */
  abstract get(index: number): Sample<B> | Promise<Sample<B>>;

  /** Samples put together, one a row. The tensors are the caller's. */
  async batch(indices: Int32Array, device?: Device): Promise<B> {
    const samples = await Promise.all(Array.from(indices, (i) => this.get(i)));
    return collate(samples, device);
  }
}

/** @internal Samples as one batch: a new first dim, on which they lie. */
export function collate<B extends Batch>(samples: readonly Sample<B>[], device?: Device): B {
  const [first] = samples;
  if (!first) throw new UnsupportedError('DataLoader: a batch of no samples');
  return compose('DataLoader', () => {
    const join = (name: string): Tensor =>
      stack(
        samples.map((sample) => {
          const value: Tensor | TypedRows | NestedNumbers | undefined = sample[name];
          if (value === undefined)
            throw new FormatError(`DataLoader: a sample has no ${name}, which the first one has`);
          return value instanceof Tensor ? value : tensor(value, device ? { device } : {});
        }),
      );
    return Object.fromEntries(Object.keys(first).map((name) => [name, join(name)])) as unknown as B;
  });
}

/**
 * Samples from tensors or arrays with one row each (`torch.utils.data.TensorDataset`). Tensors are read on their device and stay
 * their owner's; what is on the host is uploaded batch by batch.
 *
 * @throws ShapeError when the numbers of rows differ.
 * @example
 * ```ts
 * const set = new tl.data.TensorDataset(tl.randn([100, 4]), Int32Array.from({ length: 100 }, (_, i) => i % 3));
 * ```
 */
export class TensorDataset<B extends Batch = XY> extends Dataset<B> {
  readonly length: number;
  private readonly fields: readonly (readonly [string, Tensor | HostRows])[];

  /** Inputs and targets, or rows by the names that the batches shall have. */
  constructor(x: Rows, y: Rows);
  constructor(fields: { readonly [K in keyof B]: Rows });
  constructor(first: Rows | { readonly [K in keyof B]: Rows }, y?: Rows) {
    super();
    if (typeof first !== 'object' || first === null)
      throw new FormatError(
        `TensorDataset: ${describe(first)} are no samples; give inputs and targets as tensors or arrays, or an object of them`,
      );
    const named = isRows(first) ? { x: first, ...(y !== undefined && { y }) } : first;
    this.fields = Object.entries<Rows>(named as Readonly<Record<string, Rows>>).map(([name, rows]) => [
      name,
      asRows('TensorDataset', rows),
    ]);
    const [head] = this.fields;
    if (!head) throw new UnsupportedError('TensorDataset: there are no rows; give inputs and targets');
    this.length = countRows(head[1]);
    for (const [name, rows] of this.fields)
      if (countRows(rows) !== this.length)
        throw new ShapeError(
          `TensorDataset: ${head[0]} has ${this.length} rows and ${name} has ${countRows(rows)}; each sample needs one of both`,
        );
  }

  override get(index: number): Sample<B> {
    if (!Number.isInteger(index) || index < 0 || index >= this.length)
      throw new IndexError(`TensorDataset: there is no sample ${index}; use 0 to ${this.length - 1}`);
    const row = (rows: Tensor | HostRows): Tensor =>
      compose('TensorDataset', () => pickRows('TensorDataset', rows, Int32Array.of(index), undefined).squeeze(0));
    return Object.fromEntries(this.fields.map(([name, rows]) => [name, row(rows)])) as unknown as Sample<B>;
  }

  /** @internal Without waiting: what a loader and `fit` use. */
  take(indices: Int32Array, device?: Device): B {
    return compose('TensorDataset', () =>
      Object.fromEntries(this.fields.map(([name, rows]) => [name, pickRows('TensorDataset', rows, indices, device)])),
    ) as unknown as B;
  }

  override async batch(indices: Int32Array, device?: Device): Promise<B> {
    return this.take(indices, device);
  }
}

/** Some samples of a dataset (`torch.utils.data.Subset`). */
export class Subset<B extends Batch = XY> extends Dataset<B> {
  private readonly indices: Int32Array;

  constructor(
    private readonly dataset: Dataset<B>,
    indices: ArrayLike<number>,
  ) {
    super();
    this.indices = Int32Array.from(indices);
    const wrong = this.indices.find((i) => i < 0 || i >= dataset.length);
    if (wrong !== undefined)
      throw new IndexError(`Subset: there is no sample ${wrong}; the dataset has ${dataset.length}`);
  }

  get length(): number {
    return this.indices.length;
  }

  override get(index: number): Sample<B> | Promise<Sample<B>> {
    return this.dataset.get(this.place(index));
  }

  override batch(indices: Int32Array, device?: Device): Promise<B> {
    return this.dataset.batch(
      indices.map((i) => this.place(i)),
      device,
    );
  }

  private place(index: number): number {
    const place = this.indices[index];
    if (place === undefined) throw new IndexError(`Subset: there is no sample ${index}; use 0 to ${this.length - 1}`);
    return place;
  }
}
