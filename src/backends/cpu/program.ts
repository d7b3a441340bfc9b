import { type DType, widthOf } from '../../core/dtype.ts';
import { sizeOf } from '../../core/shape.ts';
import { type Expr, exprKey, rewrite } from '../../ir/expr.ts';
import { expressions, type LoopKernel } from '../../ir/kernel.ts';
import { assemble, type FunctionBuilder, floatBits } from './assembler.ts';
import { expand, hasFusedOps } from './fused.ts';
import type { Heap } from './heap.ts';
import { emitLoop } from './loops.ts';
import {
  extentsOf,
  type Layout,
  layoutOf,
  lowerIndirect,
  type Plan,
  type PlanOptions,
  planLoops,
  unitOf,
} from './plan.ts';

/** Rows whose cached values take more than this are computed again. */
const CACHE_BYTES = 1 << 19;
const MOST_MODULES = 4096;

export type Run = (...parameters: number[]) => void;

interface CompiledLoop {
  readonly run: Run;
  readonly layout: Layout;
  /** Bytes of row cache for each vector of a row. */
  readonly cacheBytes: number;
}

/** Compiled modules on one memory, by structure. */
export class Modules {
  /** Modules compiled so far. */
  compiled = 0;
  /** Whether the engine multiplies and adds in one instruction. */
  readonly fused: boolean = hasFusedOps();
  private readonly loops = new Map<string, CompiledLoop>();
  private readonly others = new Map<string, Record<string, Run>>();

  constructor(readonly heap: Heap) {}

  compile(functions: readonly FunctionBuilder[]): Record<string, Run> {
    this.compiled++;
    const module = new WebAssembly.Module(assemble(functions, this.heap.maximumPages));
    return new WebAssembly.Instance(module, { env: { memory: this.heap.memory } }).exports as Record<string, Run>;
  }

  /** The functions of a module, compiled when first asked for by its key. */
  shared(key: string, functions: () => readonly FunctionBuilder[]): Record<string, Run> {
    const made = this.others.get(key) ?? this.compile(functions());
    this.others.set(key, made);
    return made;
  }

  loop(plan: Plan, kernel: LoopKernel, cache: boolean): CompiledLoop {
    const key = structure(plan, kernel, cache);
    let made = this.loops.get(key);
    if (!made) {
      const roots = share(lowerIndirect(plan, kernel, expand(expressions(kernel), this.fused)));
      const layout = layoutOf(plan, kernel.scalars.length + extentsOf(plan, kernel).length, roots);
      const { code, cacheBytes } = emitLoop(plan, kernel, layout, roots, cache);
      made = { run: this.compile([code])[code.name]!, layout, cacheBytes };
      if (this.loops.size >= MOST_MODULES) this.loops.clear();
      this.loops.set(key, made);
    }
    return made;
  }
}

/** The same expressions with equal parts as one node. */
function share(roots: readonly Expr[]): Expr[] {
  const ids = new Map<Expr, number>();
  const known = new Map<string, Expr>();
  return rewrite(roots, (e, args) => {
    const key = `${e.op} ${e.dtype} ${Object.is(e.value, -0) ? '-0' : e.value} ${args.map((a) => ids.get(a)).join()}`;
    let same = known.get(key);
    if (!same) {
      same = args.every((a, i) => a === e.args[i]) ? e : { ...e, args };
      known.set(key, same);
      ids.set(same, ids.size);
    }
    return same;
  });
}

/** Everything that the code depends on, and no size, stride or scalar. */
function structure(plan: Plan, kernel: LoopKernel, cache: boolean): string {
  const streams = plan.streams.map((s) => `${s.role[0]}${s.which}${s.lanes[0]}${s.row ? 'r' : ''}`).join(' ');
  const inputs = kernel.inputs.map(({ dtype, access }) => {
    if (access.mode === 'direct') return dtype;
    return `${dtype}${access.strides.map((s) => (s === 1 ? 1 : 0)).join('')}:${access.check}`;
  });
  const outputs = kernel.outputs.map((o) => o.level[0]).join('');
  const reductions = kernel.reductions.map((r) => r.op).join();
  const loops = `${plan.mode} ${plan.outer} ${plan.inner} ${cache}`;
  return `${loops}|${streams}|${inputs.join(' ')}|${outputs}|${reductions}|${kernel.scalars.length}|${exprKey(expressions(kernel))}`;
}

export function scalarBits(value: number, dtype: DType): number {
  if (dtype === 'float32') return floatBits(value);
  return dtype === 'bool' ? (value !== 0 ? 1 : 0) : value | 0;
}

