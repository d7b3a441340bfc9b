// Running sums, products and extrema, and sorts, from their definitions.
import { cast, dim, dims, type Entry, gatherVal, type Handle, keptShape, optionsOf, read } from '../handles.ts';
import {
  add,
  Expected,
  filled,
  map,
  mul,
  put,
  reduceMap,
  type Shape,
  shaped,
  sizeOf,
  take,
  type Val,
} from '../values.ts';

const numbers = (v: Val): Val => (v.dtype === 'bool' ? cast(v, 'int32') : v);
const times = (a: Val, b: Val): Val =>
  a.dtype === 'float32' ? mul(a, b) : map([a, b], (u, v) => Math.imul(u!, v!), { dtype: a.dtype });
const plus = (a: Val, b: Val): Val =>
  a.dtype === 'float32' ? add(a, b) : map([a, b], (u, v) => u! + v!, { dtype: a.dtype });

/** The places of each line along some dims, one list for each place in it. */
function lines(shape: Shape, over: readonly number[]): { places: Int32Array[]; kept: Shape } {
  const { map: groups, kept } = reduceMap(shape, over);
  const found = Array.from({ length: sizeOf(kept) }, (): number[] => []);
  groups.forEach((group, i) => {
    found[group]!.push(i);
  });
  const length = sizeOf(over.map((d) => shape[d]!));
  return { places: Array.from({ length }, (_, k) => Int32Array.from(found, (line) => line[k]!)), kept };
}

/** A scan is defined for scalars as for vectors of one. */
const asVector = (v: Val): Val => (v.shape.length === 0 ? shaped(v, [1]) : v);

function cumsum(x: Val, d: number): Val {
  const { places } = lines(x.shape, [d]);
  const from: number[] = [];
  const to: number[] = [];
  places.forEach((row, k) => {
    row.forEach((target, line) => {
      for (let j = 0; j <= k; j++) {
        from.push(places[j]![line]!);
        to.push(target);
      }
    });
  });
  return put(take(x, Int32Array.from(from), [from.length]), Int32Array.from(to), x.shape);
}

function cumprod(x: Val, d: number): Val {
  const { places, kept } = lines(x.shape, [d]);
  let out = filled(0, x.shape, x.dtype);
  let total: Val | null = null;
  for (const row of places) {
    const part = take(x, row, kept);
    total = total ? times(total, part) : part;
    out = plus(out, put(total, row, x.shape));
  }
  return out;
}

function prod(x: Val, over: readonly number[]): Val {
  const { places, kept } = lines(x.shape, over);
  const one = filled(1, kept, x.dtype);
  // Of nothing: 1, which depends on it all the same.
  if (places.length === 0) return plus(one, put(x, new Int32Array(0), kept));
  return places.map((row) => take(x, row, kept)).reduce(times, one);
}

/** Indices made line by line; only exact numbers tell an order. */
function places(x: Val, d: number, n: number, fn: (line: readonly number[]) => readonly number[]): Val {
  const shape = x.shape.map((m, i) => (i === d ? n : m));
  const rows = lines(x.shape, [d]).places;
  const targets = lines(shape, [d]).places;
  const data = new Float64Array(sizeOf(shape));
  const count = rows[0]?.length ?? 0;
  for (let line = 0; line < count; line++)
    fn(rows.map((row) => x.data[row[line]!]!)).forEach((place, k) => {
      data[targets[k]![line]!] = place;
    });
  return { shape, dtype: 'int32', data, err: 0, wild: x.wild || x.err > 0, tape: null };
}

/** Ordered by value, and equal ones by place. */
const ordered = (line: readonly number[], descending: boolean): number[] =>
  line.map((_, i) => i).sort((a, b) => (descending ? line[b]! - line[a]! : line[a]! - line[b]!) || a - b);

type Place = (line: readonly number[]) => readonly number[];
const extremes =
  (better: (a: number, b: number) => boolean): Place =>
  (line) =>
    line.map((_, k) => {
      let best = 0;
      for (let j = 1; j <= k; j++) if (!better(line[best]!, line[j]!)) best = j;
      return best;
    });

function picked(x: Val, d: number, n: number, fn: Place): Val[] {
  const vector = asVector(x);
  const indices = places(vector, d, n, fn);
  // Where the places are not known, it is not either where their gradient goes.
  const source = indices.wild
    ? map([vector], (v) => v, { dtype: vector.dtype, roundings: 0, gradient: (g) => [{ ...g, wild: true }] })
    : vector;
  // Places that nobody knows are in range all the same.
  const values = gatherVal(source, d, { ...indices, wild: false });
  const back = (v: Val): Val => ({ ...(x.shape.length === 0 ? shaped(v, []) : v), wild: v.wild || indices.wild });
  return [back(values), back(indices)];
}

const given = (x: unknown, d: unknown): { v: Val; d: number } => {
  const h = x as Handle;
  return { v: read(h), d: dim(d as number, h.shape.length) };
};

const sorted: Entry = (m, [x, options]) => {
  const { dim: along = -1, descending = false } = optionsOf(options);
  const { v, d } = given(x, along);
  const n = v.shape[d] ?? 1;
  return picked(v, d, n, (line) => ordered(line, descending as boolean)).map((out) => m.fresh(out));
};

export const ORDER: Record<string, Entry> = {
  cumsum: (_, [x, along]) => {
    const { v, d } = given(x, along);
    return shaped(cumsum(numbers(asVector(v)), d), v.shape);
  },
  cumprod: (_, [x, along]) => {
    const { v, d } = given(x, along);
    return shaped(cumprod(numbers(asVector(v)), d), v.shape);
  },
  prod: (_, [x, options]) => {
    const { dim: along, keepDim } = optionsOf(options);
    const v = read(x as Handle);
    const over = dims(along, v.shape.length);
    const out = prod(numbers(v), over);
    return keepDim ? shaped(out, keptShape(v.shape, over)) : out;
  },
  cummax: (m, [x, along]) => {
    const { v, d } = given(x, along);
    if (v.dtype === 'bool') throw new Expected('UnsupportedError', 'bools have no order');
    return picked(
      v,
      d,
      v.shape[d] ?? 1,
      extremes((a, b) => a > b),
    ).map((out) => m.fresh(out));
  },
  cummin: (m, [x, along]) => {
    const { v, d } = given(x, along);
    if (v.dtype === 'bool') throw new Expected('UnsupportedError', 'bools have no order');
    return picked(
      v,
      d,
      v.shape[d] ?? 1,
      extremes((a, b) => a < b),
    ).map((out) => m.fresh(out));
  },
  sort: sorted,
  argsort: (m, args) => {
    const [values, indices] = sorted(m, args) as Handle[];
    m.dispose(values!);
    return indices!;
  },
  topk: (m, [x, k, options]) => {
    const { dim: along = -1, largest = true } = optionsOf(options);
    const { v, d } = given(x, along);
    if ((k as number) > (v.shape[d] ?? 1)) throw new Expected('ShapeError', 'topk');
    // A scalar has no dim that could become 0.
    const n = v.shape.length === 0 ? 1 : (k as number);
    return picked(v, d, n, (line) => ordered(line, largest as boolean).slice(0, n)).map((out) => m.fresh(out));
  },
};
