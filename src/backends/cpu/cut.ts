import { type Shape, sizeOf } from '../../core/shape.ts';

/** A block of a cut: where it starts and how far it goes in every dim, and its number of points. */
export interface Block {
  readonly start: readonly number[];
  readonly sizes: readonly number[];
  readonly points: number;
}

/** So many blocks of a cut are made once and for all. */
const REMEMBERED = 64;

/**
 * Cuts the points of some dims, in row-major order, into blocks of at most `most` points that are boxes: whole in the last dims,
 * a part of the dim before them, and single places in the rest. Parts of a last dim are multiples of `unit`.
 */
export class Cut {
  readonly count: number;
  /** Points of the first block, than which none has more. */
  readonly points: number;
  /** The dim that is cut. */
  readonly dim: number;
  private readonly part: number;
  private readonly parts: number;
  private readonly blocks: Block[] = [];

  constructor(
    private readonly sizes: Shape,
    most: number,
    unit: number,
  ) {
    let dim = sizes.length - 1;
    let whole = 1;
    while (dim > 0 && whole * sizes[dim]! <= most) whole *= sizes[dim--]!;
    const n = sizes[dim]!;
    const even = Math.ceil(n / Math.ceil((n * whole) / most));
    this.dim = dim;
    this.part =
      whole === 1 ? Math.min(n, Math.ceil(even / unit) * unit) : Math.min(even, Math.max(1, Math.floor(most / whole)));
    this.parts = Math.ceil(n / this.part);
    this.points = this.part * whole;
    this.count = this.parts * sizeOf(sizes.slice(0, dim));
  }

  block(i: number): Block {
    if (i >= REMEMBERED) return this.make(i);
    this.blocks[i] ??= this.make(i);
    return this.blocks[i]!;
  }

  private make(i: number): Block {
    const { sizes, dim, part, parts } = this;
    const start = new Array<number>(sizes.length).fill(0);
    start[dim] = (i % parts) * part;
    let rest = Math.floor(i / parts);
    for (let d = dim - 1; d >= 0; d--) {
      start[d] = rest % sizes[d]!;
      rest = Math.floor(rest / sizes[d]!);
    }
    const box = sizes.map((n, d) => (d < dim ? 1 : d > dim ? n : Math.min(part, n - start[d]!)));
    return { start, sizes: box, points: sizeOf(box) };
  }

  /** How far a point of a block lies from the one before it, where that is the same throughout; null where it is not. */
  step(strides: readonly number[]): number | null {
    let step: number | null = null;
    let inside = 1;
    for (let d = this.sizes.length - 1; d >= this.dim; d--) {
      const n = d === this.dim ? this.part : this.sizes[d]!;
      if (n === 1) continue;
      step ??= strides[d]!;
      if (strides[d] !== step * inside) return null;
      inside *= n;
    }
    return step ?? 0;
  }

  /** Strides over the points of a block in their order, as far as a block goes. */
  packed(): number[] {
    return this.sizes.map((_, d) => (d < this.dim ? 0 : sizeOf(this.sizes.slice(d + 1))));
  }

  /** How far the first `points` points of a block lie from its start; filled up with 0 to a multiple of `width`. */
  offsets(strides: readonly number[], points: number, width: number): number[] {
    const out: number[] = [];
    const at = new Array<number>(this.sizes.length).fill(0);
    let offset = 0;
    while (out.length < points) {
      out.push(offset);
      for (let d = at.length - 1; d >= this.dim; d--) {
        offset += strides[d]!;
        if (++at[d]! < this.sizes[d]! || d === this.dim) break;
        offset -= strides[d]! * this.sizes[d]!;
        at[d] = 0;
      }
    }
    while (out.length % width !== 0) out.push(0);
    return out;
  }
}
