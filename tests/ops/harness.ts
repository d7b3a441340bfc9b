// Tests generated from the records of the elementwise ops: inputs of every kind, and what they give on each device.

import { type DType, isFloating } from '../../src/core/dtype.ts';
import { DTypeError } from '../../src/core/errors.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import { type Device, keep, device as makeDevice, scope, type Tensor, tensor, tidy } from '../../src/index.ts';
import { provideGPU } from '../../src/init.ts';
import * as elementwise from '../../src/ops/elementwise.ts';
import * as functions from '../../src/ops/functions.ts';
import type { Wrapping } from '../../src/ops/options.ts';
import type { Operand, Recorded } from '../../src/ops/record.ts';
import { gpu, type TestedDevice } from '../setup/devices.ts';

provideGPU(gpu);

export type { Device, Tensor };

/** A recorded op as the tests call it. */
export type Op = ((...operands: Operand[]) => Tensor) & Recorded;

/** Every record behind the functions of the elementwise files, each once, under a name of its own. */
export const ops: ReadonlyMap<string, Op> = collect();

function collect(): Map<string, Op> {
  const found = new Map<string, Op>();
  const seen = new Set<unknown>();
  for (const [name, value] of Object.entries({ ...elementwise, ...functions })) {
    const parts = 'parts' in value ? (value as Wrapping).parts() : [value as unknown as Op];
    for (const part of parts as readonly Op[]) {
      if (!part.record || seen.has(part)) continue;
      seen.add(part);
      let title = parts.length === 1 || part.op !== name ? name : `${name} 1`;
      if (part.op !== name) title = `${name}: ${part.op}`;
      for (let k = 2; found.has(title); k++) title = `${name} ${k}`;
      found.set(title, part);
    }
  }
  return found;
}

export const arityOf = (op: Op): number => op.record.numbers?.length ?? op.record.lower.length;

/** The number that the tests give for an operand that has to be one, or null. */
const fixedNumber = (op: Op, i: number): number | null => op.record.numbers?.[i] ?? null;

export const tensorOperands = (op: Op): number[] =>
  Array.from({ length: arityOf(op) }, (_, i) => i).filter((i) => fixedNumber(op, i) === null);

/** Where operand `i` is drawn from. */
function rangeOf(op: Op, i: number): readonly [number, number] {
  const { sample } = op.record;
  return (typeof sample[0] === 'number' ? sample : sample[i]) as readonly [number, number];
}

/** The library's devices for a test file, and a float64 reference device to compare them with. */
export async function openDevice(name: TestedDevice): Promise<Device> {
  return makeDevice(name);
}

export async function openOracle(): Promise<Device> {
  return makeDevice('reference', { precision: 'float64' });
}

/** Numbers in [0, 1), the same in every run. */
export function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

/** Elements for an operand: exact in float32, and with `dyadic` few enough bits that quotients stay off the integers. */
export function sample(op: Op, i: number, n: number, seed: number, dyadic: boolean): number[] {
  const next = random(seed + 7919 * i);
  const [low, high] = rangeOf(op, i);
  const kinks = op.record.kinks ?? [];
  return Array.from({ length: n }, () => {
    for (;;) {
      const x = low + (high - low) * next();
      const rounded = dyadic ? Math.round(x * 64) / 64 : Math.fround(x);
      if (dyadic || kinks.every((k) => Math.abs(rounded - k) > 1e-3)) return rounded;
    }
  });
}

/** An operand as data, so that every device can be given the same one. */
export type Given =
  | number
  | {
      readonly values: readonly number[];
      readonly shape: Shape;
      readonly dtype: DType;
      /** Makes the operand from the tensor that holds the values. */
      readonly view?: (x: Tensor) => Tensor;
    };

export const give = (
  values: readonly number[],
  shape: Shape,
  dtype: DType = 'float32',
  view?: (x: Tensor) => Tensor,
): Given => ({
  values,
  shape,
  dtype,
  ...(view ? { view } : {}),
});

/** A call of an op with operands of one kind. */
export interface Situation {
  readonly name: string;
  readonly operands: readonly Given[];
}

/** Values that formulas stumble over. */
export const SPECIAL: readonly number[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  1,
  -1,
  0.5,
  -2,
  3,
  100,
  -100,
  1e-30,
  -1e30,
  3e38,
].map(Math.fround);

