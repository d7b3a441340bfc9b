import { type Expr, walk } from '../../ir/expr.ts';
import type { LoopKernel } from '../../ir/kernel.ts';
import { FunctionBuilder, I32, op, V128 } from './assembler.ts';
import { dtypeOf, type Layout, type Plan } from './plan.ts';
import { accessOf, constantBits, emitOp, fromStored, toMask, toStored, weight } from './simd.ts';

/** Address of the status word. */
export const STATUS = 0;

/** Values of a row that cost at least this much are kept for later passes over the row. */
const WORTH_CACHING = 8;

/** When a value is known, from the outside in: at the start, before the lane loop or a row, in a row's loops, in the body. */
export const START = 0;
export const OUTSIDE = 1;
export const BETWEEN = 2;
export const INSIDE = 3;
export type Depth = 0 | 1 | 2 | 3;

/** Values that are in locals; those that differ between the vectors of an unrolled body, for each vector. */
export interface Scope {
  readonly shared: Map<Expr, number>;
  readonly vectors: Map<Expr, number>[];
  readonly locals: number[];
}

/** Passes over a row: the reductions of one pass do not need each other. */
export interface Pass {
  readonly reductions: readonly number[];
  readonly roots: readonly Expr[];
}

/** The part of a loop kernel's function that computes values: what is known where, loads, and stores. */
export class Values {
  readonly f: FunctionBuilder = new FunctionBuilder('run', 1);
  protected readonly reductions: readonly Expr[];
  protected readonly outputs: readonly Expr[];
  protected readonly passes: readonly Pass[];
  protected readonly depths: Map<Expr, Depth> = new Map();
  protected readonly varies: Map<Expr, boolean> = new Map();
  protected readonly uses: Map<Expr, number> = new Map();
  protected readonly scopes: Scope[] = [];
  /** Local of the pointer of each stream, at the current loop. */
  protected at: number[] = [];
  /** The streams that the current pass moves. */
  protected active: readonly number[] = [];
  /** Byte offsets of lanes 1 to 3 of the streams whose lanes lie apart. */
  protected readonly apart: Map<number, readonly [number, number, number]> = new Map();
  protected readonly iota: Map<number, number> = new Map();
  protected readonly rowSteps: Map<string, number> = new Map();
  /** Address of the first element of each indirect input. */
  protected readonly tables: Map<number, number> = new Map();
  protected readonly results: Map<number, number[]> = new Map();
  protected readonly lane: number;
  /** Which vector of an unrolled body is being written. */
  protected vector = 0;
  /** In a body that may cover fewer than four lanes: locals of the lanes left, and of their mask. */
  protected partial: { left: number; mask: number } | null = null;
  protected readonly cached: readonly Expr[];
  protected readonly written: Set<Expr> = new Set();
  protected cursor = -1;

  constructor(
    protected readonly plan: Plan,
    protected readonly kernel: LoopKernel,
    protected readonly layout: Layout,
    protected readonly roots: readonly Expr[],
    cache: boolean,
  ) {
    this.reductions = roots.slice(0, kernel.reductions.length);
    this.outputs = roots.slice(kernel.reductions.length);
    this.lane = plan.loops.length - 1;
    this.analyse();
    this.passes = this.group();
    this.cached = cache && plan.mode !== 'map' && plan.mode !== 'scan' ? this.findCached() : [];
  }

  get cacheBytes(): number {
    return 16 * this.cached.length;
  }

  protected analyse(): void {
    const { plan } = this;
    walk(this.roots, (e) => {
      let depth: Depth = START;
      let varies = false;
      const stream = this.streamOf(e);
      if (stream >= 0) {
        const { lanes, row } = plan.streams[stream]!;
        varies = lanes !== 'same';
        if (plan.mode === 'map') depth = varies ? INSIDE : OUTSIDE;
        else if (plan.mode === 'row') depth = varies ? INSIDE : row ? BETWEEN : OUTSIDE;
        else depth = row ? INSIDE : varies ? BETWEEN : OUTSIDE;
      } else if (e.op === 'result') {
        varies = plan.mode !== 'row';
        depth = plan.mode === 'scan' ? INSIDE : varies ? BETWEEN : OUTSIDE;
      } else if (e.op === 'loadAt') depth = OUTSIDE;
      for (const a of e.args) {
        depth = Math.max(depth, this.depths.get(a)!) as Depth;
        varies ||= this.varies.get(a)!;
        this.uses.set(a, (this.uses.get(a) ?? 0) + 1);
      }
      this.depths.set(e, depth);
      this.varies.set(e, varies);
    });
    for (const root of this.roots) this.uses.set(root, (this.uses.get(root) ?? 0) + 1);
  }

