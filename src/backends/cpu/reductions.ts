import type { DType } from '../../core/dtype.ts';
import type { Expr } from '../../ir/expr.ts';
import type { ReduceOp } from '../../ir/kernel.ts';
import { floatBits, I32, op, V128 } from './assembler.ts';
import { constantBits, instructions } from './simd.ts';
import { Values } from './values.ts';

/** Sums are kept in float32 over so many steps of the innermost loop, and added up in float64. */
const CHUNK = { row: 4096, column: 256 };
export const IDENTITY: Record<ReduceOp, (dtype: DType) => number> = {
  sum: () => 0,
  prod: () => 1,
  max: (t) => (t === 'float32' ? -Infinity : t === 'int32' ? -(2 ** 31) : 0),
  min: (t) => (t === 'float32' ? Infinity : t === 'int32' ? 2 ** 31 - 1 : t === 'bool' ? 1 : 2 ** 32 - 1),
};
export const COMBINE: Record<ReduceOp, 'add' | 'mul' | 'max' | 'min'> = {
  sum: 'add',
  prod: 'mul',
  max: 'max',
  min: 'min',
};
export interface Accumulator {
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

export interface Chunk {
  readonly size: number;
  /** Local that counts the steps since the last fold. */
  readonly pending: number;
  readonly fold: () => void;
}

/** What a scan carries along a row. */
export interface Carry {
  /** Float sums and products: the instruction, and low and high halves in float64 for each vector. */
  readonly wide: readonly ({ readonly code: number; readonly halves: readonly [number, number][] } | null)[];
  /** Mask that is set at the first place of a row, where nothing is carried yet. */
  readonly first: number;
}

/** The part of a loop kernel's function that reduces rows: accumulators, and what becomes of them at the end of a row. */
export class Reductions extends Values {
  protected start(index: number, vectors: number, totals: number): Accumulator {
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

  protected accumulate(accumulators: readonly Accumulator[], vectors: number): void {
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
  protected combine(a: Accumulator, nans: number | undefined): void {
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

  protected chunkOf(accumulators: readonly Accumulator[]): Chunk | undefined {
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
  protected fold(a: Accumulator): void {
    const { f } = this;
    if (this.plan.mode === 'row') this.joinParts(a);
    a.totals.forEach(([low, high], i) => {
      const part = a.parts[i]!;
      f.get(low, part);
      f.op(op.f64x2PromoteLow, op.f64x2Add);
      f.set(low);
      f.get(high, part, part);
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
  protected joinParts(a: Accumulator): void {
    const { f } = this;
    for (let step = 1; step < a.parts.length; step *= 2)
      for (let i = 0; i + step < a.parts.length; i += 2 * step) {
        f.get(a.parts[i]!, a.parts[i + step]!);
        this.combine(a, undefined);
        f.set(a.parts[i]!);
      }
  }

  /** The end of a row that lies along the lanes: the result, in all lanes. */
  protected finishAcross(a: Accumulator): void {
    const { f } = this;
    const result = f.local(V128);
    const total = a.totals[0];
    if (total) {
      this.fold(a);
      f.get(total[0], total[1]);
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
        f.get(result, result);
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
  protected finishLanes(a: Accumulator): void {
    const { f } = this;
    if (a.totals.length > 0) this.fold(a);
    const results = a.parts.map((part, v) => {
      const result = f.local(V128);
      const total = a.totals[v];
      const nans = a.nans[v];
      if (total) this.narrow(...total);
      else if (nans !== undefined) {
        f.splat(floatBits(Number.NaN));
        f.get(part, nans);
        f.op(op.bitselect);
      } else f.get(part);
      f.set(result);
      return result;
    });
    this.results.set(a.index, results);
    this.releaseAccumulator(a);
  }

  /** The instruction for a part of a scan that is the sum or product of that part alone, in float32. */
  private wideCode(part: number): number | null {
    const { op: combine, dtype, args } = this.reductions[part]!;
    const right = this.reductions[part + this.reductions.length / 2]!;
    const left = args.find((a) => a !== right);
    if (dtype !== 'float32' || !args.includes(right) || left?.op !== 'result' || left.value !== part) return null;
    return combine === 'add' ? op.f64x2Add : combine === 'mul' ? op.f64x2Mul : null;
  }

  protected startCarry(vectors: number): Carry {
    const { f } = this;
    const fill = (bits: number): number => {
      const local = f.local(V128);
      f.splat(bits);
      f.set(local);
      return local;
    };
    const start = (code: number): number => {
      const local = fill(floatBits(code === op.f64x2Mul ? 1 : 0));
      f.get(local);
      f.op(op.f64x2PromoteLow);
      f.set(local);
      return local;
    };
    const list = <T>(make: () => T): T[] => Array.from({ length: vectors }, make);
    const wide = this.reductions.slice(this.reductions.length / 2).map((_, part) => {
      this.results.set(
        part,
        list(() => fill(0)),
      );
      const code = this.wideCode(part);
      return code === null ? null : { code, halves: list((): [number, number] => [start(code), start(code)]) };
    });
    return { wide, first: fill(-1) };
  }

  /** Combines what is carried with the tuple at the place, for the current vector. */
  protected carry({ wide, first }: Carry): void {
    const { f } = this;
    const next = wide.map((sum, part) => {
      const right = this.reductions[wide.length + part]!;
      const local = f.local(V128);
      this.push(right);
      if (sum) {
        const halves = sum.halves[this.vector]!;
        f.set(local);
        halves.forEach((half, high) => {
          f.get(half, local);
          if (high) {
            f.get(local);
            f.shuffle(2, 3, 2, 3);
          }
          f.op(op.f64x2PromoteLow, sum.code);
          f.set(half);
        });
        this.narrow(...halves);
      } else {
        this.push(this.reductions[part]!);
        f.get(first);
        f.op(op.bitselect);
      }
      f.set(local);
      return local;
    });
    next.forEach((local, part) => {
      f.get(local);
      f.set(this.results.get(part)![this.vector]!);
      f.release(local);
    });
  }

  protected releaseCarry({ wide, first }: Carry): void {
    for (const local of [first, ...wide.flatMap((w) => w?.halves.flat() ?? [])]) this.f.release(local);
    this.releaseResults();
  }

  /** Pushes two halves in float64 as one vector. */
  private narrow(low: number, high: number): void {
    const { f } = this;
    f.get(low);
    f.op(op.f32x4DemoteF64x2);
    f.get(high);
    f.op(op.f32x4DemoteF64x2);
    f.shuffle(0, 1, 4, 5);
  }

  protected releaseAccumulator(a: Accumulator): void {
    for (const local of [...a.parts, ...a.totals.flat(), ...a.nans]) this.f.release(local);
  }

  protected releaseResults(): void {
    for (const locals of this.results.values()) for (const local of locals) this.f.release(local);
    this.results.clear();
  }
}