const INTEGERS: Readonly<Record<DType, readonly number[]>> = {
  float32: [-2.5, -1, 0, 0.5, 1, 3],
  float16: [-2.5, -1, 0, 0.5, 1, 3],
  int32: [-7, -3, -1, 0, 1, 2, 5],
  uint32: [0, 1, 2, 3, 5, 7],
  int8: [-128, -7, -1, 0, 1, 2, 127],
  uint8: [0, 1, 2, 3, 5, 255],
  bool: [0, 1],
};

/** Beyond this, float32 gives less than the oracle: it overflows on the way, or reduces its argument less exactly. */
const LARGEST: ReadonlyMap<unknown, number> = new Map<unknown, number>([
  [elementwise.lerp, 1e31],
  [elementwise.sin, 1e4],
  [elementwise.cos, 1e4],
  [elementwise.tan, 1e4],
  [elementwise.remainder, 1e4],
  [elementwise.fmod, 1e4],
]);

/** Views of every kind: each makes an operand of shape [2, 3, 4] from a tensor of its own. */
const VIEWS: Readonly<Record<string, readonly [shape: Shape, view: (x: Tensor) => Tensor]>> = {
  transposed: [[4, 3, 2], (x) => x.transpose(0, 2)],
  sliced: [[5, 3, 9], (x) => x.slice(0, 1, 5, 2).slice(2, 1, 9, 2)],
  expanded: [[3, 1], (x) => x.expand([2, 3, 4])],
};

const ESSENTIAL: ReadonlySet<string> = new Set(['contiguous', 'empty', 'transposed', 'special values', 'broadcasting']);

/** The calls with float32 operands that an op is tested with: all of them, or the essential ones where kernels are dear. */
export function situations(op: Op, few = false): Situation[] {
  const places = tensorOperands(op);
  const operands = (make: (i: number, place: number) => Given): Given[] =>
    Array.from({ length: arityOf(op) }, (_, i) => fixedNumber(op, i) ?? make(i, places.indexOf(i)));
  const drawn =
    (shape: Shape, view?: (x: Tensor) => Tensor) =>
    (i: number): Given =>
      give(sample(op, i, sizeOf(shape), 11, true), shape, operandType(op, i), view);
  const out: Situation[] = [
    { name: 'contiguous', operands: operands(drawn([2, 3, 4])) },
    { name: '0-d', operands: operands(drawn([])) },
    { name: 'empty', operands: operands(drawn([3, 0, 2])) },
    { name: 'odd size', operands: operands(drawn([257])) },
  ];
  for (const [name, [shape, view]] of Object.entries(VIEWS))
    out.push({ name, operands: operands((i, place) => (place === 0 ? drawn(shape, view)(i) : drawn([2, 3, 4])(i))) });
  const most = LARGEST.get(op) ?? Infinity;
  const values = SPECIAL.filter((x) => !(Math.abs(x) > most && Math.abs(x) < Infinity));
  out.push({
    name: 'special values',
    operands: operands((i, place) => {
      if (operandType(op, i) === 'bool') return give([0, 1], [2, 1, 1, 1], 'bool');
      // Every value against every other.
      return give(values, [values.length, ...new Array<number>(place).fill(1)]);
    }),
  });
  if (places.length > 1) {
    out.push({ name: 'broadcasting', operands: operands((i, place) => drawn(place === 0 ? [2, 1, 4] : [3, 1])(i)) });
    out.push({ name: 'views', operands: operands((i, place) => drawn(...Object.values(VIEWS)[place % 3]!)(i)) });
    for (const number of places.filter((i) => operandType(op, i) !== 'bool'))
      out.push({
        name: `operand ${number} a number`,
        operands: operands((i) => (i === number ? sample(op, i, 1, 5, true)[0]! : drawn([2, 3])(i))),
      });
  }
  return few ? out.filter(({ name }) => ESSENTIAL.has(name)) : out;
}

/** The dtype that an operand has to have where the others are float32: where's condition is bool. */
export function operandType(op: Op, i: number): DType {
  return op === (functions.where as unknown as Op) && i === 0 ? 'bool' : INTEGRAL.has(op) ? 'int32' : 'float32';
}
const INTEGRAL: ReadonlySet<unknown> = new Set([
  elementwise.bitwiseAnd,
  elementwise.bitwiseOr,
  elementwise.bitwiseXor,
  elementwise.bitwiseNot,
]);

