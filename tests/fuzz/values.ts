// The arithmetic of the model: dense values in double, each op written from its definition, with a tape of its own.
// Everything that moves elements is `take` or `put` with a list of places; they are each other's gradients.

export type DType = 'float32' | 'int32' | 'uint32' | 'bool';
export type Shape = readonly number[];

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);

/** An error that the library is expected to throw, by its class. */
export class Expected extends Error {
  constructor(name: string, message = '') {
    super(message);
    this.name = name;
  }
}

/** Something that only the device finds out, and that the next await throws: see `raise`. */
export interface Fault {
  readonly error: 'IndexError' | 'NumericsError';
  /** A gradient may run into it again. */
  again: boolean;
}

export interface Val {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: Float64Array;
  /** How far float32 may be off, in units of 2^-24; 0 where every order of operations gives the same bits. */
  readonly err: number;
  /** Nothing can be said about it: a jump of a function met an inexact input, or the numbers blew up. */
  readonly wild: boolean;
  tape: Tape | null;
  /** What whoever reads it has to be told; only where every element depends on every one of the faulty value. */
  readonly faults?: readonly Fault[] | undefined;
}

let raised: Fault[] = [];
/** The faults since the last call. */
export function takeRaised(): Fault[] {
  const out = raised;
  raised = [];
  return out;
}
/** A value that the device complains about. Where that is not sure (a matrix that is nearly singular), no read has to. */
export function raise(v: Val, error: Fault['error'], sure = true): Val {
  const fault: Fault = { error, again: v.tape !== null };
  raised.push(fault);
  return { ...v, wild: true, faults: sure ? [...(v.faults ?? []), fault] : v.faults };
}
/** The faults of some values, each once. */
function faultsOf(ins: readonly Val[]): { faults?: readonly Fault[] } {
  const all = new Set(ins.flatMap((v) => v.faults ?? []));
  return all.size > 0 ? { faults: [...all] } : {};
}

type Rule = (g: Val) => (Val | null)[];

let ids = 0;

/** The ops that the model makes one op of the library from, and their gradients. */
export interface Group {
  /** Its gradients may have a history, even where they do not change. */
  readonly curved: boolean;
  /** Whether its graph is used up depends on whether gradients look at inputs or at outputs, which is the library's affair. */
  spent: boolean;
}
let group: Group | null = null;
export function withGroup<T>(g: Group | null, fn: () => T): T {
  const before = group;
  group = g;
  try {
    return fn();
  } finally {
    group = before;
  }
}

/** An op on the model's tape, or a leaf (without a rule). */
export class Tape {
  readonly id = ids++;
  readonly group = group;
  released = false;
  leaf: { grad: Val | null } | null = null;
  constructor(
    readonly rule: Rule | null,
    readonly parents: readonly (Tape | null)[],
  ) {}
}

