import type { DType } from '../../core/dtype.ts';
import { type Expr, walk } from '../../ir/expr.ts';
import type { LoopKernel, ReduceOp } from '../../ir/kernel.ts';
import { FunctionBuilder, floatBits, I32, op, V128 } from './assembler.ts';
import { dtypeOf, type Layout, type Plan } from './plan.ts';
import { constantBits, emitOp, fromMask, instructions, toMask, weight } from './simd.ts';

/** Address of the status word. */
export const STATUS = 0;

/** Sums are kept in float32 over so many steps of the innermost loop, and added up in float64. */
const CHUNK = { row: 4096, column: 256 };
/** Values of a row that cost at least this much are kept for later passes over the row. */
const WORTH_CACHING = 8;

const IDENTITY: Record<ReduceOp, (dtype: DType) => number> = {
  sum: () => 0,
  prod: () => 1,
  max: (t) => (t === 'float32' ? -Infinity : t === 'int32' ? -(2 ** 31) : 0),
  min: (t) => (t === 'float32' ? Infinity : t === 'int32' ? 2 ** 31 - 1 : t === 'bool' ? 1 : 2 ** 32 - 1),
};
const COMBINE: Record<ReduceOp, 'add' | 'mul' | 'max' | 'min'> = { sum: 'add', prod: 'mul', max: 'max', min: 'min' };

/** When a value is known, from the outside in: at the start, before the lane loop or a row, within the row's loops, in the innermost body. */
const START = 0;
const OUTSIDE = 1;
const BETWEEN = 2;
const INSIDE = 3;
type Depth = 0 | 1 | 2 | 3;

/** Values that are in locals; those that differ between the vectors of an unrolled body, for each vector. */
interface Scope {
  readonly shared: Map<Expr, number>;
  readonly vectors: Map<Expr, number>[];
  readonly locals: number[];
}

interface Accumulator {
  readonly index: number;
  readonly op: ReduceOp;
  readonly expr: Expr;
  /** One for each vector of the unrolled body. */
  readonly parts: number[];
  /** Float sums: low and high halves of the total in float64, for each vector across rows, or one along the row. */
  readonly totals: [number, number][];
  /** Float max and min: lanes where a NaN went by. */
  readonly nans: number[];
}

/** Passes over a row: the reductions of one pass do not need each other. */
interface Pass {
  readonly reductions: readonly number[];
  readonly roots: readonly Expr[];
}

export interface EmittedLoop {
  readonly code: FunctionBuilder;
  /** Bytes of row cache for each vector of a row. */
  readonly cacheBytes: number;
}

/** Writes the function of a loop kernel. `roots` are the expressions of its reductions, then of its outputs, shared parts as one node. */
export function emitLoop(
  plan: Plan,
  kernel: LoopKernel,
  layout: Layout,
  roots: readonly Expr[],
  cache: boolean,
): EmittedLoop {
  const emitter = new LoopEmitter(plan, kernel, layout, roots, cache);
  emitter.emit();
  return { code: emitter.f, cacheBytes: emitter.cacheBytes };
}

class LoopEmitter {
  readonly f: FunctionBuilder = new FunctionBuilder('run', 1);
  private readonly reductions: readonly Expr[];
  private readonly outputs: readonly Expr[];
  private readonly passes: readonly Pass[];
  private readonly depths = new Map<Expr, Depth>();
  private readonly varies = new Map<Expr, boolean>();
  private readonly uses = new Map<Expr, number>();
  private readonly scopes: Scope[] = [];
  /** Local of the pointer of each stream, at the current loop. */
  private at: number[] = [];
  /** The streams that the current pass moves. */
  private active: readonly number[] = [];
  /** Byte offsets of lanes 1 to 3 of the streams whose lanes lie apart. */
  private readonly apart = new Map<number, readonly [number, number, number]>();
  private readonly iota = new Map<number, number>();
  private readonly rowSteps = new Map<string, number>();
  /** Address of the first element of each indirect input. */
  private readonly tables = new Map<number, number>();
  private readonly results = new Map<number, number[]>();
  private readonly lane: number;
  /** Which vector of an unrolled body is being written. */
  private vector = 0;
  /** In a body that may cover fewer than four lanes: locals of the lanes left, and of their mask. */
  private partial: { left: number; mask: number } | null = null;
  private readonly cached: readonly Expr[];
  private readonly written = new Set<Expr>();
  private cursor = -1;