/** Calls with combinations of dtypes, of which the type rule refuses some: all of them, or a few where kernels are dear. */
export function typedSituations(op: Op, few = false): Situation[] {
  const places = tensorOperands(op);
  const dtypes: readonly DType[] = places.length > 2 ? ['int32', 'bool'] : ['float32', 'int32', 'bool', 'uint32'];
  let combinations: DType[][] = [[]];
  for (const _ of places) combinations = combinations.flatMap((c) => dtypes.map((d) => [...c, d]));
  const chosen = /^(int32|bool,bool|int32,int32|float32,int32|bool,int32|bool,int32,int32)$/;
  return combinations
    .filter((c) => c.some((d) => d !== 'float32') && (!few || chosen.test(c.join())))
    .map((types) => ({
      name: types.join(', '),
      operands: Array.from({ length: arityOf(op) }, (_, i): Given => {
        const place = places.indexOf(i);
        if (place < 0) return fixedNumber(op, i)!;
        const values = INTEGERS[types[place]!];
        return give(values, [values.length, ...new Array<number>(place).fill(1)], types[place]!);
      }),
    }));
}

/** Puts operands on a device. Call in a scope. */
export function place(
  operands: readonly Given[],
  device: Device,
  requiresGrad = false,
): { leaves: Operand[]; args: Operand[] } {
  const leaves = operands.map((g): Operand => {
    if (typeof g === 'number') return g;
    const grad = requiresGrad && isFloating(g.dtype);
    return tensor(Float64Array.from(g.values), { shape: g.shape, dtype: g.dtype, device, requiresGrad: grad });
  });
  const args = leaves.map((x, i) => {
    const g = operands[i]!;
    return typeof x === 'number' || typeof g === 'number' || !g.view ? x : g.view(x);
  });
  return { leaves, args };
}

/** What an op gave, or that its type rule refused the operands. */
export interface Result {
  readonly dtype: DType | 'refused';
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
}

/** Runs calls as one flush, and reads all results. */
export async function forward(op: Op, calls: readonly Situation[], device: Device): Promise<Result[]> {
  using s = scope();
  const outputs = s.run(() =>
    calls.map(({ operands }) => {
      try {
        return op(...place(operands, device).args);
      } catch (error) {
        if (error instanceof DTypeError) return null;
        throw error;
      }
    }),
  );
  return Promise.all(
    outputs.map(async (y): Promise<Result> => {
      if (!y) return { dtype: 'refused', shape: [], values: [] };
      return { dtype: y.dtype, shape: y.shape, values: await y.numbers('test') };
    }),
  );
}

/** A weight for every element of an output, none like another. */
export const weightsFor = (shape: Shape, seed = 0.5): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(0.5 + ((i * 0.618034 + seed) % 1)));

const leavesOf = (xs: readonly Operand[]): Tensor[] =>
  xs.filter((x): x is Tensor => typeof x !== 'number' && x.requiresGrad);

/** Gradients of the weighted sum of a call's output with respect to its float operands. */
export async function gradients(op: Op, { operands }: Situation, device: Device): Promise<ArrayLike<number>[]> {
  using s = scope();
  const grads = s.run(() => {
    const { leaves, args } = place(operands, device, true);
    const y = op(...args);
    const gradient = tensor(weightsFor(y.shape), { shape: y.shape, device });
    y.backward({ gradient });
    return leavesOf(leaves).map((x) => {
      if (!x.grad) throw new Error('an operand has no gradient');
      return keep(x.grad.detach());
    });
  });
  for (const g of grads) s.track(g);
  return Promise.all(grads.map((g) => g.numbers('test')));
}

/** What a result should be within: relative and absolute. */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** A text for the first difference, or null. Finite values beyond float32 count as infinite. */
export function difference(got: Result, want: Result, { rtol, atol }: Tolerance): string | null {
  if (got.dtype !== want.dtype) return `dtype ${got.dtype}, want ${want.dtype}`;
  if (got.shape.join() !== want.shape.join()) return `shape [${got.shape}], want [${want.shape}]`;
  const exact = want.dtype !== 'float32';
  for (let i = 0; i < want.values.length; i++) {
    const a = got.values[i]!;
    const b = exact ? want.values[i]! : Math.fround(want.values[i]!);
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (exact || !(Math.abs(a - b) <= atol + rtol * Math.abs(b))) return `element ${i} is ${a}, want ${b}`;
  }
  return null;
}

export { tidy };