  protected streamOf(e: Expr): number {
    const role = e.op === 'load' ? 'input' : e.op;
    if (role !== 'input' && role !== 'index' && role !== 'position') return -1;
    return this.plan.streams.findIndex((s) => s.role === role && s.which === e.value);
  }

  /** Consecutive reductions that do not use each other's results share a pass. */
  protected group(): Pass[] {
    const passes: number[][] = [];
    this.reductions.forEach((expr, i) => {
      const last = passes.at(-1);
      let fits = last !== undefined;
      walk([expr], (e) => {
        if (e.op === 'result' && last?.includes(e.value)) fits = false;
      });
      if (fits && last) last.push(i);
      else passes.push([i]);
    });
    return passes.map((reductions) => ({ reductions, roots: reductions.map((i) => this.reductions[i]!) }));
  }

  /** Values of the row that several passes need and that cost more than a store and loads. */
  protected findCached(): Expr[] {
    const element = this.outputs.filter((_, i) => this.kernel.outputs[i]!.level === 'element');
    const sets = [...this.passes.map((p) => p.roots), element];
    const cached = new Set<Expr>();
    const before = new Set<Expr>();
    for (const roots of sets) {
      const seen = new Set<Expr>();
      const visit = (e: Expr): void => {
        if (seen.has(e) || this.depths.get(e) !== INSIDE) return;
        seen.add(e);
        if (before.has(e) && this.cost([e], (d) => d === INSIDE) >= WORTH_CACHING) cached.add(e);
        else e.args.forEach(visit);
      };
      roots.forEach(visit);
      walk(roots, (e) => before.add(e));
    }
    return [...cached];
  }

  /** The weight of what is computed at the depths that `counts` accepts. */
  protected cost(roots: readonly Expr[], counts: (d: Depth) => boolean): number {
    let sum = 0;
    walk(roots, (e) => {
      if (counts(this.depths.get(e)!)) sum += weight(e) + (e.op === 'load' ? 1 : 0);
    });
    return sum;
  }
  protected parameter(word: number): void {
    this.f.get(0);
    this.f.memory(op.i32Load, word * 4);
  }

  /** A parameter in a local that stays. */
  protected parameterLocal(word: number): number {
    const local = this.f.local(I32);
    this.parameter(word);
    this.f.set(local);
    return local;
  }

  protected prologue(): void {
    const { f, plan, layout } = this;
    plan.streams.forEach((s, i) => {
      if (s.lanes !== 'apart') return;
      if (s.role === 'input' || s.role === 'output') this.apart.set(i, [f.local(I32), f.local(I32), f.local(I32)]);
      else {
        const local = f.local(V128);
        f.get(0);
        f.memory(op.load32Splat, layout.step(i, this.lane) * 4);
        f.v128(0, 1, 2, 3);
        f.op(op.i32x4Mul);
        f.set(local);
        this.iota.set(i, local);
      }
    });
    for (let n = 0; n < plan.inner; n++)
      plan.streams.forEach((s, i) => {
        if (s.row) this.rowSteps.set(`${i} ${plan.outer + n}`, this.parameterLocal(layout.step(i, plan.outer + n)));
      });
    for (const i of plan.indirect) this.tables.set(i, this.parameterLocal(layout.table(i)));
    if (this.cached.length > 0) this.cursor = f.local(I32);
  }

  protected scope(body: () => void): void {
    const scope: Scope = { shared: new Map(), vectors: [], locals: [] };
    this.scopes.push(scope);
    body();
    this.scopes.pop();
    for (const local of scope.locals) this.f.release(local);
  }

  protected table(scope: Scope, e: Expr): Map<Expr, number> {
    if (!this.varies.get(e)) return scope.shared;
    scope.vectors[this.vector] ??= new Map();
    return scope.vectors[this.vector]!;
  }