let recording = true;
export const isRecording = (): boolean => recording;
export function withRecording<T>(on: boolean, fn: () => T): T {
  const before = recording;
  recording = on;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** Fixed-point numbers of 12 binary places below 1024: sums and products of a few of them are exact in float32. */
const FRACTION = 4096;
const LARGEST = 1024;

const largest = (data: Float64Array): number => {
  let m = 0;
  for (const v of data) if (Math.abs(v) > m) m = Math.abs(v);
  return m;
};

/** A value with what its error is: `err` comes from the inputs, and rounding adds `roundings` times the largest element. */
export function value(
  data: Float64Array,
  shape: Shape,
  dtype: DType,
  err: number,
  wild: boolean,
  roundings = 1,
  bound = largest(data),
): Val {
  if (dtype !== 'float32') return { shape, dtype, data, err: 0, wild, tape: null };
  if (!Number.isFinite(bound) || data.some((v) => !Number.isFinite(v)) || bound > 1e6) wild = true;
  let exact = err === 0 && bound <= LARGEST;
  for (let i = 0; exact && i < data.length; i++) exact = Number.isInteger(data[i]! * FRACTION);
  return { shape, dtype, data, err: exact ? 0 : err + roundings * bound, wild, tape: null };
}

/** Puts a value on the tape if something it came from is there. */
export function taped(out: Val, parents: readonly Val[], rule: Rule): Val {
  if (recording && out.dtype === 'float32' && parents.some((p) => p.tape))
    out.tape = new Tape(
      rule,
      parents.map((p) => p.tape),
    );
  return out;
}

export const number = (v: number, dtype: DType = 'float32'): Val => value(Float64Array.of(v), [], dtype, 0, false);
export const filled = (v: number, shape: Shape, dtype: DType = 'float32'): Val =>
  value(new Float64Array(sizeOf(shape)).fill(v), shape, dtype, 0, false);

/** out[i] = x[map[i]], or 0 where the map is -1. */
export function take(x: Val, map: Int32Array, shape: Shape): Val {
  const data = new Float64Array(map.length);
  for (let i = 0; i < map.length; i++) data[i] = map[i]! < 0 ? 0 : x.data[map[i]!]!;
  const whole = x.faults !== undefined && new Set(map).size - Number(map.includes(-1)) === x.data.length;
  const out: Val = {
    shape,
    dtype: x.dtype,
    data,
    err: x.err,
    wild: x.wild,
    tape: null,
    ...(whole ? { faults: x.faults } : {}),
  };
  return taped(out, [x], (g) => [put(g, map, x.shape)]);
}

/** out[map[i]] += x[i]; nothing where the map is -1. */
export function put(x: Val, map: Int32Array, shape: Shape): Val {
  const data = new Float64Array(sizeOf(shape));
  const sums = new Float64Array(data.length);
  const counts = new Int32Array(data.length);
  let most = 0;
  for (let i = 0; i < map.length; i++) {
    const to = map[i]!;
    if (to < 0) continue;
    data[to]! += x.data[i]!;
    sums[to]! += Math.abs(x.data[i]!);
    most = Math.max(most, ++counts[to]!);
  }
  if (x.dtype === 'int32') for (let i = 0; i < data.length; i++) data[i] = data[i]! | 0;
  const out =
    most <= 1
      ? { ...value(data, shape, x.dtype, 0, x.wild), err: x.err }
      : value(data, shape, x.dtype, x.err * most, x.wild, Math.min(most, 8), largest(sums));
  out.tape = null;
  const told: Val = { ...out, ...(map.includes(-1) ? {} : faultsOf([x])) };
  return taped(told, [x], (g) => [take(g, map, x.shape)]);
}

const coordinates = (shape: Shape, i: number): number[] => {
  const at = new Array<number>(shape.length);
  for (let d = shape.length - 1; d >= 0; d--) {
    at[d] = i % shape[d]!;
    i = Math.floor(i / shape[d]!);
  }
  return at;
};
const place = (shape: Shape, at: readonly number[]): number => at.reduce((sum, c, d) => sum * shape[d]! + c, 0);

/** For each element of a shape, the place in another shape that its coordinates lead to (null: none). */
export function mapOf(shape: Shape, from: Shape, fn: (at: number[]) => number[] | null): Int32Array {
  return Int32Array.from({ length: sizeOf(shape) }, (_, i) => {
    const at = fn(coordinates(shape, i));
    return at === null ? -1 : place(from, at);
  });
}

export function broadcastShape(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new Expected('ShapeError', 'broadcast');
    return x === 1 ? y : x;
  });
}

export const broadcastMap = (from: Shape, to: Shape): Int32Array =>
  mapOf(to, from, (at) => from.map((d, i) => (d === 1 ? 0 : at[i + to.length - from.length]!)));

export const broadcast = (x: Val, shape: Shape): Val =>
  sameShape(x.shape, shape) ? x : take(x, broadcastMap(x.shape, shape), shape);

export interface MapOptions {
  readonly dtype?: DType;
  /** How much each input's error grows, at an element; 1 for all unless given. */
  readonly grows?: (...v: number[]) => number[];
  /** The function jumps: only exact inputs tell its value. */
  readonly jumps?: boolean;
  /** Only the first input is sure to count. */
  readonly chooses?: boolean;
  /** Roundings of the result, where it is not exact. */
  readonly roundings?: number;
  readonly gradient?: (g: Val, out: Val) => (Val | null)[];
}

/** An elementwise function of values that broadcast. */
export function map(given: readonly Val[], fn: (...v: number[]) => number, options: MapOptions = {}): Val {
  const shape = given.map((v) => v.shape).reduce(broadcastShape, []);
  const ins = given.map((v) => broadcast(v, shape));
  const n = sizeOf(shape);
  const dtype = options.dtype ?? 'float32';
  const data = new Float64Array(n);
  const at = new Array<number>(ins.length);
  const inexact = ins.some((v) => v.err > 0);
  let err = 0;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < ins.length; k++) at[k] = ins[k]!.data[i]!;
    const v = fn(...at);
    data[i] = dtype === 'int32' ? v | 0 : dtype === 'uint32' ? v >>> 0 : dtype === 'bool' ? (v ? 1 : 0) : v;
    if (!inexact) continue;
    // Errors meet errors, too: the slope is taken as far from 0 as the input may be.
    const grows = options.grows?.(...at.map((u, k) => u + (u < 0 ? -ins[k]!.err : ins[k]!.err) * 2 ** -24));
    let sum = 0;
    for (let k = 0; k < ins.length; k++) if (ins[k]!.err > 0) sum += ins[k]!.err * Math.abs(grows ? grows[k]! : 1);
    if (sum > err) err = sum;
  }
  const wild = ins.some((v) => v.wild) || (inexact && (options.jumps === true || !Number.isFinite(err)));
  const counts = options.chooses ? ins.slice(0, 1) : ins;
  const out: Val = { ...value(data, shape, dtype, err, wild, options.roundings ?? 1), ...faultsOf(counts) };
  const { gradient } = options;
  return gradient ? taped(out, ins, (g) => gradient(g, out)) : out;
}

