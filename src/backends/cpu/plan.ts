import { type DType, widthOf } from '../../core/dtype.ts';
import { contiguousStrides } from '../../core/shape.ts';
import { add, and, cast, constant, type Expr, lt, mul, rewrite, uniform, walk } from '../../ir/expr.ts';
import type { Access, LoopKernel } from '../../ir/kernel.ts';
import { constantBits } from './simd.ts';

/** Something that moves by a constant step in every loop: a direct input, an output, or a coordinate. */
export interface Stream {
  readonly role: 'input' | 'output' | 'index' | 'position';
  /** The input, output or dim it stands for. */
  readonly which: number;
  /** Elements a loop steps over, in the order of `Plan.loops`. */
  readonly strides: readonly number[];
  readonly offset: number;
  /** How the four lanes of a vector lie: all the same, one after the other, or a stride apart. */
  readonly lanes: 'same' | 'next' | 'apart';
  /** Whether it moves within a row. */
  readonly row: boolean;
}

/**
 * The loops a kernel runs in, outermost first, after merging and reordering. The last one is the lane loop, which runs in
 * steps of a vector. Vectors lie along the row (`row`: reductions end across the lanes), across rows (`column`: every lane has a
 * row of its own, and the row loops run inside the lane loop), or there are no rows (`map`). A `scan` has a row in each lane too.
 */
export interface Plan {
  readonly mode: 'map' | 'row' | 'column' | 'scan';
  /** Loops over rows, besides the lane loop. */
  readonly outer: number;
  /** Loops within a row, besides the lane loop. */
  readonly inner: number;
  readonly loops: readonly { readonly size: number; readonly dims: readonly number[] }[];
  readonly streams: readonly Stream[];
  /** Inputs that `loadAt` reads. */
  readonly indirect: readonly number[];
  /** Elements at the end of the lane dim that need another run, where the outermost loop cuts that dim into strips. */
  readonly rest: number;
}

interface Draft {
  role: Stream['role'];
  which: number;
  strides: number[];
  offset: number;
}

interface Dim {
  size: number;
  readonly dims: number[];
  readonly row: boolean;
  /** One for each stream. */
  strides: number[];
}

/** What a vector costs against a contiguous one. */
const laneCost = (stride: number): number => (stride === 0 ? 0.1 : stride === 1 ? 1 : 4);
/** Lanes of a strip: each reads a cache line of its own, which the next iterations of the loop around the strip use up. */
const STRIP = 16;
/** Vectors run over the vectors that would be full. */
const waste = (size: number): number => (size === 0 ? 1 : (Math.ceil(size / 4) * 4) / size);

function collect(kernel: LoopKernel, roots: readonly Expr[], indirect: number[], rowPosition: boolean): Draft[] {
  const rank = kernel.space.length;
  const rowZeros = new Array<number>(kernel.inner).fill(0);
  const drafts: Draft[] = [];
  const add = (role: Stream['role'], which: number, strides: readonly number[], offset: number): void => {
    if (!drafts.some((d) => d.role === role && d.which === which))
      drafts.push({ role, which, strides: [...strides], offset });
  };
  walk(roots, (e) => {
    if (e.op === 'load') {
      const { access } = kernel.inputs[e.value]!;
      if (access.mode !== 'direct') throw new Error('load of an indirect input');
      add('input', e.value, access.strides, access.offset);
    } else if (e.op === 'loadAt') {
      if (!indirect.includes(e.value)) indirect.push(e.value);
    } else if (e.op === 'index') {
      add(
        'index',
        e.value,
        kernel.space.map((_, d) => (d === e.value ? 1 : 0)),
        0,
      );
    } else if (e.op === 'position') {
      const rows = kernel.space.slice(0, rank - kernel.inner);
      add('position', 0, rowPosition ? [...contiguousStrides(rows), ...rowZeros] : contiguousStrides(kernel.space), 0);
    }
  });
  kernel.outputs.forEach((o, i) => {
    add('output', i, o.level === 'row' ? [...o.strides, ...rowZeros] : o.strides, o.offset);
  });
  return drafts;
}