  constructor(
    private readonly plan: Plan,
    private readonly kernel: LoopKernel,
    private readonly layout: Layout,
    private readonly roots: readonly Expr[],
    cache: boolean,
  ) {
    this.reductions = roots.slice(0, kernel.reductions.length);
    this.outputs = roots.slice(kernel.reductions.length);
    this.lane = plan.loops.length - 1;
    this.analyse();
    this.passes = this.group();
    this.cached = cache && plan.mode !== 'map' ? this.findCached() : [];
  }

  get cacheBytes(): number {
    return 16 * this.cached.length;
  }

  private analyse(): void {
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
        varies = plan.mode === 'column';
        depth = varies ? BETWEEN : OUTSIDE;
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

  private streamOf(e: Expr): number {
    const role = e.op === 'load' ? 'input' : e.op;
    if (role !== 'input' && role !== 'index' && role !== 'position') return -1;
    return this.plan.streams.findIndex((s) => s.role === role && s.which === e.value);
  }

  /** Consecutive reductions that do not use each other's results share a pass. */
  private group(): Pass[] {
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
  private findCached(): Expr[] {
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
  private cost(roots: readonly Expr[], counts: (d: Depth) => boolean): number {
    let sum = 0;
    walk(roots, (e) => {
      if (counts(this.depths.get(e)!)) sum += weight(e) + (e.op === 'load' ? 1 : 0);
    });
    return sum;
  }

  /** How many vectors a body covers: several where little is done for each. */
  private unroll(roots: readonly Expr[], accumulators: number): number {
    if (this.apart.size + this.iota.size > 0) return 1;
    const work = this.cost(roots, (d) => d === INSIDE);
    const vectors = work <= 4 ? 8 : work <= 12 ? 4 : work <= 24 ? 2 : 1;
    return Math.max(1, Math.min(vectors, accumulators > 0 ? Math.floor(8 / accumulators) : 4));
  }

  emit(): void {
    const { f, plan } = this;
    this.scope(() => {
      this.prologue();
      this.hoist(this.roots, START);
      this.at = plan.streams.map((_, s) => {
        const local = f.local(I32);
        this.parameter(this.layout.base(s));
        f.set(local);
        return local;
      });
      this.active = plan.streams.map((_, s) => s);
      const outer = plan.loops.slice(0, plan.outer).map((_, i) => i);
      this.nest(outer, () =>
        this.scope(() => {
          if (plan.mode === 'map') this.mapBody();
          else if (plan.mode === 'row') this.rowBody();
          else this.columnBody();
        }),
      );
    });
  }

  private parameter(word: number): void {
    this.f.get(0);
    this.f.memory(op.i32Load, word * 4);
  }

  /** A parameter in a local that stays. */
  private parameterLocal(word: number): number {
    const local = this.f.local(I32);
    this.parameter(word);
    this.f.set(local);
    return local;
  }

  private prologue(): void {
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

  // Values

  private scope(body: () => void): void {
    const scope: Scope = { shared: new Map(), vectors: [], locals: [] };
    this.scopes.push(scope);
    body();
    this.scopes.pop();
    for (const local of scope.locals) this.f.release(local);
  }

  private table(scope: Scope, e: Expr): Map<Expr, number> {
    if (!this.varies.get(e)) return scope.shared;
    scope.vectors[this.vector] ??= new Map();
    return scope.vectors[this.vector]!;
  }

  private find(e: Expr): number | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const local = this.table(this.scopes[i]!, e).get(e);
      if (local !== undefined) return local;
    }
    return undefined;
  }

  /** Keeps the value on the stack in a local of the current scope too. */
  private remember(e: Expr): number {
    const scope = this.scopes.at(-1)!;
    const local = this.f.local(V128);
    scope.locals.push(local);
    this.table(scope, e).set(e, local);
    this.f.tee(local);
    return local;
  }

  private readonly push = (e: Expr): void => {
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

  private pushCached(e: Expr, slot: number): void {
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
    f.get(this.cursor);
    f.get(local);
    f.memory(op.store, offset);
  }

  private compute(e: Expr): void {
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
      f.get(locals[this.plan.mode === 'column' ? this.vector : 0]!);
    } else if (e.op === 'loadAt') this.pushIndirect(e);
    else emitOp(f, e, this.push);
  }

  /** Computes what the roots need and is known at the depth, into locals of the current scope. */
  private hoist(roots: readonly Expr[], depth: Depth): void {
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

  private pushStream(i: number): void {
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
    if (s.lanes === 'same') f.memory(op.load32Splat);
    else if (s.lanes === 'next') f.memory(op.load, 16 * this.vector);
    else {
      f.memory(op.load32Zero);
      const value = f.local(V128);
      f.set(value);
      this.apart.get(i)!.forEach((offset, lane) => {
        f.get(local);
        f.get(offset);
        f.op(op.i32Add);
        f.get(value);
        f.memoryLane(op.load32Lane, lane + 1);
        f.set(value);
      });
      f.get(value);
      f.release(value);
    }
    if (dtypeOf(this.kernel, s) === 'bool') toMask(f);
  }

  /** Lanes that are out of range read the first element, and give 0. */
  private pushIndirect(e: Expr): void {
    const { f } = this;
    const base = this.tables.get(e.value)!;
    const input = this.kernel.inputs[e.value]!;
    const [index, inside] = e.args as [Expr, Expr];
    const [address, mask, value] = [f.local(V128), f.local(V128), f.local(V128)];
    this.push(inside);
    f.set(mask);
    this.push(index);
    f.get(mask);
    f.op(op.and);
    f.i32(2);
    f.op(op.i32x4Shl);
    f.set(address);
    if (input.access.mode === 'indirect' && input.access.check !== null) this.check(mask, input.access.check);
    const pointer = (lane: number): void => {
      f.get(base);
      f.get(address);
      f.lane(op.i32x4Extract, lane);
      f.op(op.i32Add);
    };
    const gather = (): void => {
      pointer(0);
      f.memory(this.varies.get(e) ? op.load32Zero : op.load32Splat);
      f.set(value);
      for (let lane = 1; lane < 4 && this.varies.get(e); lane++) {
        pointer(lane);
        f.get(value);
        f.memoryLane(op.load32Lane, lane);
        f.set(value);
      }
      f.get(value);
      f.get(mask);
      f.op(op.and);
      f.set(value);
    };
    if (this.laneStep(index) === 1) {
      f.get(mask);
      f.op(op.i32x4AllTrue);
      f.when(() => {
        pointer(0);
        f.memory(op.load);
        f.set(value);
      }, gather);
    } else gather();
    f.get(value);
    if (input.dtype === 'bool') toMask(f);
    for (const local of [address, mask, value]) f.release(local);
  }

  /** How much an integer grows from lane to lane, or NaN if that is not known. */
  private laneStep(e: Expr): number {
    if (!this.varies.get(e)) return 0;
    const [x, y] = e.args;
    if (e.op === 'add') return this.laneStep(x!) + this.laneStep(y!);
    if (e.op === 'sub') return this.laneStep(x!) - this.laneStep(y!);
    const stream = this.streamOf(e);
    return stream >= 0 && e.op !== 'load' && this.plan.streams[stream]!.lanes === 'next' ? 1 : Number.NaN;
  }

  private check(inside: number, slot: number): void {
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

  private store(output: number, value: number): void {
    const { f, plan } = this;
    const i = plan.streams.findIndex((s) => s.role === 'output' && s.which === output);
    const pointer = this.at[i]!;
    const { lanes } = plan.streams[i]!;
    if (lanes === 'same') {
      f.get(pointer);
      f.get(value);
      f.memoryLane(op.store32Lane, 0);
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
      f.memoryLane(op.store32Lane, lane, offsets ? 0 : 4 * lane);
    };
    const full = (): void => {
      if (offsets) {
        for (let lane = 0; lane < 4; lane++) storeLane(lane);
        return;
      }
      f.get(pointer);
      f.get(value);
      f.memory(op.store, 16 * this.vector);
    };
    const { partial } = this;
    if (!partial) {
      full();
      return;
    }
    f.get(partial.left);
    f.i32(4);
    f.op(op.i32GeS);
    f.when(full, () => {
      storeLane(0);
      for (let lane = 1; lane < 3; lane++) {
        f.get(partial.left);
        f.i32(lane);
        f.op(op.i32GtS);
        f.when(() => storeLane(lane));
      }
    });
  }

  /** Writes outputs for the given number of vectors: at each point all values before any store, which may overwrite them. */
  private write(outputs: readonly number[], vectors: number): void {
    const { f } = this;
    for (this.vector = 0; this.vector < vectors; this.vector++)
      this.scope(() => {
        const values = outputs.map((o) => {
          const local = f.local(V128);
          this.push(this.outputs[o]!);
          if (this.outputs[o]!.dtype === 'bool') fromMask(f, 1);
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

  // Loops

  private withPointers(body: () => void): void {
    const { f } = this;
    const outside = this.at;
    this.at = [...outside];
    for (const s of this.active) {
      const local = f.local(I32);
      f.get(outside[s]!);
      f.set(local);
      this.at[s] = local;
    }
    body();
    for (const s of this.active) f.release(this.at[s]!);
    this.at = outside;
  }

  private advance(loop: number): void {
    const { f } = this;
    for (const s of this.active) {
      const step = this.rowSteps.get(`${s} ${loop}`);
      const inRow = loop >= this.plan.outer && loop < this.lane;
      if (inRow && step === undefined) continue;
      f.get(this.at[s]!);
      if (step === undefined) this.parameter(this.layout.step(s, loop));
      else f.get(step);
      f.op(op.i32Add);
      f.set(this.at[s]!);
    }
  }

  /** Nested loops around the body; `chunk` runs after every so many steps of the innermost. */
  private nest(loops: readonly number[], body: () => void, chunk?: Chunk): void {
    const [loop, ...rest] = loops;
    if (loop === undefined) {
      body();
      return;
    }
    this.withPointers(() => {
      const count = this.f.local(I32);
      this.parameter(this.layout.count(loop));
      this.f.set(count);
      this.chunked(count, rest.length === 0 ? chunk : undefined, (left) => {
        this.f.get(left);
        this.f.when(() =>
          this.f.loop(() => {
            this.nest(rest, body, chunk);
            this.advance(loop);
            this.f.get(left);
            this.f.i32(1);
            this.f.op(op.i32Sub);
            this.f.tee(left);
            this.f.branchIf(0);
          }),
        );
      });
      this.f.release(count);
    });
  }

  /** Runs the body over `count` steps, in pieces where there is a chunk. */
  private chunked(count: number, chunk: Chunk | undefined, body: (left: number) => void): void {
    const { f } = this;
    if (!chunk) {
      body(count);
      return;
    }
    const left = f.local(I32);
    f.get(count);
    f.when(() =>
      f.loop(() => {
        f.i32(chunk.size);
        f.get(count);
        f.get(count);
        f.i32(chunk.size);
        f.op(op.i32GtU, op.select);
        f.tee(left);
        f.get(chunk.pending);
        f.op(op.i32Add);
        f.set(chunk.pending);
        f.get(count);
        f.get(left);
        f.op(op.i32Sub);
        f.set(count);
        body(left);
        f.get(chunk.pending);
        f.i32(chunk.size / 2);
        f.op(op.i32GeU);
        f.when(() => {
          chunk.fold();
          f.i32(0);
          f.set(chunk.pending);
        });
        f.get(count);
        f.branchIf(0);
      }),
    );
    f.release(left);
  }

  /**
   * The lane loop: bodies of several vectors while they are full, then of one vector that may be partial; only the latter
   * without `split`, which saves code where a body is long. Reads past the end
   * of contiguous data are harmless; lanes that lie apart repeat the first one instead.
   */
  private laneLoop(
    vectors: number,
    body: (vectors: number) => void,
    chunk?: Chunk,
    split: boolean = vectors > 1,
  ): void {
    const { f } = this;
    const step = (n: number, left: number): void => {
      for (const s of this.active) this.advanceLane(s, n);
      f.get(left);
      f.i32(4 * n);
      f.op(op.i32Sub);
      f.tee(left);
    };
    this.withPointers(() => {
      for (const [s, offsets] of this.apart)
        offsets.forEach((offset, n) => {
          this.parameter(this.layout.step(s, this.lane));
          f.i32(n + 1);
          f.op(op.i32Mul);
          f.set(offset);
        });
      const count = f.local(I32);
      this.parameter(this.layout.count(this.lane));
      f.set(count);
      this.chunked(count, chunk, (left) => {
        if (split) {
          f.get(left);
          f.i32(4 * vectors);
          f.op(op.i32GeS);
          f.when(() =>
            f.loop(() => {
              body(vectors);
              step(vectors, left);
              f.i32(4 * vectors);
              f.op(op.i32GeS);
              f.branchIf(0);
            }),
          );
        }
        f.get(left);
        f.i32(0);
        f.op(op.i32GtS);
        f.when(() => {
          const mask = f.local(V128);
          f.loop(() => {
            this.startPartial(left, mask);
            body(1);
            this.partial = null;
            step(1, left);
            f.i32(0);
            f.op(op.i32GtS);
            f.branchIf(0);
          });
          f.release(mask);
        });
      });
      f.release(count);
    });
  }

  private startPartial(left: number, mask: number): void {
    const { f } = this;
    this.partial = { left, mask };
    f.get(left);
    f.op(op.i32x4Splat);
    f.v128(0, 1, 2, 3);
    f.op(op.i32x4GtS);
    f.set(mask);
    if (this.apart.size === 0) return;
    f.get(left);
    f.i32(4);
    f.op(op.i32LtS);
    f.when(() => {
      for (const offsets of this.apart.values())
        offsets.forEach((offset, n) => {
          f.get(offset);
          f.i32(0);
          f.get(left);
          f.i32(n + 1);
          f.op(op.i32GtS, op.select);
          f.set(offset);
        });
    });
  }

  private advanceLane(s: number, vectors: number): void {
    const { f } = this;
    const { lanes, role } = this.plan.streams[s]!;
    if (lanes === 'same') return;
    f.get(this.at[s]!);
    if (lanes === 'next') f.i32((role === 'input' || role === 'output' ? 16 : 4) * vectors);
    else {
      this.parameter(this.layout.step(s, this.lane));
      f.i32(4 * vectors);
      f.op(op.i32Mul);
    }
    f.op(op.i32Add);
    f.set(this.at[s]!);
  }

  // Bodies

  private outputsAt(level: 'row' | 'element'): number[] {
    return this.outputs.map((_, o) => o).filter((o) => this.kernel.outputs[o]!.level === level);
  }

  /** Streams that the roots and outputs move. */
  private streamsOf(roots: readonly Expr[], outputs: readonly number[]): number[] {
    const found = new Set<number>();
    walk(roots, (e) => {
      const s = this.streamOf(e);
      if (s >= 0) found.add(s);
    });
    this.plan.streams.forEach((s, i) => {
      if (s.role === 'output' && outputs.includes(s.which)) found.add(i);
    });
    return [...found];
  }

  private mapBody(): void {
    const outputs = this.outputs.map((_, i) => i);
    this.hoist(this.outputs, OUTSIDE);
    this.laneLoop(this.unroll(this.outputs, 0), (vectors) => this.write(outputs, vectors));
  }

  private get rowLoops(): number[] {
    return Array.from({ length: this.plan.inner }, (_, i) => this.plan.outer + i);
  }

  private rewind(): void {
    if (this.cached.length === 0) return;
    this.parameter(this.layout.cache);
    this.f.set(this.cursor);
  }

  private moveCursor(vectors: number): void {
    if (this.cached.length === 0) return;
    this.f.get(this.cursor);
    this.f.i32(this.cacheBytes * vectors);
    this.f.op(op.i32Add);
    this.f.set(this.cursor);
  }

  private markWritten(roots: readonly Expr[]): void {
    walk(roots, (e) => {
      if (this.cached.includes(e)) this.written.add(e);
    });
  }

  /** Vectors along the row. */
  private rowBody(): void {
    this.written.clear();
    const pass = (
      roots: readonly Expr[],
      outputs: readonly number[],
      vectors: number,
      body: (vectors: number) => void,
      chunk?: Chunk,
    ): void => {
      this.hoist(roots, OUTSIDE);
      const { active } = this;
      this.active = this.streamsOf(roots, outputs);
      this.rewind();
      this.nest(this.rowLoops, () =>
        this.scope(() => {
          this.hoist(roots, BETWEEN);
          this.laneLoop(
            vectors,
            (n) => {
              body(n);
              this.moveCursor(n);
            },
            chunk,
            vectors > 1 || outputs.length === 0,
          );
        }),
      );
      this.active = active;
      this.markWritten(roots);
    };
    for (const { reductions, roots } of this.passes) {
      const vectors = this.unroll(roots, reductions.length);
      const accumulators = reductions.map((i) => this.start(i, vectors, 1));
      pass(roots, [], vectors, (n) => this.accumulate(accumulators, n), this.chunkOf(accumulators));
      for (const a of accumulators) this.finishAcross(a);
    }
    const elements = this.outputsAt('element');
    const roots = elements.map((o) => this.outputs[o]!);
    if (elements.length > 0) pass(roots, elements, this.unroll(roots, 0), (n) => this.write(elements, n));
    const rows = this.outputsAt('row');
    this.hoist(
      rows.map((o) => this.outputs[o]!),
      OUTSIDE,
    );
    this.write(rows, 1);
    this.releaseResults();
  }

  /** Vectors across rows: each lane reduces its own row. */
  private columnBody(): void {
    this.hoist(
      this.roots.filter((e) => !this.needsResult(e)),
      OUTSIDE,
    );
    const vectors = this.columnVectors();
    this.laneLoop(vectors, (n) => this.scope(() => this.columnChunk(n)));
  }

  private needsResult(root: Expr): boolean {
    let found = false;
    walk([root], (e) => {
      found ||= e.op === 'result';
    });
    return found;
  }

  private columnVectors(): number {
    return Math.min(
      ...this.passes.map((p) => this.unroll(p.roots, p.reductions.length)),
      this.outputsAt('element').length > 0 ? this.unroll(this.outputs, 0) : 8,
    );
  }

  private columnChunk(vectors: number): void {
    this.written.clear();
    const hoistAll = (roots: readonly Expr[], depth: Depth): void => {
      for (this.vector = 0; this.vector < vectors; this.vector++) this.hoist(roots, depth);
      this.vector = 0;
    };
    const pass = (roots: readonly Expr[], outputs: readonly number[], body: () => void, chunk?: Chunk): void => {
      hoistAll(roots, BETWEEN);
      const { active } = this;
      this.active = this.streamsOf(roots, outputs);
      this.rewind();
      this.nest(
        this.rowLoops,
        () =>
          this.scope(() => {
            this.hoistShared(roots);
            body();
            this.moveCursor(vectors);
          }),
        chunk,
      );
      this.active = active;
      this.markWritten(roots);
    };
    for (const { reductions, roots } of this.passes) {
      const accumulators = reductions.map((i) => this.start(i, vectors, vectors));
      pass(roots, [], () => this.accumulate(accumulators, vectors), this.chunkOf(accumulators));
      for (const a of accumulators) this.finishLanes(a);
    }
    const elements = this.outputsAt('element');
    if (elements.length > 0)
      pass(
        elements.map((o) => this.outputs[o]!),
        elements,
        () => this.write(elements, vectors),
      );
    this.write(this.outputsAt('row'), vectors);
    this.releaseResults();
  }

  /** Computes once what all vectors of the body share. */
  private hoistShared(roots: readonly Expr[]): void {
    const seen = new Set<Expr>();
    const visit = (e: Expr): void => {
      if (seen.has(e)) return;
      seen.add(e);
      if (this.varies.get(e)) e.args.forEach(visit);
      else if (this.find(e) === undefined) {
        this.push(e);
        if (this.find(e) === undefined) this.remember(e);
        this.f.op(op.drop);
      }
    };
    roots.forEach(visit);
  }

  // Reductions

  private start(index: number, vectors: number, totals: number): Accumulator {
    const { f } = this;
    const expr = this.reductions[index]!;
    const { op: reduce } = this.kernel.reductions[index]!;
    const float = expr.dtype === 'float32';
    const fill = (n: number, value: number): number[] =>
      Array.from({ length: n }, () => {
        const local = f.local(V128);
        f.splat(value);
        f.set(local);
        return local;
      });
    const sum = float && reduce === 'sum';
    const low = fill(sum ? totals : 0, 0);
    const high = fill(sum ? totals : 0, 0);
    return {
      index,
      op: reduce,
      expr,
      parts: fill(vectors, constantBits(IDENTITY[reduce](expr.dtype), expr.dtype)),
      totals: low.map((l, i) => [l, high[i]!]),
      nans: fill(float && (reduce === 'max' || reduce === 'min') ? totals : 0, 0),
    };
  }

  private accumulate(accumulators: readonly Accumulator[], vectors: number): void {
    const { f } = this;
    const along = this.plan.mode === 'row';
    for (this.vector = 0; this.vector < vectors; this.vector++)
      this.scope(() => {
        for (const a of accumulators) {
          const part = a.parts[this.vector]!;
          const { dtype } = a.expr;
          f.get(part);
          this.push(a.expr);
          if (along && this.partial) {
            f.splat(constantBits(IDENTITY[a.op](dtype), dtype));
            f.get(this.partial.mask);
            f.op(op.bitselect);
          }
          this.combine(a, a.nans[along ? 0 : this.vector]);
          f.set(part);
        }
      });
    this.vector = 0;
  }

  /** Combines two vectors on the stack. Float max and min drop a NaN in the second, and note it in `nans`. */
  private combine(a: Accumulator, nans: number | undefined): void {
    const { f } = this;
    if (nans !== undefined) {
      const value = f.local(V128);
      f.tee(value);
      f.get(value);
      f.op(op.f32x4Ne);
      f.get(nans);
      f.op(op.or);
      f.set(nans);
      f.get(value);
      f.release(value);
    }
    if (a.nans.length > 0) f.op(a.op === 'max' ? op.f32x4Pmax : op.f32x4Pmin);
    else f.op(...instructions(COMBINE[a.op], a.expr.dtype));
  }

  private chunkOf(accumulators: readonly Accumulator[]): Chunk | undefined {
    const { f } = this;
    const sums = accumulators.filter((a) => a.totals.length > 0);
    if (sums.length === 0) return undefined;
    const pending = f.local(I32);
    f.i32(0);
    f.set(pending);
    return {
      size: this.plan.mode === 'row' ? CHUNK.row : CHUNK.column,
      pending,
      fold: () => {
        for (const a of sums) this.fold(a);
      },
    };
  }

  /** Moves the float32 part sums into the float64 totals. */
  private fold(a: Accumulator): void {
    const { f } = this;
    if (this.plan.mode === 'row') this.joinParts(a);
    a.totals.forEach(([low, high], i) => {
      const part = a.parts[i]!;
      f.get(low);
      f.get(part);
      f.op(op.f64x2PromoteLow, op.f64x2Add);
      f.set(low);
      f.get(high);
      f.get(part);
      f.get(part);
      f.shuffle(2, 3, 2, 3);
      f.op(op.f64x2PromoteLow, op.f64x2Add);
      f.set(high);
    });
    for (const part of a.parts) {
      f.splat(0);
      f.set(part);
    }
  }

  /** Combines the parts of an unrolled body into the first, pairwise. */
  private joinParts(a: Accumulator): void {
    const { f } = this;
    for (let step = 1; step < a.parts.length; step *= 2)
      for (let i = 0; i + step < a.parts.length; i += 2 * step) {
        f.get(a.parts[i]!);
        f.get(a.parts[i + step]!);
        this.combine(a, undefined);
        f.set(a.parts[i]!);
      }
  }

  /** The end of a row that lies along the lanes: the result, in all lanes. */
  private finishAcross(a: Accumulator): void {
    const { f } = this;
    const result = f.local(V128);
    const total = a.totals[0];
    if (total) {
      this.fold(a);
      f.get(total[0]);
      f.get(total[1]);
      f.op(op.f64x2Add);
      f.tee(result);
      f.lane(op.f64x2Extract, 0);
      f.get(result);
      f.lane(op.f64x2Extract, 1);
      f.op(op.f64Add, op.f32DemoteF64, op.f32x4Splat);
      f.set(result);
    } else {
      this.joinParts(a);
      f.get(a.parts[0]!);
      for (const swap of [2, 1]) {
        f.tee(result);
        f.get(result);
        f.get(result);
        if (swap === 2) f.shuffle(2, 3, 0, 1);
        else f.shuffle(1, 0, 3, 2);
        this.combine(a, undefined);
      }
      f.set(result);
      for (const nans of a.nans) {
        f.get(nans);
        f.op(op.anyTrue);
        f.when(() => {
          f.splat(floatBits(Number.NaN));
          f.set(result);
        });
      }
    }
    this.results.set(a.index, [result]);
    this.releaseAccumulator(a);
  }

  /** The end of the rows of a body whose lanes have a row each. */
  private finishLanes(a: Accumulator): void {
    const { f } = this;
    if (a.totals.length > 0) this.fold(a);
    const results = a.parts.map((part, v) => {
      const result = f.local(V128);
      const total = a.totals[v];
      const nans = a.nans[v];
      if (total) {
        f.get(total[0]);
        f.op(op.f32x4DemoteF64x2);
        f.get(total[1]);
        f.op(op.f32x4DemoteF64x2);
        f.shuffle(0, 1, 4, 5);
      } else if (nans !== undefined) {
        f.splat(floatBits(Number.NaN));
        f.get(part);
        f.get(nans);
        f.op(op.bitselect);
      } else f.get(part);
      f.set(result);
      return result;
    });
    this.results.set(a.index, results);
    this.releaseAccumulator(a);
  }

  private releaseAccumulator(a: Accumulator): void {
    for (const local of [...a.parts, ...a.totals.flat(), ...a.nans]) this.f.release(local);
  }

  private releaseResults(): void {
    for (const locals of this.results.values()) for (const local of locals) this.f.release(local);
    this.results.clear();
  }
}

interface Chunk {
  readonly size: number;
  /** Local that counts the steps since the last fold. */
  readonly pending: number;
  readonly fold: () => void;
}
