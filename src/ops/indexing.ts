import { DTypeError, IndexError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, broadcastView, normalizeDim, type Shape, showShape, sizeOf } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import {
  cast as castExpr,
  select as choose,
  type Expr,
  index as here,
  lt as less,
  load,
  loadAt,
  add as plus,
  uniform,
} from '../ir/expr.ts';
import type { GradientRule } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { arange, tensor } from './creation.ts';
import { add, cast, eq, lt, minimum, mul, sub } from './elementwise.ts';
import { where } from './functions.ts';
import { gather, integers, scatterSum } from './gather.ts';
import {
  checkOptions,
  checkTensor,
  compose,
  currentOp,
  describe,
  deviceOf,
  produce,
  readingAt,
  taped,
} from './record.ts';
import { indices, type Samples, sample } from './samples.ts';
import { expand, permute, reshape, select, slice, unsqueeze } from './structure.ts';

/*
 * Indexing as in Python. Numbers, ranges, new axes and ellipses make views; integer tensors look elements up.
 */

/** Every `step`-th place of a dim from `start` up to, not including, `end`; bounds are as in Python. */
export interface IndexRange {
  /** The first place, counted from the end where it is negative; 0 by default. */
  readonly start?: number | undefined;
  /** The place after the last; the end by default. */
  readonly end?: number | undefined;
  /** At least 1, which is the default. */
  readonly step?: number | undefined;
}

/**
 * What stands for a dim in an index: a number drops the dim; a range or ':' keeps it; an int32 or uint32 tensor or an array of
 * numbers picks places of it; '...' is as many ':' as there is room for; `null` is a new dim of size 1.
 */
export type IndexItem = number | null | ':' | '...' | IndexRange | readonly number[] | Tensor;

/** @internal */
export type Settled = Exclude<IndexItem, '...'>;
/** @internal */
export type Places = ReadonlyMap<number, Tensor>;

const isList = (item: unknown): item is readonly number[] => Array.isArray(item);

function inDim(op: string, place: unknown, d: number, shape: Shape): void {
  const n = shape[d] ?? 0;
  if (typeof place === 'boolean')
    throw new UnsupportedError(`${op}: bools are no places of a dim; use the asynchronous maskedSelect(mask) instead`);
  if (typeof place !== 'number' || !Number.isInteger(place) || place < -n || place >= n)
    throw new IndexError(
      `${op}: index ${typeof place === 'number' ? place : describe(place)} is out of range for dim ${d} of ${showShape(shape)}; use ${-n} to ${n - 1}`,
    );
}

function checkRange(op: string, range: IndexRange): void {
  checkOptions(op, range, ['start', 'end', 'step']);
  const { start = 0, end = 0, step = 1 } = range;
  for (const bound of [start, end])
    if (!Number.isInteger(bound) && Math.abs(bound) !== Number.POSITIVE_INFINITY)
      throw new IndexError(
        `${op}: the bound ${describe(bound)} of a range is no whole number; leave it out for the whole dim`,
      );
  if (!Number.isInteger(step) || step < 1)
    throw new IndexError(
      `${op}: the step ${describe(step)} of a range must be a whole number of at least 1; use flip for the reverse order`,
    );
}