/** Puts the dims of a group in the order of a stream's strides, and merges those that all streams pass through as one. */
function mergeDims(group: readonly Dim[], leader: number): Dim[] {
  const sorted = [...group];
  if (leader >= 0) sorted.sort((a, b) => Math.abs(b.strides[leader]!) - Math.abs(a.strides[leader]!));
  const out: Dim[] = [];
  for (const dim of sorted) {
    const last = out.at(-1);
    if (last?.strides.every((s, i) => s === dim.strides[i]! * dim.size)) {
      last.size *= dim.size;
      last.dims.push(...dim.dims);
      last.strides = dim.strides;
    } else out.push(dim);
  }
  return out;
}

export interface PlanOptions {
  /** Every dim keeps a loop of its own, so that a launch may cover any box of the space. */
  readonly fixed?: boolean;
  /** `position` counts rows, not elements. */
  readonly rowPosition?: boolean;
  /** The kernel comes from `asLoop` in scan.ts. */
  readonly scan?: boolean;
}

/** Chooses loops for a kernel. */
export function planLoops(
  kernel: LoopKernel,
  roots: readonly Expr[],
  { fixed = false, rowPosition = false, scan = false }: PlanOptions = {},
): Plan {
  const rows = kernel.space.length - kernel.inner;
  const indirect: number[] = [];
  const drafts = collect(kernel, roots, indirect, rowPosition);
  const all: Dim[] = kernel.space.map((size, d) => ({
    size,
    dims: [d],
    row: d >= rows,
    strides: drafts.map((s) => s.strides[d]!),
  }));
  let dims = all;
  if (!fixed) {
    dims = dims.filter((d) => d.size !== 1);
    const outer = dims.filter((d) => !d.row);
    const row = dims.filter((d) => d.row);
    const output = drafts.findIndex((s) => s.role === 'output');
    const reader = drafts.findIndex((s) => s.role === 'input' && row.some((d) => s.strides[d.dims[0]!] !== 0));
    dims = [...mergeDims(outer, output), ...mergeDims(row, reader)];
  }
  const lanes = (): readonly Dim[] => (scan ? dims.filter((d) => !d.row) : dims);
  if (lanes().length === 0) dims = [{ size: 1, dims: [], row: false, strides: drafts.map(() => 0) }, ...dims];

  const cost = (dim: Dim): number => {
    const wanted = drafts.filter((s) => s.role === 'input' || s.role === 'output');
    const streams = drafts.reduce(
      (sum, s, i) => sum + (wanted.includes(s) ? laneCost(dim.strides[i]!) * (s.role === 'output' ? 1.5 : 1) : 0),
      0.5,
    );
    const length = dims.reduce((n, d) => (d.row ? n * d.size : n), 1);
    // Reducing across the lanes at the end of a row.
    const ending = dim.row && kernel.reductions.length > 0 ? 10 / Math.max(length, 1) : 0;
    return streams * waste(dim.size) + ending;
  };
  let lane = lanes().at(-1)!;
  let best = Infinity;
  for (const dim of [...lanes()].reverse()) {
    const c = cost(dim);
    if (c < best) {
      best = c;
      lane = dim;
    }
  }
  const mode = scan ? 'scan' : kernel.inner === 0 ? 'map' : lane.row ? 'row' : 'column';
  const outer = dims.filter((d) => !d.row && d !== lane);
  let rest = 0;
  const transposed = (s: Draft, i: number): boolean =>
    s.role === 'input' && Math.abs(lane.strides[i]!) > 1 && outer.some((d) => d.strides[i] === 1);
  if (mode === 'map' && !fixed && lane.size >= 2 * STRIP && drafts.some(transposed)) {
    const strips = Math.floor(lane.size / STRIP);
    rest = lane.size % STRIP;
    outer.unshift({ ...lane, size: strips, strides: lane.strides.map((s) => s * STRIP) });
    lane = { ...lane, size: STRIP };
  }
  const inner = dims.filter((d) => d.row && d !== lane);
  const loops = [...outer, ...inner, lane];
  const streams = drafts.map((s, i): Stream => {
    const stride = lane.strides[i]!;
    let lanes: Stream['lanes'] = stride === 0 ? 'same' : stride === 1 ? 'next' : 'apart';
    if (s.role === 'output' && lanes === 'same') {
      const single = mode === 'scan' ? lane.size === 1 : mode === 'row' && kernel.outputs[s.which]!.level === 'row';
      if (!single) lanes = lane.size === 1 ? 'next' : 'apart';
    }
    return {
      role: s.role,
      which: s.which,
      strides: loops.map((d) => d.strides[i]!),
      offset: s.offset,
      lanes,
      row: dims.some((d) => d.row && d.strides[i] !== 0),
    };
  });
  return {
    mode,
    outer: outer.length,
    inner: inner.length,
    loops: loops.map(({ size, dims: d }) => ({ size, dims: d })),
    streams,
    indirect,
    rest,
  };
}

