import { DTypeError, ShapeError } from '../core/errors.ts';
import { broadcastShapes, normalizeDims, showShape } from '../core/shape.ts';
import { keep } from '../tensor/scope.ts';
import { gradEnabled, withGrad } from '../tensor/tape.ts';
import { Cell, Tensor } from '../tensor/tensor.ts';
import { assign_ } from './assign.ts';
import { tensor } from './creation.ts';
import { cast, div, gt, isnan, logicalNot } from './elementwise.ts';
import { where } from './functions.ts';
import { gather } from './gather.ts';
import { fitting } from './options.ts';
import { checkOptions, compose, deviceOf, deviceOfOperands, type Operand } from './record.ts';
import { floats } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { expand, type ReduceOptions, reduceDims, reshape, sum, withDims } from './structure.ts';

/*
 * What holds, where, and how often: reductions of truth, and ops that a bool tensor steers. How many elements a mask selects is
 * known to the device alone, so that ops whose shape depends on it give promises.
 */

function truth(op: 'any' | 'all', x: Tensor, options: ReduceOptions): Tensor {
  checkOptions(op, options, ['dim'], ['keepDim']);
  deviceOf(op, [x]);
  const dims = normalizeDims(op, options.dim, x.ndim);
  return compose(op, () => {
    // Of nothing, the extremum is below or above everything.
    const found = gt(reduceDims(op, op === 'any' ? 'max' : 'min', x, dims, true), 0);
    return options.keepDim ? withDims(found, x.shape, dims) : found;
  });
}

/** Whether any element over some dims, or of all, is not 0, as bool; NaN counts, and of nothing it is false (`torch.any`). */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return truth('any', x, options);
}

/** Whether every element over some dims, or of all, is not 0, as bool; NaN counts, and of nothing it is true (`torch.all`). */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return truth('all', x, options);
}

/** The number of elements over some dims, or of all, that are not 0, as int32; NaN counts (`torch.count_nonzero`). */
export function countNonzero(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('countNonzero', options, ['dim'], ['keepDim']);
  deviceOf('countNonzero', [x]);
  return compose('countNonzero', () => sum(cast(x, 'bool'), options));
}

/** The sum over some dims, or over all, of what is not NaN (`torch.nansum`). */
export function nansum(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('nansum', options, ['dim'], ['keepDim']);
  deviceOf('nansum', [x]);
  return compose('nansum', () => sum(where(isnan(x), 0, x), options));
}

/** The mean over some dims, or over all, of what is not NaN; NaN where nothing is left (`torch.nanmean`). */
export function nanmean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('nanmean', options, ['dim'], ['keepDim']);
  floats('nanmean', x);
  return compose('nanmean', () => div(nansum(x, options), sum(logicalNot(isnan(x)), options)));
}

function bools(op: string, mask: Tensor): void {
  if (mask.dtype !== 'bool')
    throw new DTypeError(`${op}: the mask must be a bool tensor, got ${mask.dtype}; make one with a comparison`);
}

/**
 * The tensor with one value, a number or a scalar tensor, wherever the mask holds; the two broadcast, and the dtype stays
 * (`torch.Tensor.masked_fill`).
 *
 * @throws DTypeError for a mask that is not bool, and for a value that the dtype cannot hold.
 * @throws ShapeError for a value with dims.
 * @example
 * ```ts
 * const past = x.maskedFill(tl.ones(x.shape, { dtype: 'bool' }), -Infinity);
 * ```
 */
export function maskedFill(x: Tensor, mask: Tensor, value: Operand): Tensor {
  const op = 'maskedFill';
  deviceOf(op, [x, mask]);
  deviceOfOperands(op, [x, value]);
  bools(op, mask);
  if (typeof value !== 'number' && value.ndim > 0)
    throw new ShapeError(
      `${op}: the value has shape ${showShape(value.shape)}; it must be a number or a scalar tensor, use where for more`,
    );
  const fill = fitting(op, x.dtype, value);
  broadcastShapes(op, x.shape, mask.shape);
  return compose(op, () => cast(where(mask, typeof fill === 'number' ? fill : cast(fill, x.dtype), x), x.dtype));
}

