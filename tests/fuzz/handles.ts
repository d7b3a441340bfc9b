// What the model's ops have in common: tensors as lists of places in a storage, the rules for dims and dtypes, and a few ops that
// others are made of.
import type { Model } from './model.ts';
import {
  broadcast,
  constant,
  type DType,
  div,
  Expected,
  map,
  mapOf,
  mul,
  number,
  raise,
  reduceMap,
  type Shape,
  sizeOf,
  sum,
  type Tape,
  take,
  type Val,
  value,
} from './values.ts';

export interface Storage {
  value: Val;
  handles: number;
  /** Not for in-place updates: whether the library can is up to it. */
  fixed?: boolean;
  /** In which order the elements lie is up to the library: so is whether a reshape is a view. */
  loose?: boolean;
}

let names = 0;

/** A tensor: places in a storage. */
export class Handle {
  readonly id = names++;
  disposed = false;
  frame: Set<Handle> | null = null;
  constructor(
    readonly storage: Storage,
    readonly places: Int32Array,
    readonly shape: Shape,
    public tape: Tape | null,
  ) {
    storage.handles++;
  }
  get dtype(): DType {
    return this.storage.value.dtype;
  }
  get isLeaf(): boolean {
    return this.tape === null || this.tape.rule === null;
  }
}

export const fail = (name: string, message = ''): never => {
  throw new Expected(name, message);
};

export function dim(d: number, rank: number): number {
  const n = Math.max(rank, 1);
  if (!Number.isInteger(d) || d < -n || d >= n) return fail('IndexError', 'dim');
  return d < 0 ? d + n : d;
}

export function dims(d: unknown, rank: number): number[] {
  if (d === undefined || d === null || (Array.isArray(d) && d.length === 0))
    return Array.from({ length: rank }, (_, i) => i);
  const list = (Array.isArray(d) ? (d as number[]) : [d as number]).map((x) => dim(x, rank));
  if (new Set(list).size !== list.length) fail('ShapeError', 'dim twice');
  return rank === 0 ? [] : list.sort((a, b) => a - b);
}

const RANK: Record<DType, number> = { bool: 0, uint32: 1, int32: 1, float32: 2 };
export type Operand = Handle | number;

export function promote(operands: readonly Operand[]): DType {
  let dtype: DType | null = null;
  for (const x of operands)
    if (typeof x !== 'number') {
      if (dtype === null) dtype = x.dtype;
      else if (dtype !== x.dtype) {
        if (RANK[dtype] === RANK[x.dtype]) fail('DTypeError', 'promotion');
        if (RANK[x.dtype] > RANK[dtype]) dtype = x.dtype;
      }
    }
  for (const x of operands)
    if (typeof x === 'number') {
      if (!Number.isInteger(x)) dtype = 'float32';
      else if (dtype === 'bool') dtype = 'int32';
    }
  return dtype!;
}
export const numeric = (operands: readonly Operand[]): DType => {
  const dtype = promote(operands);
  return dtype === 'bool' ? fail('DTypeError', 'bool') : dtype;
};
export const floatsOnly = (x: Handle): void => {
  if (x.dtype !== 'float32') fail('DTypeError', 'floats only');
};

/** The value of a handle now, and where it stands on the tape. */
export function read(h: Handle): Val {
  const { value: v } = h.storage;
  const data = new Float64Array(h.places.length);
  for (let i = 0; i < data.length; i++) data[i] = v.data[h.places[i]!]!;
  const faults = v.faults && new Set(h.places).size === v.data.length ? { faults: v.faults } : {};
  return { shape: h.shape, dtype: v.dtype, data, err: v.err, wild: v.wild, tape: h.tape, ...faults };
}

const saturate = (v: number, low: number, high: number): number =>
  Number.isNaN(v) ? 0 : Math.min(Math.max(Math.trunc(v), low), high);

export function cast(x: Val, dtype: DType): Val {
  if (x.dtype === dtype) return x;
  if (dtype === 'float32') return value(x.data, x.shape, dtype, 0, x.wild);
  const fn =
    dtype === 'bool'
      ? (v: number) => (v !== 0 ? 1 : 0)
      : x.dtype !== 'float32'
        ? (v: number) => v
        : dtype === 'int32'
          ? (v: number) => saturate(v, -(2 ** 31), 2 ** 31 - 1)
          : (v: number) => saturate(v, 0, 2 ** 32 - 1);
  return map([x], fn, { dtype, jumps: true });
}

/** An operand as a value in the dtype that the op computes in. */
export const operand = (x: Operand, dtype: DType): Val =>
  typeof x === 'number' ? number(x, dtype) : cast(read(x), dtype);