/** Where the words of a launch's parameters lie, in its block of the memory. */
export interface Layout {
  readonly count: (loop: number) => number;
  readonly base: (stream: number) => number;
  readonly step: (stream: number, loop: number) => number;
  /** First element of an indirect input. */
  readonly table: (input: number) => number;
  readonly scalar: (slot: number) => number;
  /** Literals, as bits: V8 builds one that is in the code again at each use, and keeps one that was loaded in a register. */
  readonly literals: ReadonlyMap<number, number>;
  /** Address of the row cache. */
  readonly cache: number;
  readonly words: number;
}

/** `roots` are lowered; `scalars` counts the uniforms, those of `lowerIndirect` among them. */
export function layoutOf(plan: Plan, scalars: number, roots: readonly Expr[]): Layout {
  const loops = plan.loops.length;
  const tables = loops + plan.streams.length * (1 + loops);
  const uniforms = tables + plan.indirect.length;
  const literals = new Map<number, number>();
  let next = uniforms + scalars;
  walk(roots, (e) => {
    const bits = constantBits(e.value, e.dtype);
    if (e.op === 'const' && !literals.has(bits) && bits !== 0) literals.set(bits, next++);
  });
  return {
    count: (loop) => loop,
    base: (stream) => loops + stream * (1 + loops),
    step: (stream, loop) => loops + stream * (1 + loops) + 1 + loop,
    table: (input) => tables + plan.indirect.indexOf(input),
    scalar: (slot) => uniforms + slot,
    literals,
    cache: next,
    words: next + 1,
  };
}

/** Sizes, then strides, of the indirect inputs, which are passed as uniforms after those of the kernel. */
export const extentsOf = (plan: Plan, kernel: LoopKernel): number[] =>
  plan.indirect.flatMap((i) => {
    const { shape, strides } = tableOf(kernel, i);
    return [...shape, ...strides];
  });

export function tableOf(kernel: LoopKernel, input: number): Access & { mode: 'indirect' } {
  const { access } = kernel.inputs[input]!;
  if (access.mode !== 'indirect') throw new Error('loadAt of a direct input');
  return access;
}

/**
 * Gives indirect loads the arguments [index of the element, whether it is in range]: as expressions, the parts of an index
 * that stay the same in a loop leave the loop.
 */
export function lowerIndirect(plan: Plan, kernel: LoopKernel, roots: readonly Expr[]): Expr[] {
  const slots = new Map<number, number>();
  let next = kernel.scalars.length;
  for (const i of plan.indirect) {
    slots.set(i, next);
    next += 2 * tableOf(kernel, i).shape.length;
  }
  return rewrite(roots, (e, coordinates) => {
    if (e.op !== 'loadAt') return undefined;
    const { shape, strides } = tableOf(kernel, e.value);
    const slot = slots.get(e.value)!;
    let index: Expr = constant(0, 'int32');
    let inside: Expr = constant(1, 'bool');
    coordinates.forEach((c, d) => {
      const at = cast(c, 'int32');
      const step = strides[d] === 1 ? at : mul(at, uniform(slot + shape.length + d, 'int32'));
      index = d === 0 ? step : add(index, step);
      const within = lt(cast(c, 'uint32'), uniform(slot + d, 'uint32'));
      inside = d === 0 ? within : and(inside, within);
    });
    return { ...e, args: [index, inside] };
  });
}

/** How much a stream's pointer or coordinate grows with a step of one. */
export const unitOf = (kernel: LoopKernel, s: Stream): number =>
  s.role === 'input' || s.role === 'output' ? widthOf(dtypeOf(kernel, s)) : 1;

export const dtypeOf = (kernel: LoopKernel, s: Stream): DType =>
  s.role === 'input' ? kernel.inputs[s.which]!.dtype : s.role === 'output' ? kernel.outputs[s.which]!.dtype : 'int32';