/** A part of the iteration space: where it starts and how far it goes, in every dim. */
export interface Box {
  readonly start: readonly number[];
  readonly size: readonly number[];
}

/** A kernel that is ready to run. */
export interface Runnable {
  /** Bytes of scratch that a run needs. */
  readonly scratch: number;
  /** Runs on buffers at the given addresses; `scratch` is the address of the program's own memory. */
  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void;
}

/** A loop kernel that is ready to run. */
export class LoopProgram implements Runnable {
  /** Its parameters and the row cache. */
  readonly scratch: number;
  private readonly plan: Plan;
  private readonly layout: Layout;
  private readonly run: Run;
  private readonly template: Int32Array;
  private readonly empty: boolean;

  constructor(
    modules: Modules,
    readonly kernel: LoopKernel,
    options: PlanOptions = {},
  ) {
    this.plan = planLoops(kernel, expressions(kernel), options);
    const rowVectors = this.rowVectors();
    // Short of counting the cached values first, assume two.
    const { run, layout, cacheBytes } = modules.loop(this.plan, kernel, rowVectors * 32 <= CACHE_BYTES);
    this.run = run;
    this.layout = layout;
    this.scratch = layout.words * 4 + 64 + rowVectors * cacheBytes;
    this.template = this.parameters();
    this.empty = sizeOf(kernel.inner === 0 ? kernel.space : kernel.space.slice(0, -kernel.inner)) === 0;
  }

  /** Vectors that a value of a row takes: the lanes of up to eight rows' vectors, or those along it. */
  private rowVectors(): number {
    const { plan } = this;
    const inner = plan.loops.slice(plan.outer, -1).reduce((n, l) => n * l.size, 1);
    return plan.mode === 'map' || plan.mode === 'scan'
      ? 0
      : inner * (plan.mode === 'row' ? Math.ceil(plan.loops.at(-1)!.size / 4) : 8);
  }

  private parameters(): Int32Array {
    const { plan, layout, kernel } = this;
    const words = new Int32Array(layout.words);
    plan.loops.forEach((loop, i) => {
      words[layout.count(i)] = loop.size;
    });
    plan.streams.forEach((s, i) => {
      const unit = unitOf(kernel, s);
      words[layout.base(i)] = s.offset * unit;
      s.strides.forEach((stride, loop) => {
        words[layout.step(i, loop)] = stride * unit;
      });
    });
    for (const i of plan.indirect)
      words[layout.table(i)] = kernel.inputs[i]!.access.offset * widthOf(kernel.inputs[i]!.dtype);
    extentsOf(plan, kernel).forEach((x, n) => {
      words[layout.scalar(kernel.scalars.length + n)] = x;
    });
    for (const [bits, word] of layout.literals) words[word] = bits;
    return words;
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number, box?: Box): void {
    if (this.empty) return;
    const { plan, layout, kernel } = this;
    const { i32 } = heap;
    const at = scratch / 4;
    i32.set(this.template, at);
    plan.streams.forEach((s, i) => {
      const word = at + layout.base(i);
      if (s.role === 'input') i32[word]! += addresses[kernel.inputs[s.which]!.binding]!;
      else if (s.role === 'output') i32[word]! += addresses[kernel.outputs[s.which]!.binding]!;
    });
    for (const i of plan.indirect) i32[at + layout.table(i)]! += addresses[kernel.inputs[i]!.binding]!;
    for (let n = 0; n < scalars.length; n++) i32[at + layout.scalar(n)] = scalarBits(scalars[n]!, kernel.scalars[n]!);
    i32[at + layout.cache] = Math.ceil((scratch + layout.words * 4) / 64) * 64;
    if (box) this.restrict(i32, at, box);
    this.run(scratch);
    if (plan.rest === 0) return;
    const strips = i32[at + layout.count(0)]!;
    i32[at + layout.count(0)] = 1;
    i32[at + layout.count(plan.loops.length - 1)] = plan.rest;
    plan.streams.forEach((_, s) => {
      i32[at + layout.base(s)]! += Math.imul(i32[at + layout.step(s, 0)]!, strips);
    });
    this.run(scratch);
  }

  private restrict(i32: Int32Array, at: number, box: Box): void {
    const { plan, layout } = this;
    plan.loops.forEach((loop, l) => {
      const dim = loop.dims[0];
      if (dim === undefined) return;
      i32[at + layout.count(l)] = box.size[dim]!;
      plan.streams.forEach((_, s) => {
        i32[at + layout.base(s)]! += Math.imul(i32[at + layout.step(s, l)]!, box.start[dim]!);
      });
    });
  }
}