/** @internal One item for each dim or new axis, with all checked that the host knows. */
export function settle(op: string, x: Tensor, items: readonly IndexItem[]): Settled[] {
  checkTensor(op, x);
  if (!Array.isArray(items))
    throw new UnsupportedError(`${op}: the items are ${describe(items)}; give an array, such as [0, ':']`);
  deviceOf(op, [x, ...items.filter((item) => item instanceof Tensor)]);
  const named = items.filter((item) => item !== null && item !== '...').length;
  if (items.indexOf('...') !== items.lastIndexOf('...'))
    throw new IndexError(`${op}: there is more than one '...'; write ':' for each dim of the others`);
  if (named > x.ndim)
    throw new IndexError(
      `${op}: ${named} items are too many for the ${x.ndim} dims of ${showShape(x.shape)}; null and '...' do not count`,
    );
  const open = Array.from({ length: x.ndim - named }, () => ':' as const);
  const all = items.includes('...') ? items : [...items, '...' as const];
  const settled = all.flatMap((item): Settled[] => (item === '...' ? open : [item]));
  let d = 0;
  for (const item of settled) {
    if (item === null) continue;
    if (item instanceof Tensor) {
      if (item.dtype === 'bool')
        throw new DTypeError(
          `${op}: a bool tensor selects as many elements as only the device knows; use the asynchronous maskedSelect(mask), or where and maskedFill`,
        );
      integers(op, item);
    } else if (isList(item)) {
      for (const place of item) inDim(op, place, d, x.shape);
    } else if (typeof item === 'object') checkRange(op, item);
    else if (typeof item === 'string' && item !== ':')
      throw new UnsupportedError(
        `${op}: there is no item '${item}'; use ':', '...' or a range such as { start: 1, end: 3 }`,
      );
    else if (item !== ':') inDim(op, item, d, x.shape);
    d++;
  }
  return settled;
}

/** @internal The view that all items but the tensors make, and the tensors by its dims. */
export function locate(x: Tensor, items: readonly Settled[]): { view: Tensor; at: Places } {
  let view = x;
  let d = 0;
  const at = new Map<number, Tensor>();
  for (const item of items) {
    if (typeof item === 'number') {
      view = select(view, d, item);
      continue;
    }
    if (item === null) view = unsqueeze(view, d);
    else if (item instanceof Tensor) at.set(d, item);
    else if (isList(item)) at.set(d, tensor(Int32Array.from(item), { device: x.device }));
    else if (item !== ':') view = slice(view, d, item.start, item.end, item.step);
    d++;
  }
  return { view, at };
}

/** @internal How the dims of a tensor and those of its index tensors become the dims of the result. */
export interface Layout {
  /** Dims that no tensor indexes. */
  readonly rest: readonly number[];
  /** The shape that the index tensors broadcast to, and how many of the other dims come before it. */
  readonly batch: Shape;
  readonly lead: number;
  readonly shape: Shape;
}

/**
 * @internal The dims of the index tensors stand where these did if they were neighbours, else in front. Scalar tensors do not count: they
 * drop their dim as numbers do.
 */
export function layout(op: string, shape: Shape, at: Places): Layout {
  const rest = shape.map((_, d) => d).filter((d) => !at.has(d));
  const kept = shape.map((_, d) => d).filter((d) => at.get(d)?.ndim !== 0);
  const places = kept.flatMap((d, i) => (at.has(d) ? [i] : []));
  const [first = 0] = places;
  const lead = (places.at(-1) ?? 0) - first < places.length ? first : 0;
  let batch: Shape = [];
  for (const t of at.values()) batch = broadcastShapes(op, batch, t.shape);
  const empty = [...at.keys()].find((d) => shape[d] === 0);
  if (empty !== undefined && sizeOf(batch) > 0)
    throw new IndexError(`${op}: dim ${empty} of ${showShape(shape)} has no places to index; give no indices`);
  const sizes = rest.map((d) => shape[d] ?? 1);
  return { rest, batch, lead, shape: [...sizes.slice(0, lead), ...batch, ...sizes.slice(lead)] };
}

