import { contiguousStrides, sizeOf } from '../../core/shape.ts';
import type { SortKernel } from '../../ir/kernel.ts';
import type { Heap } from './heap.ts';
import { LoopProgram, type Modules, type Runnable } from './program.ts';

/** Rows up to this length are sorted by insertion. */
const SHORT = 48;
const DIGITS = 256;

/** A map writes the keys where the places will be; then each row is sorted in scratch. */
export class SortProgram implements Runnable {
  readonly scratch: number;
  private readonly keys: LoopProgram;
  private readonly length: number;
  private readonly rows: number;
  /** The buffer of the output. */
  private readonly binding: number;
  private readonly counts = new Uint32Array(4 * DIGITS);

  constructor(modules: Modules, kernel: SortKernel) {
    const { space, inputs, key, outputs, scalars, bindings } = kernel;
    this.binding = outputs[0].binding;
    this.length = space.at(-1)!;
    this.rows = sizeOf(space.slice(0, -1));
    this.keys = new LoopProgram(modules, {
      kind: 'map',
      space,
      inner: 0,
      inputs,
      reductions: [],
      outputs: [{ ...outputs[0], dtype: 'uint32', expr: key, strides: contiguousStrides(space) }],
      scalars,
      bindings,
    });
    this.scratch = Math.max(this.keys.scratch, 16 * this.length);
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { length, rows } = this;
    this.keys.launch(heap, addresses, scalars, scratch);
    const start = addresses[this.binding]! / 4;
    const part = (n: number): Uint32Array =>
      heap.u32.subarray(scratch / 4 + n * length, scratch / 4 + (n + 1) * length);
    const [a, b, c, d] = [part(0), part(1), part(2), part(3)];
    for (let row = 0; row < rows; row++) {
      const out = heap.u32.subarray(start + row * length, start + (row + 1) * length);
      if (length <= SHORT) insertion(out, a);
      else radix(out, a, b, c, d, this.counts);
    }
  }
}

/** Replaces the keys in `out` by their places in ascending order. */
function insertion(out: Uint32Array, keys: Uint32Array): void {
  for (let i = 0; i < out.length; i++) {
    const key = out[i]!;
    let j = i;
    for (; j > 0 && keys[j - 1]! > key; j--) {
      keys[j] = keys[j - 1]!;
      out[j] = out[j - 1]!;
    }
    keys[j] = key;
    out[j] = i;
  }
}

/** The same by least significant digits; digits that all keys share are skipped. */
function radix(
  out: Uint32Array,
  keys: Uint32Array,
  places: Uint32Array,
  otherKeys: Uint32Array,
  otherPlaces: Uint32Array,
  counts: Uint32Array,
): void {
  const n = out.length;
  counts.fill(0);
  for (let i = 0; i < n; i++) {
    const key = out[i]!;
    counts[key & 255]!++;
    counts[256 + ((key >>> 8) & 255)]!++;
    counts[512 + ((key >>> 16) & 255)]!++;
    counts[768 + (key >>> 24)]!++;
    keys[i] = key;
    places[i] = i;
  }
  let [fromKeys, fromPlaces, toKeys, toPlaces] = [keys, places, otherKeys, otherPlaces];
  for (let digit = 0; digit < 4; digit++) {
    const base = digit * DIGITS;
    const shift = 8 * digit;
    if (counts[base + ((keys[0]! >>> shift) & 255)] === n) continue;
    for (let v = 0, sum = 0; v < DIGITS; v++) {
      const count = counts[base + v]!;
      counts[base + v] = sum;
      sum += count;
    }
    for (let i = 0; i < n; i++) {
      const key = fromKeys[i]!;
      const to = counts[base + ((key >>> shift) & 255)]!++;
      toKeys[to] = key;
      toPlaces[to] = fromPlaces[i]!;
    }
    [fromKeys, fromPlaces, toKeys, toPlaces] = [toKeys, toPlaces, fromKeys, fromPlaces];
  }
  out.set(fromPlaces);
}