  protected find(e: Expr): number | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const local = this.table(this.scopes[i]!, e).get(e);
      if (local !== undefined) return local;
    }
    return undefined;
  }

  /** Keeps the value on the stack in a local of the current scope too. */
  protected remember(e: Expr): number {
    const scope = this.scopes.at(-1)!;
    const local = this.f.local(V128);
    scope.locals.push(local);
    this.table(scope, e).set(e, local);
    this.f.tee(local);
    return local;
  }

  protected readonly push = (e: Expr): void => {
    const { f } = this;
    const local = this.find(e);
    if (local !== undefined) {
      f.get(local);
      return;
    }
    const slot = this.cached.indexOf(e);
    if (slot >= 0) {
      this.pushCached(e, slot);
      return;
    }
    this.compute(e);
    if (this.uses.get(e)! > 1) this.remember(e);
  };

  protected pushCached(e: Expr, slot: number): void {
    const { f } = this;
    const offset = 16 * (slot + this.cached.length * this.vector);
    if (this.written.has(e)) {
      f.get(this.cursor);
      f.memory(op.load, offset);
      this.remember(e);
      return;
    }
    this.compute(e);
    const local = this.remember(e);
    f.get(this.cursor, local);
    f.memory(op.store, offset);
  }

  protected compute(e: Expr): void {
    const { f } = this;
    const stream = this.streamOf(e);
    const literal = e.op === 'const' ? this.layout.literals.get(constantBits(e.value, e.dtype)) : undefined;
    if (stream >= 0) this.pushStream(stream);
    else if (literal !== undefined) {
      f.get(0);
      f.memory(op.load32Splat, literal * 4);
    } else if (e.op === 'const') f.splat(0);
    else if (e.op === 'uniform') {
      f.get(0);
      f.memory(op.load32Splat, this.layout.scalar(e.value) * 4);
      if (e.dtype === 'bool') toMask(f);
    } else if (e.op === 'result') {
      const locals = this.results.get(e.value)!;
      f.get(locals[this.plan.mode === 'row' ? 0 : this.vector]!);
    } else if (e.op === 'loadAt') this.pushIndirect(e);
    else emitOp(f, e, this.push);
  }

  /** Computes what the roots need and is known at the depth, into locals of the current scope. */
  protected hoist(roots: readonly Expr[], depth: Depth): void {
    const seen = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (seen.has(e)) return;
      seen.add(e);
      if (this.depths.get(e)! > depth) e.args.forEach(visit);
      else if (this.find(e) === undefined) {
        this.push(e);
        if (this.find(e) === undefined) this.remember(e);
        this.f.op(op.drop);
      }
    };
    roots.forEach(visit);
  }

  protected pushStream(i: number): void {
    const { f } = this;
    const s = this.plan.streams[i]!;
    const local = this.at[i]!;
    if (s.role !== 'input') {
      f.get(local);
      f.op(op.i32x4Splat);
      if (s.lanes === 'same') return;
      if (s.lanes === 'apart') f.get(this.iota.get(i)!);
      else f.v128(4 * this.vector, 4 * this.vector + 1, 4 * this.vector + 2, 4 * this.vector + 3);
      f.op(op.i32x4Add);
      return;
    }
    f.get(local);
    const dtype = dtypeOf(this.kernel, s);
    const access = accessOf(dtype);
    if (s.lanes === 'same') f.memory(access.splat);
    else if (s.lanes === 'next') f.memory(access.vector, 4 * access.width * this.vector);
    else {
      f.memory(access.zero);
      const value = f.local(V128);
      f.set(value);
      this.apart.get(i)!.forEach((offset, lane) => {
        f.get(local, offset);
        f.op(op.i32Add);
        f.get(value);
        f.memoryLane(access.lane, lane + 1);
        f.set(value);
      });
      f.get(value);
      f.release(value);
    }
    fromStored(f, dtype);
  }

  /** Lanes that are out of range read the first element, and give 0. */
  protected pushIndirect(e: Expr): void {
    const { f } = this;
    const base = this.tables.get(e.value)!;
    const input = this.kernel.inputs[e.value]!;
    const [index, inside] = e.args as [Expr, Expr];
    const access = accessOf(input.dtype);
    const [address, mask, value] = [f.local(V128), f.local(V128), f.local(V128)];
    this.push(inside);
    f.set(mask);
    this.push(index);
    f.get(mask);
    f.op(op.and);
    f.i32(Math.log2(access.width));
    f.op(op.i32x4Shl);
    f.set(address);
    if (input.access.mode === 'indirect' && input.access.check !== null) this.check(mask, input.access.check);
    const pointer = (lane: number): void => {
      f.get(base, address);
      f.lane(op.i32x4Extract, lane);
      f.op(op.i32Add);
    };
    const gather = (): void => {
      pointer(0);
      f.memory(this.varies.get(e) ? access.zero : access.splat);
      f.set(value);
      for (let lane = 1; lane < 4 && this.varies.get(e); lane++) {
        pointer(lane);
        f.get(value);
        f.memoryLane(access.lane, lane);
        f.set(value);
      }
    };
    if (this.laneStep(index) === 1) {
      f.get(mask);
      f.op(op.i32x4AllTrue);
      f.when(() => {
        pointer(0);
        f.memory(access.vector);
        f.set(value);
      }, gather);
    } else gather();
    f.get(value);
    fromStored(f, input.dtype);
    f.get(mask);
    f.op(op.and);
    for (const local of [address, mask, value]) f.release(local);
  }

  /** How much an integer grows from lane to lane, or NaN if that is not known. */
  protected laneStep(e: Expr): number {
    if (!this.varies.get(e)) return 0;
    const [x, y] = e.args;
    if (e.op === 'add') return this.laneStep(x!) + this.laneStep(y!);
    if (e.op === 'sub') return this.laneStep(x!) - this.laneStep(y!);
    const stream = this.streamOf(e);
    return stream >= 0 && e.op !== 'load' && this.plan.streams[stream]!.lanes === 'next' ? 1 : Number.NaN;
  }

  protected check(inside: number, slot: number): void {
    const { f } = this;
    f.get(inside);
    if (this.partial) {
      f.get(this.partial.mask);
      f.op(op.not, op.or);
    }
    f.op(op.i32x4AllTrue, op.i32Eqz);
    f.when(() => {
      f.i32(STATUS);
      this.parameter(this.layout.scalar(slot));
      f.memory(op.i32Store);
    });
  }

  protected store(output: number, value: number): void {
    const { f, plan } = this;
    const i = plan.streams.findIndex((s) => s.role === 'output' && s.which === output);
    const pointer = this.at[i]!;
    const { lanes } = plan.streams[i]!;
    const access = accessOf(this.kernel.outputs[output]!.dtype);
    if (lanes === 'same') {
      f.get(pointer, value);
      f.memoryLane(access.storeLane, 0);
      return;
    }
    const offsets = this.apart.get(i);
    const storeLane = (lane: number): void => {
      f.get(pointer);
      if (offsets && lane > 0) {
        f.get(offsets[lane - 1]!);
        f.op(op.i32Add);
      }
      f.get(value);
      f.memoryLane(access.storeLane, lane, offsets ? 0 : access.width * lane);
    };
    const full = (): void => {
      if (offsets) {
        for (let lane = 0; lane < 4; lane++) storeLane(lane);
        return;
      }
      f.get(pointer, value);
      if (access.width === 4) f.memory(op.store, 16 * this.vector);
      else f.memoryLane(op.store32Lane, 0, 4 * this.vector);
    };
    const { partial } = this;
    if (!partial) {
      full();
      return;
    }
    f.with(partial.left, 4, op.i32GeS);
    f.when(full, () => {
      storeLane(0);
      for (let lane = 1; lane < 3; lane++) {
        f.with(partial.left, lane, op.i32GtS);
        f.when(() => storeLane(lane));
      }
    });
  }

  /** Writes outputs for the given number of vectors: at each point all values before any store, which may overwrite them. */
  protected write(outputs: readonly number[], vectors: number): void {
    const { f } = this;
    for (this.vector = 0; this.vector < vectors; this.vector++)
      this.scope(() => {
        const values = outputs.map((o) => {
          const local = f.local(V128);
          this.push(this.outputs[o]!);
          toStored(f, this.outputs[o]!.dtype);
          f.set(local);
          return local;
        });
        outputs.forEach((o, i) => {
          this.store(o, values[i]!);
          f.release(values[i]!);
        });
      });
    this.vector = 0;
  }
}