/** The elements at the places that the tensors name, each checked on the device. */
function lookUp(op: string, x: Tensor, at: Places): Tensor {
  const device = deviceOf(op, [x, ...at.values()]);
  const { rest, batch, lead, shape } = layout(op, x.shape, at);
  const [dims, tensors] = [[...at.keys()], [...at.values()]];
  const coordinates = x.shape.map((_, d): Expr => {
    const j = dims.indexOf(d);
    const r = rest.indexOf(d);
    const t = tensors[j];
    if (!t) return here(r < lead ? r : r + batch.length);
    const place = castExpr(load(j + 1, t.dtype), 'int32');
    return choose(less(place, 0), plus(place, uniform(j + 1, 'int32')), place);
  });
  const before = rest.slice(0, lead).map(() => 0);
  const after = rest.slice(lead).map(() => 0);
  const inputs = tensors.map((t) => {
    const { strides, offset } = broadcastView(t.view, batch);
    return { node: t.node, access: { mode: 'direct' as const, strides: [...before, ...strides, ...after], offset } };
  });
  const out = produce(device, op, x.dtype, shape, {
    template: template('map', loadAt(0, x.dtype, coordinates), ['int32', ...dims.map(() => 'int32' as const)]),
    space: shape,
    inputs: [readingAt(x, 0), ...inputs],
    scalars: [device.engine.checkCode(currentOp(op)), ...dims.map((d) => x.shape[d] ?? 0)],
  });
  return taped(
    op,
    { gradient: lookUpGradient(op, x.shape, dims), saves: dims.map((_, j) => j + 1) },
    [x, ...tensors],
    out,
  );
}

function lookUpGradient(op: string, shape: Shape, dims: readonly number[]): GradientRule {
  return (g, { inputs: [, ...saved] }) => {
    const at = new Map(dims.map((d, j) => [d, saved[j] as Tensor]));
    return [sumAt(op, shape, at, g, rowOf(op, shape, at)), ...dims.map(() => null)];
  };
}

/** @internal Places of a dim of size `n`, each checked on the device: those out of range become -1. */
export function checked(places: Tensor, n: number): Tensor {
  // What is looked up out of range is 0, so each place is stored one higher.
  const known = arange(1, n + 1, 1, { dtype: 'int32', device: places.device });
  return sub(reshape(gather(known, 0, reshape(places, [places.size])), places.shape), 1);
}

/** @internal The indexed dims as one: the row of each place that the tensors name, in one dim; -1 where a place is. */
export function rowOf(
  op: string,
  shape: Shape,
  at: Places,
  check: (places: Tensor, n: number) => Tensor = (x) => x,
): Tensor {
  let row: Tensor | null = null;
  for (const [d, t] of at) {
    const n = shape[d] ?? 0;
    const signed = cast(t, 'int32');
    const place = check(where(lt(signed, 0), add(signed, n), signed), n);
    row = row ? where(lt(minimum(row, place), 0), -1, add(mul(row, n), place)) : place;
  }
  const { batch } = layout(op, shape, at);
  return reshape(expand(row as Tensor, batch), [sizeOf(batch)]);
}

/** @internal A tensor as rows, of the indexed dims, by columns; and back. */
export function asRows(
  shape: Shape,
  at: Places,
): { rows: number; columns: number; back: (table: Tensor) => Tensor; order: number[] } {
  const order = [...at.keys(), ...shape.map((_, d) => d).filter((d) => !at.has(d))];
  const sizes = order.map((d) => shape[d] ?? 1);
  const rows = sizeOf(sizes.slice(0, at.size));
  const inverse = order.map((_, d) => order.indexOf(d));
  return {
    rows,
    columns: sizeOf(sizes.slice(at.size)),
    order,
    back: (table) => permute(reshape(table, sizes), inverse),
  };
}

/** @internal Values in the shape of a look-up, as a row for each place that the tensors name. */
export function valueRows(op: string, shape: Shape, at: Places, values: Tensor): Tensor {
  const { batch, lead, rest } = layout(op, shape, at);
  const dims = values.shape.map((_, d) => d);
  const named = dims.slice(lead, lead + batch.length);
  const others = [...dims.slice(0, lead), ...dims.slice(lead + batch.length)];
  return reshape(permute(values, [...named, ...others]), [sizeOf(batch), sizeOf(rest.map((d) => shape[d] ?? 1))]);
}

/** @internal The inverse of a look-up: for each place of a tensor of the given shape, the sum of the values that name it. */
export function sumAt(op: string, shape: Shape, at: Places, values: Tensor, row: Tensor): Tensor {
  const { rows, back } = asRows(shape, at);
  const given = valueRows(op, shape, at, values);
  return back(scatterSum(given, 0, expand(unsqueeze(row, 1), given.shape), rows));
}

