import type { Backend, Numbers } from '../../src/backends/backend.ts';
import type { DType } from '../../src/core/dtype.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../src/core/shape.ts';
import { type Expr, load, result } from '../../src/ir/expr.ts';
import type { Input, Kernel, LoopKernel, MatmulKernel, Output, ReduceOp, Reduction } from '../../src/ir/kernel.ts';

// What the kernel tests build their descriptions from, and how they run and compare them.

/** A direct input: its buffer, and by default as contiguous as the space. */
export interface View {
  readonly dtype?: DType;
  readonly strides?: readonly number[];
  readonly offset?: number;
  readonly binding?: number;
}

/** An input read at computed coordinates. */
export interface Table extends View {
  readonly shape: Shape;
  readonly check?: number;
}

const inputOf = (space: Shape, x: View | Table, binding: number): Input => ({
  dtype: x.dtype ?? 'float32',
  binding: x.binding ?? binding,
  access:
    'shape' in x
      ? {
          mode: 'indirect',
          shape: x.shape,
          strides: x.strides ?? contiguousStrides(x.shape),
          offset: x.offset ?? 0,
          check: x.check ?? null,
        }
      : { mode: 'direct', strides: x.strides ?? contiguousStrides(space), offset: x.offset ?? 0 },
});

export interface Target {
  readonly expr: Expr;
  readonly level?: 'element' | 'row';
  readonly strides?: readonly number[];
  readonly offset?: number;
  readonly binding?: number;
}

const isExpr = (x: Target | Expr): x is Expr => 'op' in x;

const outputOf = (space: Shape, row: Shape, t: Target | Expr, binding: number): Output => {
  const { expr, level = 'element', strides, offset = 0, binding: own }: Target = isExpr(t) ? { expr: t } : t;
  return {
    dtype: expr.dtype,
    expr,
    level,
    strides: strides ?? contiguousStrides(level === 'row' ? row : space),
    offset,
    binding: own ?? binding,
  };
};

const bindingsOf = (inputs: readonly Input[], outputs: readonly Output[]): number =>
  Math.max(-1, ...inputs.map((i) => i.binding), ...outputs.map((o) => o.binding)) + 1;

/** Buffers are numbered by inputs, then outputs, unless a view names its own. */
export function map(
  space: Shape,
  views: readonly (View | Table)[],
  targets: readonly (Target | Expr)[],
  scalars: readonly DType[] = [],
): LoopKernel {
  const inputs = views.map((v, i) => inputOf(space, v, i));
  const outputs = targets.map((t, i) => outputOf(space, [], t, views.length + i));
  return {
    kind: 'map',
    space,
    inner: 0,
    inputs,
    reductions: [],
    outputs,
    scalars,
    bindings: bindingsOf(inputs, outputs),
  };
}

/** A loop with rows of `inner` dims; a `reduce` where it fits that kind. */
export function rows(
  space: Shape,
  inner: number,
  views: readonly (View | Table)[],
  reductions: readonly Reduction[],
  targets: readonly (Target | Expr)[],
  scalars: readonly DType[] = [],
): LoopKernel {
  const inputs = views.map((v, i) => inputOf(space, v, i));
  const row = space.slice(0, space.length - inner);
  const outputs = targets.map((t, i) => outputOf(space, row, t, views.length + i));
  const kind = reductions.length === 1 && outputs.every((o) => o.level === 'row') ? 'reduce' : 'rowwise';
  return { kind, space, inner, inputs, reductions, outputs, scalars, bindings: bindingsOf(inputs, outputs) };
}

/** The plain reduction of one input, into one row output. */
export function reduction(op: ReduceOp, space: Shape, inner: number, view: View = {}): LoopKernel {
  const dtype = view.dtype ?? 'float32';
  return rows(space, inner, [view], [{ op, expr: load(0, dtype) }], [{ expr: result(0, dtype), level: 'row' }]);
}

/** Contiguous [...batch, m, k] times [...batch, k, n], unless the views say otherwise. */
export function matmul(
  shape: Shape,
  k: number,
  {
    a,
    b,
    views = [],
    targets = [result(0, 'float32')],
    scalars = [],
  }: {
    readonly a?: View;
    readonly b?: View;
    readonly views?: readonly View[];
    readonly targets?: readonly (Target | Expr)[];
    readonly scalars?: readonly DType[];
  } = {},
): MatmulKernel {
  const [m, n] = shape.slice(-2) as [number, number];
  const batch = shape.slice(0, -2);
  const left = a?.strides ?? contiguousStrides([...batch, m, k]);
  const right = b?.strides ?? contiguousStrides([...batch, k, n]);
  return contraction([...shape, k], 1, 1, 1, {
    a: { ...a, strides: [...left.slice(0, -1), 0, left.at(-1)!] },
    b: { ...b, strides: [...right.slice(0, -2), 0, right.at(-1)!, right.at(-2)!] },
    views,
    targets,
    scalars,
  });
}