/** `maskedFill` in place, under the rules of `assign_`; the mask broadcasts to the tensor (`torch.Tensor.masked_fill_`). */
export function maskedFill_(x: Tensor, mask: Tensor, value: Operand): Tensor {
  return compose('assign', () => {
    assign_(x, maskedFill(x, mask, value));
    return x;
  });
}

/** The value that a tensor has now and its place on the tape, under a handle that outlives scopes. */
const snapshot = (x: Tensor): Tensor => keep(new Tensor(x.device, new Cell(x.node), x.view, x.tape));

/** Where elements are not 0, in row-major order. */
function placesOf(elements: ArrayLike<number>): Int32Array {
  const places: number[] = [];
  for (let i = 0; i < elements.length; i++) if (elements[i] !== 0) places.push(i);
  return Int32Array.from(places);
}

/**
 * The elements where the mask holds, in row-major order and one dim (`torch.masked_select`); the two broadcast. A promise,
 * because only the device knows how many there are: the mask is read, the elements stay on the device.
 *
 * @throws DTypeError for a mask that is not bool.
 * @example
 * ```ts
 * const positive = await tl.maskedSelect(x, x.gt(0));
 * ```
 */
export async function maskedSelect(x: Tensor, mask: Tensor): Promise<Tensor> {
  const op = 'maskedSelect';
  const device = deviceOf(op, [x, mask]);
  bools(op, mask);
  const shape = broadcastShapes(op, x.shape, mask.shape);
  const recorded = gradEnabled();
  const wide = expand(mask, shape);
  const reading = wide.numbers(op);
  wide.dispose();
  const source = snapshot(x);
  try {
    const places = placesOf(await reading);
    return withGrad(recorded, () =>
      compose(op, () => gather(reshape(expand(source, shape), [-1]), 0, tensor(places, { device }))),
    );
  } finally {
    source.dispose();
  }
}

/**
 * The coordinates of the elements that are not 0, one row each, as int32 [n, ndim] (`torch.nonzero`). A promise: the elements
 * are read and searched on the host.
 */
export async function nonzero(x: Tensor): Promise<Tensor> {
  const device = deviceOf('nonzero', [x]);
  const { shape } = x;
  const places = placesOf(await x.numbers('nonzero'));
  const rows = new Int32Array(places.length * shape.length);
  places.forEach((place, i) => {
    let rest = place;
    for (let d = shape.length - 1; d >= 0; d--) {
      const n = shape[d] ?? 1;
      rows[i * shape.length + d] = rest % n;
      rest = Math.floor(rest / n);
    }
  });
  return tensor(rows, { shape: [places.length, shape.length], device });
}

/** Options of `unique`. */
export interface UniqueOptions {
  /** They are always sorted, as PyTorch's are. */
  readonly sorted?: boolean | undefined;
  /** Also where each element went. */
  readonly returnInverse?: boolean | undefined;
  /** Also how often each value occurs. */
  readonly returnCounts?: boolean | undefined;
}

/** Distinct values, and what was asked for besides. */
export interface UniqueValues {
  readonly values: Tensor;
  /** For each element its place among the values, int32 in the shape of the input. */
  readonly inverse?: Tensor;
  /** How often each value occurs, int32. */
  readonly counts?: Tensor;
}

/**
 * The distinct elements in ascending order; each NaN is one of its own, at the end (`torch.unique`). A promise: the elements are
 * read and sorted on the host, and there is no gradient.
 *
 * @example
 * ```ts
 * const classes = await tl.unique(tl.tensor([2, 0, 2])); // [0, 2]
 * const { counts } = await tl.unique(tl.tensor([2, 0, 2]), { returnCounts: true }); // [1, 2]
 * ```
 */
