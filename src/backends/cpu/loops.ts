import { type Expr, walk } from '../../ir/expr.ts';
import type { LoopKernel } from '../../ir/kernel.ts';
import { type FunctionBuilder, I32, op, V128 } from './assembler.ts';
import { type Layout, type Plan, unitOf } from './plan.ts';
import { type Chunk, Reductions } from './reductions.ts';
import { BETWEEN, type Depth, INSIDE, OUTSIDE, START } from './values.ts';

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

class LoopEmitter extends Reductions {
  /** How many vectors a body covers: several where little is done for each. */
  protected unroll(roots: readonly Expr[], accumulators: number): number {
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
          else if (plan.mode === 'scan') this.scanBody();
          else this.columnBody();
        }),
      );
    });
  }

  protected withPointers(body: () => void): void {
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

  protected advance(loop: number): void {
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
  protected nest(loops: readonly number[], body: () => void, chunk?: Chunk): void {
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
            this.f.with(left, 1, op.i32Sub);
            this.f.tee(left);
            this.f.branchIf(0);
          }),
        );
      });
      this.f.release(count);
    });
  }

  /** Runs the body over `count` steps, in pieces where there is a chunk. */
  protected chunked(count: number, chunk: Chunk | undefined, body: (left: number) => void): void {
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
        f.with(count, chunk.size, op.i32GtU);
        f.op(op.select);
        f.tee(left);
        f.get(chunk.pending);
        f.op(op.i32Add);
        f.set(chunk.pending);
        f.get(count, left);
        f.op(op.i32Sub);
        f.set(count);
        body(left);
        f.with(chunk.pending, chunk.size / 2, op.i32GeU);
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
  protected laneLoop(
    vectors: number,
    body: (vectors: number) => void,
    chunk?: Chunk,
    split: boolean = vectors > 1,
  ): void {
    const { f } = this;
    const step = (n: number, left: number): void => {
      for (const s of this.active) this.advanceLane(s, n);
      f.with(left, 4 * n, op.i32Sub);
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
          f.with(left, 4 * vectors, op.i32GeS);
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
        f.with(left, 0, op.i32GtS);
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

  protected startPartial(left: number, mask: number): void {
    const { f } = this;
    this.partial = { left, mask };
    f.get(left);
    f.op(op.i32x4Splat);
    f.v128(0, 1, 2, 3);
    f.op(op.i32x4GtS);
    f.set(mask);
    if (this.apart.size === 0) return;
    f.with(left, 4, op.i32LtS);
    f.when(() => {
      for (const offsets of this.apart.values())
        offsets.forEach((offset, n) => {
          f.get(offset);
          f.i32(0);
          f.with(left, n + 1, op.i32GtS);
          f.op(op.select);
          f.set(offset);
        });
    });
  }

  protected advanceLane(s: number, vectors: number): void {
    const { f } = this;
    const stream = this.plan.streams[s]!;
    const { lanes } = stream;
    if (lanes === 'same') return;
    f.get(this.at[s]!);
    if (lanes === 'next') f.i32(4 * unitOf(this.kernel, stream) * vectors);
    else {
      this.parameter(this.layout.step(s, this.lane));
      f.i32(4 * vectors);
      f.op(op.i32Mul);
    }
    f.op(op.i32Add);
    f.set(this.at[s]!);
  }

  // Bodies

  protected outputsAt(level: 'row' | 'element'): number[] {
    return this.outputs.map((_, o) => o).filter((o) => this.kernel.outputs[o]!.level === level);
  }

  /** Streams that the roots and outputs move. */
  protected streamsOf(roots: readonly Expr[], outputs: readonly number[]): number[] {
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

  protected mapBody(): void {
    const outputs = this.outputs.map((_, i) => i);
    this.hoist(this.outputs, OUTSIDE);
    this.laneLoop(this.unroll(this.outputs, 0), (vectors) => this.write(outputs, vectors));
  }

  protected get rowLoops(): number[] {
    return Array.from({ length: this.plan.inner }, (_, i) => this.plan.outer + i);
  }

  protected rewind(): void {
    if (this.cached.length === 0) return;
    this.parameter(this.layout.cache);
    this.f.set(this.cursor);
  }

  protected moveCursor(vectors: number): void {
    if (this.cached.length === 0) return;
    this.f.bump(this.cursor, this.cacheBytes * vectors);
  }

  protected markWritten(roots: readonly Expr[]): void {
    walk(roots, (e) => {
      if (this.cached.includes(e)) this.written.add(e);
    });
  }

  /** Vectors along the row. */
  protected rowBody(): void {
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
  protected columnBody(): void {
    this.hoist(
      this.roots.filter((e) => !this.needsResult(e)),
      OUTSIDE,
    );
    const vectors = this.columnVectors();
    this.laneLoop(vectors, (n) => this.scope(() => this.columnChunk(n)));
  }

  protected needsResult(root: Expr): boolean {
    let found = false;
    walk([root], (e) => {
      found ||= e.op === 'result';
    });
    return found;
  }

  protected columnVectors(): number {
    return Math.min(
      ...this.passes.map((p) => this.unroll(p.roots, p.reductions.length)),
      this.outputsAt('element').length > 0 ? this.unroll(this.outputs, 0) : 8,
    );
  }

  protected columnChunk(vectors: number): void {
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

  /** Each lane carries the tuple of its own row along it. */
  protected scanBody(): void {
    const vectors = Math.min(4, this.unroll(this.roots, this.reductions.length / 2));
    this.laneLoop(vectors, (n) => this.scope(() => this.scanChunk(n)));
  }

  protected scanChunk(vectors: number): void {
    const { f } = this;
    const each = (body: () => void): void => {
      for (this.vector = 0; this.vector < vectors; this.vector++) body();
      this.vector = 0;
    };
    each(() => this.hoist(this.roots, BETWEEN));
    const carry = this.startCarry(vectors);
    this.nest(this.rowLoops, () =>
      this.scope(() => {
        this.hoistShared(this.roots);
        each(() => this.scope(() => this.carry(carry)));
        f.splat(0);
        f.set(carry.first);
        this.write([0], vectors);
      }),
    );
    this.releaseCarry(carry);
  }

  /** Computes once what all vectors of the body share. */
  protected hoistShared(roots: readonly Expr[]): void {
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
}