/** Sums of products over a space of [...batch, ...m, ...n, ...k], to which the strides of the operands belong. */
export function contraction(
  space: Shape,
  rows: number,
  columns: number,
  inner: number,
  {
    a,
    b,
    views = [],
    targets = [result(0, 'float32')],
    scalars = [],
  }: {
    readonly a: View;
    readonly b: View;
    readonly views?: readonly View[];
    readonly targets?: readonly (Target | Expr)[];
    readonly scalars?: readonly DType[];
  },
): MatmulKernel {
  const outer = space.slice(0, space.length - inner);
  const none = new Array<number>(inner).fill(0);
  const inputs = [
    inputOf(space, a, 0),
    inputOf(space, b, 1),
    ...views.map((v, i) =>
      inputOf(space, { ...v, strides: [...(v.strides ?? contiguousStrides(outer)), ...none] }, i + 2),
    ),
  ];
  const outputs = targets.map((t, i) =>
    outputOf(space, outer, { level: 'row', ...(isExpr(t) ? { expr: t } : t) }, inputs.length + i),
  );
  const bindings = bindingsOf(inputs, outputs);
  return { kind: 'matmul', space, rows, columns, inner, inputs, outputs, scalars, bindings };
}

/** A repeatable sequence of 32-bit numbers (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** Uniform in [low, high). */
export function uniforms(n: number, low = -1, high = 1, seed = 1): Float32Array {
  const next = generator(seed);
  return Float32Array.from({ length: n }, () => low + ((high - low) * next()) / 2 ** 32);
}

/** Small integers as float32: sums and products of a few are exact in any order. */
export function wholes(n: number, low = -8, high = 8, seed = 2): Float32Array {
  return uniforms(n, low, high + 1, seed).map(Math.floor);
}

export function integers(n: number, seed = 3): Int32Array {
  const next = generator(seed);
  return Int32Array.from({ length: n }, next);
}

/** What each buffer holds in the end, in the dtype that was uploaded, and the status word. */
export interface Outcome {
  readonly buffers: readonly Numbers[];
  readonly status: number;
}

const dtypeOf = (data: Numbers): DType =>
  data instanceof Int32Array ? 'int32' : data instanceof Uint32Array ? 'uint32' : 'float32';

/** Runs kernels over the same buffers, one after the other in one batch. */
export async function run(
  backend: Backend,
  kernels: readonly Kernel[],
  buffers: readonly Numbers[],
  scalars: readonly number[] = [],
): Promise<Outcome> {
  const made = buffers.map((data) => backend.allocate(data.length * 4));
  const submitted = backend.submit({
    uploads: made.flatMap((buffer, i) => (buffers[i]!.length > 0 ? [{ buffer, data: buffers[i]! }] : [])),
    launches: kernels.map((kernel) => ({
      program: backend.prepare(kernel),
      buffers: made.slice(0, kernel.bindings),
      scalars,
      label: 'test',
    })),
  });
  let status = 0;
  const reads = made.map((buffer, i) => backend.read(buffer, dtypeOf(buffers[i]!), 0, buffers[i]!.length));
  for (const buffer of made) backend.release(buffer);
  await submitted;
  const out: Numbers[] = [];
  for (const read of await Promise.all(reads)) {
    status ||= read.status;
    out.push(read.data);
  }
  return { buffers: out, status: status || (await backend.sync()) };
}

/** Shows a write where nothing was to be written. */
export const UNTOUCHED = -77;
export const blank = (shape: Shape | number, dtype: DType = 'float32'): Numbers => {
  const n = typeof shape === 'number' ? shape : sizeOf(shape);
  if (dtype === 'float32') return new Float32Array(n).fill(UNTOUCHED);
  return dtype === 'int32' ? new Int32Array(n).fill(UNTOUCHED) : new Uint32Array(n).fill(77);
};

const LEAST_NORMAL = 2 ** -126;

/** The distance from a float32 to its next neighbour; that of the least normal number below it. */
export function ulp(x: number): number {
  const a = Math.max(Math.abs(Math.fround(x)), LEAST_NORMAL);
  return a === Infinity ? 2 ** 104 : 2 ** (Math.floor(Math.log2(a) + 1e-9) - 23);
}

/**
 * How many ulps a float32 lies from the exact value: Infinity where one is NaN or infinite and the other is not. Where
 * the exact value is less than 2^-126, any value up to that will do, a zero of the wrong sign only if `signs` is false.
 */
export function ulps(got: number, exact: number, signs = true): number {
  const want = Math.fround(exact);
  if (Number.isNaN(want) || Number.isNaN(got)) return Number.isNaN(want) && Number.isNaN(got) ? 0 : Infinity;
  if (Math.abs(want) === Infinity || Math.abs(got) === Infinity) return want === got ? 0 : Infinity;
  if (Math.abs(exact) < LEAST_NORMAL && Math.abs(got) <= LEAST_NORMAL) {
    if (!signs) return 0;
    const sameSign = Object.is(Math.sign(1 / want), Math.sign(1 / got));
    return sameSign && (want !== 0 || got === 0 || exact !== 0) ? 0 : Infinity;
  }
  return Math.abs(got - exact) / ulp(exact);
}

/** The first element that differs by more than its tolerance, as text, or null. NaN equals NaN, and 0 equals -0. */
export function difference(got: Numbers, want: Numbers, tolerance: (i: number) => number): string | null {
  if (got.length !== want.length) return `${got.length} elements instead of ${want.length}`;
  let count = 0;
  let first = '';
  for (let i = 0; i < want.length; i++) {
    const a = got[i]!;
    const b = want[i]!;
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (Math.abs(a - b) <= tolerance(i)) continue;
    if (count++ === 0) first = `element ${i} is ${a} instead of ${b}`;
  }
  return count === 0 ? null : `${first} (${count} of ${want.length} differ)`;
}
