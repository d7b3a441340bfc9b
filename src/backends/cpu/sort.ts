import { contiguousStrides, sizeOf } from '../../core/shape.ts';
import type { SortKernel } from '../../ir/kernel.ts';
import { FunctionBuilder, I32, op } from './assembler.ts';
import type { Heap } from './heap.ts';
import { LoopProgram, type Modules, type Run, type Runnable } from './program.ts';

/** Rows up to this length are sorted by insertion. */
const SHORT = 32;
const DIGITS = 256;
/** Of the counts of four digits, at the start of the scratch. */
const COUNT_BYTES = 16 * DIGITS;

/** A map writes the keys where the places will be; then each row is sorted in scratch. */
export class SortProgram implements Runnable {
  readonly scratch: number;
  private readonly keys: LoopProgram;
  private readonly length: number;
  private readonly rows: number;
  /** The buffer of the output. */
  private readonly binding: number;
  private readonly count: Run;
  private readonly pass: Run;

  constructor(modules: Modules, kernel: SortKernel) {
    const { space, inputs, key, outputs, scalars, bindings } = kernel;
    this.binding = outputs[0].binding;
    this.length = space.at(-1)!;
    const run = modules.shared('sort', emitRadix);
    this.count = run.count!;
    this.pass = run.pass!;
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
    this.scratch = Math.max(this.keys.scratch, COUNT_BYTES + 16 * this.length);
  }

  launch(heap: Heap, addresses: readonly number[], scalars: readonly number[], scratch: number): void {
    const { length, rows } = this;
    this.keys.launch(heap, addresses, scalars, scratch);
    const start = addresses[this.binding]!;
    for (let row = 0; row < rows; row++) {
      const out = start + 4 * row * length;
      if (length > SHORT) this.radix(heap, out, scratch);
      else
        insertion(heap.u32.subarray(out / 4, out / 4 + length), heap.u32.subarray(scratch / 4, scratch / 4 + length));
    }
  }

  /** Replaces the keys at `out` by their places in ascending order, without passes over digits that all keys share. */
  private radix({ u32 }: Heap, out: number, scratch: number): void {
    const { length } = this;
    const part = (n: number): number => scratch + COUNT_BYTES + 4 * n * length;
    let [keys, places, otherKeys, otherPlaces] = [part(0), part(1), part(2), part(3)];
    this.count(out, keys, places, scratch, length);
    const first = u32[keys / 4]!;
    for (let digit = 0; digit < 4; digit++) {
      const counts = scratch + 4 * DIGITS * digit;
      if (u32[counts / 4 + ((first >>> (8 * digit)) & (DIGITS - 1))] === length) continue;
      this.pass(keys, places, otherKeys, otherPlaces, counts, length, 8 * digit);
      [keys, places, otherKeys, otherPlaces] = [otherKeys, otherPlaces, keys, places];
    }
    u32.copyWithin(out / 4, places / 4, places / 4 + length);
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

/** The steps of a sort by least significant digits, on keys and places side by side. */
function emitRadix(): FunctionBuilder[] {
  const count = new FunctionBuilder('count', 5);
  {
    const f = count;
    const [from, keys, places, counts, n] = [0, 1, 2, 3, 4];
    const [key, place, at] = [f.local(I32), f.local(I32), f.local(I32)];
    f.i32(COUNT_BYTES / 16);
    f.set(at);
    f.get(counts);
    f.set(key);
    f.repeat(at, () => {
      f.get(key);
      f.splat(0);
      f.memory(op.store);
      f.bump(key, 16);
    });
    f.repeat(n, () => {
      f.get(keys, from);
      f.memory(op.i32Load);
      f.tee(key);
      f.memory(op.i32Store);
      f.get(places, place);
      f.memory(op.i32Store);
      for (let digit = 0; digit < 4; digit++) {
        f.get(counts);
        f.with(key, Math.abs(8 * digit - 2), digit === 0 ? op.i32Shl : op.i32ShrU);
        f.i32(4 * (DIGITS - 1));
        f.op(op.i32And, op.i32Add);
        f.tee(at);
        f.get(at);
        f.memory(op.i32Load, 4 * DIGITS * digit);
        f.i32(1);
        f.op(op.i32Add);
        f.memory(op.i32Store, 4 * DIGITS * digit);
      }
      f.bump(place, 1);
      for (const pointer of [from, keys, places]) f.bump(pointer, 4);
    });
  }
  const pass = new FunctionBuilder('pass', 7);
  {
    const f = pass;
    const [fromKeys, fromPlaces, toKeys, toPlaces, counts, n, shift] = [0, 1, 2, 3, 4, 5, 6];
    const [at, sum, left, key] = [f.local(I32), f.local(I32), f.local(I32), f.local(I32)];
    f.i32(DIGITS);
    f.set(left);
    f.get(counts);
    f.set(at);
    // Counts become the bytes before the first key of a digit.
    f.repeat(left, () => {
      f.get(sum, at);
      f.memory(op.i32Load);
      f.i32(2);
      f.op(op.i32Shl, op.i32Add);
      f.get(at, sum);
      f.memory(op.i32Store);
      f.set(sum);
      f.bump(at, 4);
    });
    f.repeat(n, () => {
      f.get(counts, fromKeys);
      f.memory(op.i32Load);
      f.tee(key);
      f.get(shift);
      f.op(op.i32ShrU);
      f.i32(DIGITS - 1);
      f.op(op.i32And);
      f.i32(2);
      f.op(op.i32Shl, op.i32Add);
      f.tee(at);
      f.get(at);
      f.memory(op.i32Load);
      f.tee(sum);
      f.i32(4);
      f.op(op.i32Add);
      f.memory(op.i32Store);
      f.get(toKeys, sum);
      f.op(op.i32Add);
      f.get(key);
      f.memory(op.i32Store);
      f.get(toPlaces, sum);
      f.op(op.i32Add);
      f.get(fromPlaces);
      f.memory(op.i32Load);
      f.memory(op.i32Store);
      f.bump(fromKeys, 4);
      f.bump(fromPlaces, 4);
    });
  }
  return [count, pass];
}
