import { FunctionBuilder, I32, op, V128 } from './assembler.ts';

/**
 * Matrix products on packed panels (Goto and van de Geijn 2008). Panels hold `rows` rows of A, or `columns` columns of B,
 * for each step of k one after the other, padded with zeros to whole panels and to a multiple of `UNROLL` steps.
 */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** Multiplies and adds in one instruction, rounding once where the machine can. */
  readonly fused: boolean;
}

/** Steps of k in one turn of the innermost loop. */
export const UNROLL = 2;

/** Adds a local, some times over. */
function bumpBy(f: FunctionBuilder, local: number, by: number, times = 1): void {
  f.get(local, by);
  if (times !== 1) {
    f.i32(times);
    f.op(op.i32Mul);
  }
  f.op(op.i32Add);
  f.set(local);
}

/** Runs the body while `local` is at least `limit`; the body must make it smaller. */
function whileAtLeast(f: FunctionBuilder, local: number, limit: number, body: () => void): void {
  f.block(() =>
    f.loop(() => {
      f.with(local, limit, op.i32LtS);
      f.branchIf(1);
      body();
      f.branch(0);
    }),
  );
}

/** pack(to, from, lane step, k step, lanes, k): lanes are rows of A or columns of B, any number of them; steps in bytes. */
export function emitPack(name: string, width: number): FunctionBuilder {
  const f = new FunctionBuilder(name, 6);
  const [to, from, laneStep, kStep, lanes, k] = [0, 1, 2, 3, 4, 5] as const;
  const [source, left, lane] = [f.local(I32), f.local(I32), f.local(I32)];

  /** One step of k, lane by lane; lanes that are not there are 0. */
  const gather = (): void => {
    f.get(source);
    f.set(lane);
    for (let n = 0; n < width; n++) {
      f.get(to);
      f.i32(0);
      f.memory(op.i32Store, 4 * n);
      f.with(lanes, n, op.i32GtS);
      f.when(() => {
        f.get(to, lane);
        f.memory(op.i32Load);
        f.memory(op.i32Store, 4 * n);
        bumpBy(f, lane, laneStep);
      });
    }
  };
  const copy = (): void => {
    for (let n = 0; n < width; n += 4) {
      f.get(to, source);
      if (width - n >= 4) {
        f.memory(op.load, 4 * n);
        f.memory(op.store, 4 * n);
      } else {
        f.memory(op.load64Zero, 4 * n);
        f.memoryLane(op.store64Lane, 0, 4 * n);
      }
    }
  };
  /** Four steps of k that lie one after the other in each lane. */
  const transpose = (): void => {
    const rows = [0, 1, 2, 3].map(() => f.local(V128));
    const halves = [0, 1, 2, 3].map(() => f.local(V128));
    f.get(source);
    f.set(lane);
    for (let n = 0; n < width; n += 4) {
      const present = Math.min(4, width - n);
      rows.forEach((row, i) => {
        f.get(lane);
        f.memory(op.load);
        f.set(row);
        if (i < present - 1 || n + 4 < width) bumpBy(f, lane, laneStep);
      });
      for (const [i, pair] of [
        [0, 0],
        [1, 0],
        [2, 2],
        [3, 2],
      ] as const) {
        f.get(rows[pair]!, rows[pair + 1]!);
        if (i % 2 === 0) f.shuffle(0, 4, 1, 5);
        else f.shuffle(2, 6, 3, 7);
        f.set(halves[i]!);
      }
      for (let step = 0; step < 4; step++) {
        f.get(to, halves[step >> 1]!, halves[(step >> 1) + 2]!);
        if (step % 2 === 0) f.shuffle(0, 1, 4, 5);
        else f.shuffle(2, 3, 6, 7);
        const offset = 4 * (step * width + n);
        if (present === 4) f.memory(op.store, offset);
        else f.memoryLane(op.store64Lane, 0, offset);
      }
    }
    for (const local of [...rows, ...halves]) f.release(local);
  };
  const each = (steps: number, fromStep: () => void, body: () => void): void =>
    whileAtLeast(f, left, steps, () => {
      body();
      f.bump(to, 4 * width * steps);
      fromStep();
      f.bump(left, -steps);
    });

  whileAtLeast(f, lanes, 1, () => {
    f.get(from);
    f.set(source);
    f.get(k);
    f.set(left);
    f.with(lanes, width, op.i32GeS);
    f.when(() => {
      f.with(laneStep, 4, op.i32Eq);
      f.when(
        () => each(1, () => bumpBy(f, source, kStep), copy),
        () => {
          f.with(kStep, 4, op.i32Eq);
          f.when(() => each(4, () => f.bump(source, 16), transpose));
        },
      );
    });
    each(1, () => bumpBy(f, source, kStep), gather);
    // Zeros up to a whole turn of the micro-kernel's loop.
    f.i32(0);
    f.get(k);
    f.op(op.i32Sub);
    f.i32(UNROLL - 1);
    f.op(op.i32And);
    f.set(left);
    each(
      1,
      () => {},
      () => {
        for (let n = 0; n < width; n++) {
          f.get(to);
          f.i32(0);
          f.memory(op.i32Store, 4 * n);
        }
      },
    );
    bumpBy(f, from, laneStep, width);
    f.bump(lanes, -width);
  });
  return f;
}