// What gradients are written in.

export const add = (x: Val, y: Val): Val => map([x, y], (a, b) => a + b, { gradient: (g) => [g, g] });
export const neg = (x: Val): Val => map([x], (a) => -a, { gradient: (g) => [neg(g)] });
export const sub = (x: Val, y: Val): Val => map([x, y], (a, b) => a - b, { gradient: (g) => [g, neg(g)] });
export function mul(x: Val, y: Val): Val {
  const shape = broadcastShape(x.shape, y.shape);
  const [a, b] = [broadcast(x, shape), broadcast(y, shape)];
  return map([a, b], (u, v) => u * v, { grows: (u, v) => [v!, u!], gradient: (g) => [mul(g, b), mul(g, a)] });
}
export function div(x: Val, y: Val): Val {
  const shape = broadcastShape(x.shape, y.shape);
  const [a, b] = [broadcast(x, shape), broadcast(y, shape)];
  return map([a, b], (u, v) => u / v, {
    grows: (u, v) => [1 / v!, u! / (v! * v!)],
    roundings: 3,
    gradient: (g) => [div(g, b), neg(mul(g, div(div(a, b), b)))],
  });
}
/** A choice by an exact bool; what is not chosen does not count. */
export function choose(c: Val, x: Val, y: Val): Val {
  const shape = [x.shape, y.shape].reduce(broadcastShape, c.shape);
  const [k, a, b] = [c, x, y].map((v) => broadcast(v, shape)) as [Val, Val, Val];
  return map([k, a, b], (t, u, v) => (t ? u! : v!), {
    grows: (t) => [0, t ? 1 : 0, t ? 0 : 1],
    chooses: true,
    gradient: (g) => [null, choose(k, g, number(0)), choose(k, number(0), g)],
  });
}
/** A function of one element with its derivative as a value. */
export const smooth = (
  x: Val,
  fn: (v: number) => number,
  slope: (v: number) => number,
  gradient: (g: Val, out: Val) => Val,
  roundings = 4,
): Val => map([x], fn, { grows: (v) => [slope(v!)], roundings, gradient: (g, out) => [gradient(g, out)] });

export const exp = (x: Val): Val => smooth(x, Math.exp, Math.exp, (g, y) => mul(g, y));
export const log = (x: Val): Val =>
  smooth(
    x,
    Math.log,
    (v) => 1 / v,
    (g) => div(g, x),
  );
export const sqrt = (x: Val): Val =>
  smooth(
    x,
    Math.sqrt,
    (v) => 0.5 / Math.sqrt(v),
    (g, y) => div(g, mul(y, number(2))),
  );
/** Steps have the gradient 0. */
export const step = (x: Val, fn: (v: number) => number, dtype: DType = x.dtype): Val =>
  map([x], fn, { dtype, jumps: true, gradient: () => [filled(0, x.shape)] });
export const sign = (x: Val): Val => step(x, (v) => (v > 0 ? 1 : v < 0 ? -1 : 0));
export const test = (ins: readonly Val[], fn: (...v: number[]) => boolean): Val =>
  map(ins, (...v) => (fn(...v) ? 1 : 0), { dtype: 'bool', jumps: true });
/** The value without its history. */
export const constant = (x: Val): Val => ({ ...x, tape: null });

/** The place of each element among the sums over some dims. */
export function reduceMap(shape: Shape, dims: readonly number[]): { map: Int32Array; kept: Shape } {
  const outer = shape.map((_, d) => d).filter((d) => !dims.includes(d));
  const kept = outer.map((d) => shape[d]!);
  return { map: mapOf(shape, kept, (at) => outer.map((d) => at[d]!)), kept };
}

export function sum(x: Val, dims: readonly number[]): Val {
  const { map: places, kept } = reduceMap(x.shape, dims);
  return put(x, places, kept);
}

