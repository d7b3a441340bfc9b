import type { DType } from '../../core/dtype.ts';
import { sizeOf } from '../../core/shape.ts';
import { type Expr, exprKey, rewrite, type ScalarOp } from '../../ir/expr.ts';
import { expandFunctions } from '../../ir/functions.ts';
import { expressions, type LoopKernel } from '../../ir/kernel.ts';
import { assemble, type FunctionBuilder, floatBits } from './assembler.ts';
import type { Heap } from './heap.ts';
import { emitLoop } from './loops.ts';
import { type Layout, layoutOf, type Plan, type PlanOptions, planLoops, rankOf } from './plan.ts';

/** Rows whose cached values take more than this are computed again. */
const CACHE_BYTES = 1 << 19;
const MOST_MODULES = 4096;
const INTRINSICS: ReadonlySet<ScalarOp> = new Set<ScalarOp>(['isnan']);

export type Run = (...parameters: number[]) => void;

/** Compiled modules on one memory, by structure. */
export class Modules {
  /** Modules compiled so far. */
  compiled = 0;
  private readonly loops = new Map<string, { run: Run; cacheBytes: number }>();

  constructor(readonly heap: Heap) {}

  compile(functions: readonly FunctionBuilder[]): Record<string, Run> {
    this.compiled++;
    const module = new WebAssembly.Module(assemble(functions, this.heap.maximumPages));
    return new WebAssembly.Instance(module, { env: { memory: this.heap.memory } }).exports as Record<string, Run>;
  }

  loop(key: string, emit: () => { code: FunctionBuilder; cacheBytes: number }): { run: Run; cacheBytes: number } {
    let made = this.loops.get(key);
    if (!made) {
      const { code, cacheBytes } = emit();
      made = { run: this.compile([code])[code.name]!, cacheBytes };
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

function structure(plan: Plan, kernel: LoopKernel, roots: readonly Expr[], cache: boolean): string {
  const streams = plan.streams.map((s) => `${s.role[0]}${s.lanes[0]}${s.row ? 'r' : ''}`).join(' ');
  const inputs = kernel.inputs.map(({ dtype, access }) => (access.mode === 'direct' ? dtype[0] : `${dtype[0]}${access.shape.length}:${access.check}`));
  const outputs = kernel.outputs.map((o) => o.level[0]).join('');
  const reductions = kernel.reductions.map((r) => r.op).join();
  return `${plan.mode} ${plan.outer} ${plan.inner} ${cache}|${streams}|${inputs.join(' ')}|${outputs}|${reductions}|${kernel.scalars.length}|${exprKey(roots)}`;
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

/** A loop kernel that is ready to run. */
export class LoopProgram {
  /** Bytes of scratch that a run needs: its parameters and the row cache. */
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
    const roots = share(expandFunctions(expressions(kernel), INTRINSICS));
    this.plan = planLoops(kernel, roots, options);
    this.layout = layoutOf(this.plan, kernel, roots);
    const rowVectors = this.rowVectors();
    // Short of counting the cached values first, assume two.
    const cache = rowVectors * 32 <= CACHE_BYTES;
    const made = modules.loop(structure(this.plan, kernel, roots, cache), () => emitLoop(this.plan, kernel, this.layout, roots, cache));
    this.run = made.run;
    this.scratch = this.layout.words * 4 + 64 + rowVectors * made.cacheBytes;
    this.template = this.parameters();
    this.empty = sizeOf(kernel.inner === 0 ? kernel.space : kernel.space.slice(0, -kernel.inner)) === 0;
  }

  /** Vectors that a value of a row takes: the lanes of up to eight rows' vectors, or those along it. */
  private rowVectors(): number {
    const { plan } = this;
    const inner = plan.loops.slice(plan.outer, -1).reduce((n, l) => n * l.size, 1);
    return plan.mode === 'map' ? 0 : inner * (plan.mode === 'row' ? Math.ceil(plan.loops.at(-1)!.size / 4) : 8);
  }

  private parameters(): Int32Array {
    const { plan, layout, kernel } = this;
    const words = new Int32Array(layout.words);
    plan.loops.forEach((loop, i) => {
      words[layout.count(i)] = loop.size;
    });
    plan.streams.forEach((s, i) => {
      const unit = s.role === 'input' || s.role === 'output' ? 4 : 1;
      words[layout.base(i)] = s.offset * unit;
      s.strides.forEach((stride, loop) => {
        words[layout.step(i, loop)] = stride * unit;
      });
    });
    for (const i of plan.indirect) {
      const { access } = kernel.inputs[i]!;
      if (access.mode !== 'indirect') continue;
      words[layout.tableBase(i)] = access.offset * 4;
      for (let d = 0; d < rankOf(kernel, i); d++) {
        words[layout.tableSize(i, d)] = access.shape[d]!;
        words[layout.tableStride(i, d)] = access.strides[d]! * 4;
      }
    }
    for (const [bits, word] of layout.literals) words[word] = bits;
    return words;
  }

  /** Runs on buffers at the given addresses; `scratch` is the address of the program's own memory. */
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
    for (const i of plan.indirect) i32[at + layout.tableBase(i)]! += addresses[kernel.inputs[i]!.binding]!;
    for (let n = 0; n < scalars.length; n++) i32[at + layout.scalar(n)] = scalarBits(scalars[n]!, kernel.scalars[n]!);
    i32[at + layout.cache] = Math.ceil((scratch + layout.words * 4) / 64) * 64;
    if (box) this.restrict(i32, at, box);
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