/** micro(a, b, c, bytes of a row of c, k, accumulate, bytes from one k of b to the next): one tile of c, in registers. */
export function emitMicro({ rows, columns, fused }: Tile): FunctionBuilder {
  const f = new FunctionBuilder('micro', 7);
  const [a, b, c, rowBytes, k, accumulate, bStep] = [0, 1, 2, 3, 4, 5, 6] as const;
  const vectors = columns / 4;
  const sums = Array.from({ length: rows * vectors }, () => f.local(V128));
  const right = Array.from({ length: vectors }, () => f.local(V128));
  const left = f.local(V128);
  whileTurns(f, k, () => {
    for (let step = 0; step < UNROLL; step++) {
      right.forEach((local, v) => {
        f.get(b);
        f.memory(op.load, 16 * v);
        f.set(local);
      });
      bumpBy(f, b, bStep);
      for (let row = 0; row < rows; row++) {
        f.get(a);
        f.memory(op.load32Splat, 4 * (step * rows + row));
        f.set(left);
        right.forEach((local, v) => {
          const sum = sums[row * vectors + v]!;
          f.get(left, local);
          if (!fused) f.op(op.f32x4Mul);
          f.get(sum);
          f.op(fused ? op.f32x4RelaxedMadd : op.f32x4Add);
          f.set(sum);
        });
      }
    }
    f.bump(a, 4 * UNROLL * rows);
  });
  const write = (add: boolean): void => {
    for (let row = 0; row < rows; row++) {
      for (let v = 0; v < vectors; v++) {
        f.get(c, sums[row * vectors + v]!);
        if (add) {
          f.get(c);
          f.memory(op.load, 16 * v);
          f.op(op.f32x4Add);
        }
        f.memory(op.store, 16 * v);
      }
      if (row + 1 < rows) bumpBy(f, c, rowBytes);
    }
  };
  f.get(accumulate);
  f.when(
    () => write(true),
    () => write(false),
  );
  return f;
}

/** Turns of a loop that takes `UNROLL` off a counter, which is a multiple of it and not 0. */
function whileTurns(f: FunctionBuilder, counter: number, body: () => void): void {
  f.loop(() => {
    body();
    f.with(counter, UNROLL, op.i32Sub);
    f.tee(counter);
    f.branchIf(0);
  });
}

/** edge(tile, c, bytes of a row of c, rows, columns, accumulate): the part of a tile that lies within c. */
export function emitEdge({ columns }: Tile): FunctionBuilder {
  const f = new FunctionBuilder('edge', 6);
  const [tile, c, rowBytes, rows, across, accumulate] = [0, 1, 2, 3, 4, 5] as const;
  whileAtLeast(f, rows, 1, () => {
    for (let n = 0; n < columns; n++) {
      f.with(across, n, op.i32GtS);
      f.when(() => {
        f.get(c, tile);
        f.memory(op.f32Load, 4 * n);
        f.get(c);
        f.memory(op.i32Load, 4 * n);
        f.i32(0);
        f.get(accumulate);
        f.op(op.select, op.f32Reinterpret, op.f32Add);
        f.memory(op.f32Store, 4 * n);
      });
    }
    f.bump(tile, 4 * columns);
    bumpBy(f, c, rowBytes);
    f.bump(rows, -1);
  });
  return f;
}

/**
 * macro(a, b, c, bytes of a row of c, k, rows, columns, accumulate, tile, bytes from one k of b to the next, from one panel of b
 * to the next): all tiles of a block of c, from packed panels of A, and of B or its rows as they are. `tile` is memory for one
 * tile; `k` counts the padding.
 */
export function emitMacro({ rows: height, columns: width }: Tile, micro: number, edge: number): FunctionBuilder {
  const f = new FunctionBuilder('macro', 11);
  const [a, b, c, rowBytes, k, rows, columns, accumulate, tile, bStep, bPanel] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ] as const;
  const [panel, to, left] = [f.local(I32), f.local(I32), f.local(I32)];
  const least = (local: number, limit: number): void => {
    f.get(local);
    f.i32(limit);
    f.with(local, limit, op.i32LtS);
    f.op(op.select);
  };
  const pass = (...locals: number[]): void => {
    for (const local of locals) f.get(local);
  };
  whileAtLeast(f, columns, 1, () => {
    f.get(a);
    f.set(panel);
    f.get(c);
    f.set(to);
    f.get(rows);
    f.set(left);
    whileAtLeast(f, left, 1, () => {
      f.with(left, height, op.i32GeS);
      f.with(columns, width, op.i32GeS);
      f.op(op.i32And);
      f.when(
        () => {
          pass(panel, b, to, rowBytes, k, accumulate, bStep);
          f.call(micro);
        },
        () => {
          pass(panel, b, tile);
          f.i32(4 * width);
          f.get(k);
          f.i32(0);
          f.get(bStep);
          f.call(micro);
          pass(tile, to, rowBytes);
          least(left, height);
          least(columns, width);
          f.get(accumulate);
          f.call(edge);
        },
      );
      bumpBy(f, panel, k, 4 * height);
      bumpBy(f, to, rowBytes, height);
      f.bump(left, -height);
    });
    bumpBy(f, b, bPanel);
    f.bump(c, 4 * width);
    f.bump(columns, -width);
  });
  return f;
}