/** min(max(x, low), high) and the like: exact inputs only, where a gradient is wanted. */
export const kinked = (
  ins: readonly Val[],
  fn: (...v: number[]) => number,
  dtype: DType,
  slopes: (...v: number[]) => number[],
): Val =>
  map(ins, fn, {
    dtype,
    gradient: (g, out) => {
      const wide = ins.map((v) => constant(broadcast(v, out.shape)));
      return ins.map((_, i) => {
        const slope = map(wide, (...v) => slopes(...v)[i]!, { jumps: true });
        return map([constant(slope), g], (s, u) => (s === 0 ? 0 : s! * u!), {
          grows: (s) => [0, s!],
          gradient: (gg) => [null, mul(gg, constant(slope))],
        });
      });
    },
  });
export const square = (x: Val): Val =>
  map([x], (v) => (x.dtype === 'float32' ? v! * v! : Math.imul(v!, v!)), {
    dtype: x.dtype,
    grows: (v) => [2 * v!],
    gradient: (g) => [mul(g, mul(x, number(2)))],
  });

export interface Options {
  readonly [key: string]: unknown;
}
export const optionsOf = (x: unknown): Options => (x ?? {}) as Options;

export function mean(x: Val, over: readonly number[]): Val {
  const n = over.reduce((m, d) => m * x.shape[d]!, 1);
  return div(sum(x, over), number(n));
}

/** The index of the first extreme element along a dim. */
export function arg(x: Val, d: number, better: (a: number, b: number) => boolean): Val {
  const { map: places, kept } = reduceMap(x.shape, [d]);
  const best = new Int32Array(sizeOf(kept)).fill(-1);
  const data = new Float64Array(best.length);
  const at = mapOf(x.shape, [x.shape[d]!], (c) => [c[d]!]);
  for (let i = 0; i < places.length; i++) {
    const p = places[i]!;
    if (best[p] === -1 || better(x.data[i]!, x.data[best[p]!]!)) {
      best[p] = i;
      data[p] = at[i]!;
    }
  }
  return { shape: kept, dtype: 'int32', data, err: 0, wild: x.wild || x.err > 0, tape: null };
}

/** x[..., indices, ...]: out of range reads 0, and the next read fails. */
export function gatherVal(x: Val, d: number, indices: Val): Val {
  const places = mapOf(indices.shape, x.shape, (at) => at);
  for (let i = 0; i < places.length; i++) {
    const at: number[] = [];
    let rest = i;
    for (let k = indices.shape.length - 1; k >= 0; k--) {
      at[k] = rest % indices.shape[k]!;
      rest = Math.floor(rest / indices.shape[k]!);
    }
    const j = indices.data[i]!;
    at[d] = j;
    // A scalar is a line of one.
    places[i] = j >= 0 && j < (x.shape[d] ?? 1) ? at.reduce((s, c, k) => s * (x.shape[k] ?? 1) + c, 0) : -1;
  }
  return lookedUp(x, places, indices.shape, [indices]);
}

/** Elements by places that tensors name: a place of -1 is out of range, and nothing is known where the indices are not. */
export function lookedUp(x: Val, places: Int32Array, shape: Shape, indices: readonly Val[]): Val {
  return named(take(x, places, shape), places, indices);
}

/** A value that comes from places which tensors name. */
export function named(out: Val, places: Int32Array, indices: readonly Val[]): Val {
  if (indices.some((v) => v.wild)) return raise(out, 'IndexError', false);
  return places.includes(-1) ? raise(out, 'IndexError') : out;
}

export const better = (op: string): ((a: number, b: number) => boolean) =>
  op.includes('max') ? (a, b) => a > b : (a, b) => a < b;

export const keptShape = (shape: Shape, over: readonly number[]): number[] =>
  shape.map((n, d) => (over.includes(d) ? 1 : n));

/** Do the places follow strides, one a dim? */
export function strided(places: Int32Array, shape: Shape): boolean {
  if (places.length === 0) return true;
  const steps = shape.map((n, d) => (n > 1 ? places[sizeOf(shape.slice(d + 1))]! - places[0]! : 0));
  const expected = mapOf(shape, shape, (at) => at);
  for (let i = 0; i < places.length; i++) {
    let rest = expected[i]!;
    let p = places[0]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      p += (rest % shape[d]!) * steps[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    if (p !== places[i]) return false;
  }
  return true;
}

export type Args = readonly unknown[];

export type Entry = (m: Model, args: Args) => Handle | Handle[] | Val | null;
