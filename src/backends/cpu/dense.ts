import { factorisations } from '../../ir/dense.ts';
import { type DenseKernel, denseSize } from '../../ir/kernel.ts';
import type { Heap } from './heap.ts';
import { type Runnable, scalarBits } from './program.ts';
import { STATUS } from './values.ts';
import { directAccess, forEachOffset } from './walk.ts';

/** Factorises one matrix after the other, in float64, in scratch. */
export class DenseProgram implements Runnable {
  readonly scratch: number;
  private readonly size: number;
  /** Columns of the inputs. */
  private readonly widths: readonly number[];

  constructor(private readonly kernel: DenseKernel) {
    const { algorithm, columns, space, inputs } = kernel;
    const [m, n] = space.slice(-2) as [number, number];
    this.size = denseSize(algorithm, m, n, columns);
    this.widths = inputs.map((_, i) => (i === 0 ? n : columns));
    this.scratch = 8 * (this.widths.reduce((sum, width) => sum + m * width, 0) + this.size);
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { kernel, size, widths } = this;
    const { algorithm, columns, check, space, inputs } = kernel;
    const [m, n] = space.slice(-2) as [number, number];
    const rank = space.length;
    const { f32 } = heap;
    let next = scratch;
    const numbers = (length: number): Float64Array => {
      next += 8 * length;
      return new Float64Array(heap.memory.buffer, next - 8 * length, length);
    };
    const out = numbers(size);
    const matrices = widths.map((width) => numbers(m * width));
    const from = inputs.map(directAccess);
    const base = addresses[kernel.outputs[0].binding]! / 4;
    let defined = true;
    forEachOffset(
      space.slice(0, -2),
      from.map(({ strides }) => strides.slice(0, -2)),
      (offsets, matrix) => {
        matrices.forEach((to, i) => {
          const { strides, offset } = from[i]!;
          const start = addresses[inputs[i]!.binding]! / 4 + offset + offsets[i]!;
          const [down, across] = [strides[rank - 2]!, strides[rank - 1]!];
          const width = widths[i]!;
          for (let r = 0; r < m; r++)
            for (let c = 0; c < width; c++) to[r * width + c] = f32[start + r * down + c * across]!;
        });
        const fine = factorisations[algorithm](m, n, columns, matrices[0]!, matrices[1] ?? NONE, out);
        defined &&= fine;
        f32.set(out, base + matrix * size);
      },
    );
    if (!defined && check !== null) heap.i32[STATUS / 4] = scalarBits(scalars[check]!, kernel.scalars[check]!);
  }
}

const NONE = new Float64Array(0);