/** A reduction's result repeated over the dims that it lost. */
export function repeat(y: Val, shape: Shape, dims: readonly number[]): Val {
  return take(y, reduceMap(shape, dims).map, shape);
}

/** The places of the extreme element of each group, ties and all: a bool for each element, and the value. */
export function extreme(x: Val, dims: readonly number[], better: (a: number, b: number) => boolean): Val {
  const { map: places, kept } = reduceMap(x.shape, dims);
  const best = new Float64Array(sizeOf(kept)).fill(Number.NaN);
  for (let i = 0; i < places.length; i++) {
    const p = places[i]!;
    if (Number.isNaN(best[p]!) || better(x.data[i]!, best[p]!)) best[p] = x.data[i]!;
  }
  const out: Val = { ...value(best, kept, x.dtype, 0, x.wild), err: x.err, tape: null };
  return taped(out, [x], (g) => {
    const ties = map([x, repeat(constant(out), x.shape, dims)], (a, b) => (a === b ? 1 : 0), { jumps: true });
    return [mul(constant(ties), div(repeat(g, x.shape, dims), repeat(sum(constant(ties), dims), x.shape, dims)))];
  });
}

/** Reads a value as another shape of the same size. */
export function shaped(x: Val, shape: Shape): Val {
  if (sameShape(x.shape, shape)) return x;
  const same = Int32Array.from({ length: x.data.length }, (_, i) => i);
  return take(x, same, shape);
}

export function matmul(a: Val, b: Val): Val {
  const k = a.shape[a.shape.length - 1]!;
  const [m, n] = [a.shape[a.shape.length - 2]!, b.shape[b.shape.length - 1]!];
  const batch = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const wideA = broadcast(a, [...batch, m, k]);
  const wideB = broadcast(b, [...batch, k, n]);
  const all = [...batch, m, n, k];
  const r = batch.length;
  const left = take(
    wideA,
    mapOf(all, wideA.shape, (at) => [...at.slice(0, r), at[r]!, at[r + 2]!]),
    all,
  );
  const right = take(
    wideB,
    mapOf(all, wideB.shape, (at) => [...at.slice(0, r), at[r + 2]!, at[r + 1]!]),
    all,
  );
  return sum(mul(left, right), [r + 2]);
}

// The reverse pass.

export interface Seed {
  readonly tape: Tape;
  readonly gradient: Val;
}

export function reverse(
  seeds: readonly Seed[],
  options: {
    readonly retainGraph: boolean;
    readonly createGraph: boolean;
    readonly targets?: ReadonlySet<Tape>;
    /** Gets the groups whose gradients have gradients. */
    readonly derived: Set<Group>;
  },
  arrive: (tape: Tape, g: Val) => void,
): void {
  const reached = new Set<Tape>();
  const stack = seeds.map((s) => s.tape);
  while (stack.length > 0) {
    const t = stack.pop()!;
    if (reached.has(t)) continue;
    reached.add(t);
    for (const p of t.parents) if (p) stack.push(p);
  }
  const sorted = [...reached].sort((a, b) => b.id - a.id);
  const { targets } = options;
  const leading = new Set<Tape>();
  for (const t of [...sorted].reverse())
    if (!targets || targets.has(t) || t.parents.some((p) => p && leading.has(p))) leading.add(t);
  const visit = sorted.filter((t) => leading.has(t));
  for (const t of visit)
    if (t.group?.spent) throw new Expected('GeneratorError', 'graph perhaps used');
    else if (t.group && options.createGraph) options.derived.add(t.group);
  const used = visit.filter((t) => t.rule && t.released && t.parents.some((p) => p && leading.has(p)));
  if (used.length > 0) throw new Expected('UnsupportedError', 'graph used');
  const gradients = new Map<Tape, Val>();
  const accumulate = (t: Tape, g: Val): void => {
    const known = gradients.get(t);
    gradients.set(t, known ? add(known, g) : g);
  };
  withRecording(options.createGraph, () => {
    for (const s of seeds) if (leading.has(s.tape)) accumulate(s.tape, s.gradient);
    for (const t of visit) {
      const g = gradients.get(t);
      if (!g) continue;
      if (t.leaf || targets?.has(t)) arrive(t, g);
      if (!t.rule || !t.parents.some((p) => p && leading.has(p))) continue;
      const out = withGroup(t.group, () => t.rule!(g));
      t.parents.forEach((p, i) => {
        if (p && leading.has(p) && out[i]) accumulate(p, out[i]!);
      });
    }
  });
  if (!options.retainGraph) for (const t of visit) if (t.rule) t.released = true;
}
