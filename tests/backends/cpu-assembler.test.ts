import { describe, expect, test } from 'vitest';
import { assemble, FunctionBuilder, floatBits, I32, op, V128 } from '../../src/backends/cpu/assembler.ts';

/** Builds a function, runs it with the arguments, and gives the memory. */
function run(build: (f: FunctionBuilder) => void, args: readonly number[] = []): DataView {
  const f = new FunctionBuilder('run', args.length);
  build(f);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 4 });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble([f], 4)), { env: { memory } });
  (exports.run as (...args: number[]) => void)(...args);
  return new DataView(memory.buffer);
}

describe('the assembler', () => {
  test.each([0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, 2 ** 31 - 1, -(2 ** 31)])(
    'encodes the constant %i',
    (value) => {
      const memory = run((f) => {
        f.i32(0);
        f.i32(value);
        f.memory(op.i32Store, 300);
      });
      expect(memory.getInt32(300, true)).toBe(value);
    },
  );

  test('keeps lanes in order, through constants, shuffles and stores', () => {
    const memory = run((f) => {
      f.i32(0);
      f.v128(1, -2, floatBits(0.5), 4);
      f.v128(5, 6, 7, 8);
      f.shuffle(3, 6, 0, 2);
      f.memory(op.store);
      f.i32(0);
      f.v128(10, 11, 12, 13);
      f.memoryLane(op.store32Lane, 2, 16);
    });
    expect([0, 4, 8].map((at) => memory.getInt32(at, true))).toEqual([4, 7, 1]);
    expect(memory.getFloat32(12, true)).toBe(0.5);
    expect(memory.getInt32(16, true)).toBe(12);
  });

  test('loops, branches and locals of both types', () => {
    const memory = run(
      (f) => {
        const total = f.local(I32);
        const lanes = f.local(V128);
        f.release(f.local(V128));
        f.splat(0);
        f.set(lanes);
        f.loop(() => {
          f.get(total);
          f.get(0);
          f.op(op.i32Add);
          f.set(total);
          f.get(lanes);
          f.get(0);
          f.op(op.i32x4Splat, op.i32x4Add);
          f.set(lanes);
          f.get(0);
          f.i32(1);
          f.op(op.i32Sub);
          f.tee(0);
          f.branchIf(0);
        });
        f.get(total);
        f.i32(5050);
        f.op(op.i32Eq);
        f.when(
          () => {
            f.i32(0);
            f.get(lanes);
            f.memory(op.store, 16);
          },
          () => {
            f.i32(0);
            f.i32(1);
            f.memory(op.i32Store, 0);
          },
        );
      },
      [100],
    );
    expect(memory.getInt32(0, true)).toBe(0);
    expect([16, 20, 24, 28].map((at) => memory.getInt32(at, true))).toEqual([5050, 5050, 5050, 5050]);
  });

  test('calls functions by their index', () => {
    const inner = new FunctionBuilder('inner', 2);
    inner.get(0);
    inner.get(1);
    inner.memory(op.i32Store);
    const outer = new FunctionBuilder('outer', 0);
    outer.i32(8);
    outer.i32(99);
    outer.call(0);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble([inner, outer], 1)), {
      env: { memory },
    });
    expect(Object.keys(exports)).toEqual(['inner', 'outer']);
    (exports.outer as () => void)();
    expect(new DataView(memory.buffer).getInt32(8, true)).toBe(99);
  });
});
