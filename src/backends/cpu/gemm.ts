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

/** Four vectors, which hold four steps of k each, as four that hold a step each: `present` of them are there. */
function emitTranspose(
  f: FunctionBuilder,
  rows: readonly number[],
  halves: readonly number[],
  to: number,
  width: number,
  n: number,
): void {
  const present = Math.min(4, width - n);
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

/** Zeros for the steps of k that fill up a turn of the micro-kernel's loop; uses up `left`. */
function emitPadding(f: FunctionBuilder, to: number, k: number, left: number, width: number): void {
  f.i32(0);
  f.get(k);
  f.op(op.i32Sub);
  f.i32(UNROLL - 1);
  f.op(op.i32And);
  f.set(left);
  whileAtLeast(f, left, 1, () => {
    for (let n = 0; n < width; n++) {
      f.get(to);
      f.i32(0);
      f.memory(op.i32Store, 4 * n);
    }
    f.bump(to, 4 * width);
    f.bump(left, -1);
  });
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
      emitTranspose(f, rows, halves, to, width, n);
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
    emitPadding(f, to, k, left, width);
    bumpBy(f, from, laneStep, width);
    f.bump(lanes, -width);
  });
  return f;
}

/**
 * packByTables(to, from, lane table, k table, panels, k): the same where lanes and steps of k lie anywhere; the tables say how
 * many bytes from `from`, and the one of lanes goes on to whole panels.
 */
export function emitPackByTables(width: number): FunctionBuilder {
  const f = new FunctionBuilder('packByTables', 6);
  const [to, from, laneTable, kTable, panels, k] = [0, 1, 2, 3, 4, 5] as const;
  const lanes = Array.from({ length: width }, () => f.local(I32));
  const [source, step, left] = [f.local(I32), f.local(I32), f.local(I32)];
  const rows = [0, 1, 2, 3].map(() => f.local(V128));
  const halves = [0, 1, 2, 3].map(() => f.local(V128));

  const sourceAt = (): void => {
    f.get(from, step);
    f.memory(op.i32Load);
    f.op(op.i32Add);
    f.set(source);
  };
  const next = (steps: number): void => {
    f.bump(to, 4 * width * steps);
    f.bump(step, 4 * steps);
    f.bump(left, -steps);
  };
  const laneAt = (n: number): void => f.get(source, lanes[n]!);
  const gather = (): void => {
    sourceAt();
    for (let n = 0; n < width; n++) {
      f.get(to);
      laneAt(n);
      f.op(op.i32Add);
      f.memory(op.i32Load);
      f.memory(op.i32Store, 4 * n);
    }
    next(1);
  };
  /** Lanes that lie one after the other in fours (and a last pair). */
  const copy = (): void => {
    sourceAt();
    for (let n = 0; n < width; n += 4) {
      f.get(to);
      laneAt(n);
      f.op(op.i32Add);
      if (width - n >= 4) {
        f.memory(op.load);
        f.memory(op.store, 4 * n);
      } else {
        f.memory(op.load64Zero);
        f.memoryLane(op.store64Lane, 0, 4 * n);
      }
    }
    next(1);
  };
  const transpose = (): void => {
    sourceAt();
    for (let n = 0; n < width; n += 4) {
      for (let i = 0; i < 4; i++) {
        laneAt(Math.min(n + i, width - 1));
        f.op(op.i32Add);
        f.memory(op.load);
        f.set(rows[i]!);
      }
      emitTranspose(f, rows, halves, to, width, n);
    }
    next(4);
  };
  /** Whether something lies `4 * distance` bytes after something else. */
  const follows = (first: () => void, second: () => void, distance: number): void => {
    second();
    first();
    f.op(op.i32Sub);
    f.i32(4 * distance);
    f.op(op.i32Eq);
  };

  whileAtLeast(f, panels, 1, () => {
    for (const [n, lane] of lanes.entries()) {
      f.get(laneTable);
      f.memory(op.i32Load, 4 * n);
      f.set(lane);
    }
    f.get(kTable);
    f.set(step);
    f.get(k);
    f.set(left);
    f.i32(1);
    for (let n = 0; n < width; n++) {
      if (n % 4 === 0) continue;
      follows(
        () => f.get(lanes[n - 1]!),
        () => f.get(lanes[n]!),
        1,
      );
      f.op(op.i32And);
    }
    f.when(
      () => whileAtLeast(f, left, 1, copy),
      () => {
        // Fours of steps that lie one after the other, as long as there are any.
        whileAtLeast(f, left, 4, () => {
          f.i32(1);
          for (let n = 1; n < 4; n++) {
            follows(
              () => {
                f.get(step);
                f.memory(op.i32Load, 4 * (n - 1));
              },
              () => {
                f.get(step);
                f.memory(op.i32Load, 4 * n);
              },
              1,
            );
            f.op(op.i32And);
          }
          f.when(transpose, gather);
        });
        whileAtLeast(f, left, 1, gather);
      },
    );
    emitPadding(f, to, k, left, width);
    f.bump(laneTable, 4 * width);
    f.bump(panels, -1);
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