/**
 * Elements of a tensor as Python's `x[...]` gives them. A view where there is no tensor or array among the items; else a new
 * tensor in which the dims of the index tensors, which broadcast, stand where they were indexed if these are neighbours, and in
 * front if not. Negative places count from the end.
 *
 * @throws IndexError for a place out of range; where only the device knows it, at the next await.
 * @throws DTypeError for bool tensors: see `maskedSelect`.
 * @example
 * ```ts
 * const m = tl.arange(12).reshape([3, 4]);
 * const last = m.index(-1); // m[-1]
 * const corner = m.index({ start: 1 }, { end: 2 }); // m[1:, :2]
 * const columns = m.index('...', [0, 3]); // m[..., [0, 3]]
 * const picked = m.index(tl.tensor(new Int32Array([0, 2])), tl.tensor(new Int32Array([1, 1]))); // m[[0, 2], [1, 1]]
 * ```
 */
export function index(x: Tensor, ...items: IndexItem[]): Tensor {
  const settled = settle('index', x, items);
  return compose('index', () => {
    const { view, at } = locate(x, settled);
    if (at.size > 0) return lookUp('index', view, at);
    return view === x ? reshape(x, x.shape) : view;
  });
}

/**
 * The elements of the flattened tensor at the given places, in the shape of the indices (`torch.take`). Negative places count
 * from the end; those out of range give an IndexError at the next await.
 */
export function take(x: Tensor, places: Tensor): Tensor {
  deviceOf('take', [x, places]);
  integers('take', places);
  return compose('take', () => lookUp('take', reshape(x, [x.size]), new Map([[0, places]])));
}

/**
 * Elements picked along a dim by an index tensor; the two broadcast in the other dims. Without a dim both are flattened
 * (`torch.take_along_dim`), so that the result of `argmax` picks the largest elements.
 *
 * @throws ShapeError when they have not as many dims, or do not broadcast.
 * @throws IndexError at the next await, for an index out of range.
 * @example
 * ```ts
 * const largest = x.takeAlongDim(x.argmax({ dim: -1, keepDim: true }), -1);
 * ```
 */
export function takeAlongDim(x: Tensor, indices: Tensor, dim?: number): Tensor {
  const op = 'takeAlongDim';
  deviceOf(op, [x, indices]);
  integers(op, indices);
  if (dim === undefined) return compose(op, () => gather(reshape(x, [x.size]), 0, reshape(indices, [indices.size])));
  const d = normalizeDim(op, dim, x.ndim);
  if (x.ndim !== indices.ndim)
    throw new ShapeError(
      `${op}: ${showShape(x.shape)} and indices ${showShape(indices.shape)} must have as many dims; reshape one, or leave out the dim`,
    );
  const withDim = (shape: Shape, n: number): Shape => shape.map((size, i) => (i === d ? n : size));
  const shape = broadcastShapes(op, withDim(x.shape, 1), withDim(indices.shape, 1));
  return compose(op, () =>
    gather(expand(x, withDim(shape, x.shape[d] ?? 1)), d, expand(indices, withDim(shape, indices.shape[d] ?? 1))),
  );
}

/**
 * A new last dim that is 1 at the place of the class and 0 elsewhere, as int32 (`F.one_hot`). Without the number of classes, it
 * is one more than the largest, and the result a promise, because the classes are read for it.
 *
 * @throws IndexError for a class out of range; where only the device knows it, at the next await.
 * @throws DTypeError for classes that are no integers.
 * @example
 * ```ts
 * const rows = tl.oneHot(tl.tensor(new Int32Array([2, 0])), 3); // [[0, 0, 1], [1, 0, 0]]
 * ```
 */