export function unique(x: Tensor): Promise<Tensor>;
export function unique(x: Tensor, options: UniqueOptions): Promise<UniqueValues>;
export async function unique(x: Tensor, options?: UniqueOptions): Promise<Tensor | UniqueValues> {
  const op = 'unique';
  if (options !== undefined) checkOptions(op, options, [], ['sorted', 'returnInverse', 'returnCounts']);
  const device = deviceOf(op, [x]);
  const { shape, dtype } = x;
  const data = await x.numbers(op);
  const at = (i: number): number => data[i] ?? Number.NaN;
  const order = Uint32Array.from(data, (_, i) => i).sort((a, b) => {
    const [p, q] = [at(a), at(b)];
    return p < q ? -1 : p > q ? 1 : Number(Number.isNaN(p)) - Number(Number.isNaN(q)) || a - b;
  });
  const found: number[] = [];
  const counts: number[] = [];
  const inverse = new Int32Array(data.length);
  for (const i of order) {
    if (found[found.length - 1] !== at(i)) counts[found.push(at(i)) - 1] = 0;
    const last = found.length - 1;
    counts[last] = (counts[last] ?? 0) + 1;
    inverse[i] = last;
  }
  const values = tensor(Float64Array.from(found), { dtype, device });
  if (options === undefined) return values;
  return {
    values,
    ...(options.returnInverse ? { inverse: tensor(inverse, { shape, device }) } : {}),
    ...(options.returnCounts ? { counts: tensor(Int32Array.from(counts), { device }) } : {}),
  };
}

const mask = (...shape: number[]) => ({ shape, dtype: 'bool', range: [0, 1] }) as const;
const counted = (call: (x: Tensor, options?: ReduceOptions) => Tensor) => [
  sample([mask(3, 5)], (x) => call(x)),
  sample([mask(7)], (x) => call(x, { dim: 0 })),
  sample([{ shape: [2, 3, 4], dtype: 'int32', range: [-1, 1] }], (x) => call(x, { dim: [0, -1], keepDim: true })),
  sample([{ shape: [2, 3], values: [0, -0, Number.NaN, 1, Number.POSITIVE_INFINITY, -2] }], (x) => call(x, { dim: 1 })),
  sample([{ shape: [3, 0], dtype: 'uint32' }], (x) => call(x, { dim: -1 })),
  sample([mask()], (x) => call(x)),
];
const whole = 'the result is no floating number';

/** Calls for the generated tests; what gives a promise is tested by hand. */
export const samples = (): Samples => ({
  any: { calls: counted(any), noGradient: whole },
  all: { calls: counted(all), noGradient: whole },
  countNonzero: { calls: counted(countNonzero), noGradient: whole },
  nansum: {
    calls: [
      sample([[3, 5]], (x) => nansum(x)),
      sample([{ shape: [2, 3], values: [1, Number.NaN, 3, Number.NaN, 5, 6] }], (x) => nansum(x, { dim: -1 })),
      sample([{ shape: [5], dtype: 'int32' }], (x) => nansum(x, { keepDim: true })),
      sample([[0]], (x) => nansum(x)),
    ],
  },
  nanmean: {
    calls: [
      sample([[3, 5]], (x) => nanmean(x, { dim: [0, 1] })),
      sample([{ shape: [2, 3], values: [1, Number.NaN, 3, Number.NaN, 5, 6] }], (x) => nanmean(x, { dim: 0 })),
    ],
  },
  maskedFill: {
    calls: [
      sample([[3, 5], mask(3, 5)], (x, m) => maskedFill(x, m, -2.5)),
      sample([[3, 5], mask(5), []], (x, m, v) => maskedFill(x, m, v)),
      sample([[5], mask(3, 1)], (x, m) => maskedFill(x, m, Number.NEGATIVE_INFINITY)),
      sample([{ shape: [4], dtype: 'int32' }, mask(4), { shape: [], dtype: 'bool' }], (x, m, v) => maskedFill(x, m, v)),
      sample([mask(4), mask(4)], (x, m) => maskedFill(x, m, 3)),
      sample([[0, 3], mask(3)], (x, m) => maskedFill(x, m, 1)),
    ],
  },
  maskedFill_: {
    calls: [
      sample([[3, 5], mask(5), []], (x, m, v) => maskedFill_(x.mul(1), m, v)),
      sample([{ shape: [4], dtype: 'uint32', range: [0, 9] }, mask(4)], (x, m) => maskedFill_(x.add(0), m, 7)),
    ],
  },
  maskedSelect: { asynchronous: true, calls: [] },
  nonzero: { asynchronous: true, calls: [], noGradient: 'coordinates are whole numbers' },
  unique: { asynchronous: true, calls: [], noGradient: 'values are sorted on the host' },
});