export function oneHot(classes: Tensor, numClasses: number): Tensor;
export function oneHot(classes: Tensor): Promise<Tensor>;
export function oneHot(classes: Tensor, numClasses?: number): Tensor | Promise<Tensor> {
  if (numClasses === undefined) return inferred(classes);
  const op = 'oneHot';
  const device = deviceOf(op, [classes]);
  integers(op, classes);
  if (!Number.isInteger(numClasses) || numClasses < 1)
    throw new ShapeError(
      `${op}: ${describe(numClasses)} classes; give a whole number of at least 1, or leave it out and await the result`,
    );
  return compose(op, () => {
    const known = checked(cast(classes, 'int32'), numClasses);
    return cast(eq(unsqueeze(known, -1), arange(numClasses, { dtype: 'int32', device })), 'int32');
  });
}

async function inferred(classes: Tensor): Promise<Tensor> {
  const op = 'oneHot';
  const device = deviceOf(op, [classes]);
  integers(op, classes);
  const { shape } = classes;
  const data = await classes.numbers(op);
  if (data.length === 0)
    throw new ShapeError(`${op}: there are no classes in ${showShape(shape)} to count; give the number of classes`);
  let [least, most] = [0, 0];
  for (const c of data) [least, most] = [Math.min(least, c), Math.max(most, c)];
  if (least < 0) throw new IndexError(`${op}: class ${least} is negative; classes are whole numbers from 0 on`);
  return compose(op, () => oneHot(tensor(Int32Array.from(data), { shape, device }), most + 1));
}

const apart = (...values: number[]) => ({ shape: [values.length], dtype: 'int32', values }) as const;
const whole = { shape: [3, 4], dtype: 'int32' } as const;

/** Calls for the generated tests; `oneHot` without the number of classes is tested by hand. */
export const samples = (): Samples => ({
  index: {
    calls: [
      sample([[3, 4]], (x) => index(x)),
      sample([[3, 4]], (x) => index(x, -1)),
      sample([[2, 3, 4]], (x) => index(x, '...', null, { start: 1, step: 2 })),
      sample([[5, 4]], (x) => index(x, { start: -4, end: -1 }, 1)),
      sample([[5, 4], indices([7], 5)], (x, i) => index(x, i)),
      sample([[2, 5, 3, 4], indices([2, 1], 5), indices([3], 3)], (x, i, j) => index(x, ':', i, j)),
      sample([[5, 2, 4], indices([3], 5), indices([2, 3], 4)], (x, i, j) => index(x, i, ':', j)),
      sample([[3, 4, 5], { shape: [], dtype: 'int32', range: [-3, 2] }], (x, i) => index(x, i, ':', [0, -1, 0])),
      sample([[2, 3, 4], apart(-1, 0, 2)], (x, i) => index(x, 1, null, { end: 2 }, i)),
      sample([whole, { shape: [2], dtype: 'uint32', range: [0, 3] }], (x, i) => index(x, ':', i)),
      sample([{ shape: [3, 4], dtype: 'bool' }, apart(2, 0)], (x, i) => index(x, i)),
      sample([[3, 4], { shape: [0], dtype: 'int32' }], (x, i) => index(x, i)),
      sample([[]], (x) => index(x, null, '...')),
    ],
  },
  take: {
    calls: [
      sample([[3, 4], { shape: [2, 5], dtype: 'int32', range: [-12, 11] }], (x, i) => take(x, i)),
      sample([whole, indices([], 12)], (x, i) => take(x, i)),
    ],
  },
  takeAlongDim: {
    calls: [
      sample([[3, 5], indices([3, 2], 5)], (x, i) => takeAlongDim(x, i, 1)),
      sample([[3, 1, 4], indices([1, 2, 7], 4)], (x, i) => takeAlongDim(x, i, -1)),
      sample([[3, 5], indices([2, 2], 15)], (x, i) => takeAlongDim(x, i)),
    ],
  },
  oneHot: {
    calls: [
      sample([indices([7], 5)], (x) => oneHot(x, 5)),
      sample([indices([2, 3], 4)], (x) => oneHot(x, 4)),
      sample([indices([], 3)], (x) => oneHot(x, 3)),
      sample([{ shape: [0], dtype: 'uint32' }], (x) => oneHot(x, 2)),
    ],
    noGradient: 'classes are whole numbers',
  },
});
