import { DTypeError } from './errors.ts';

/**
 * The element types of a tensor. int8 and uint8 take one byte an element on the device, float16 two, where the device has it, and
 * all others four; bools are stored as 0 and 1. int8 and uint8 are storage: what is computed from them is computed in int32.
 */
export type DType = 'float32' | 'float16' | 'int32' | 'uint32' | 'int8' | 'uint8' | 'bool';

/** The typed array that `Tensor.data()` gives for a dtype. That of float16 holds the same numbers as float32. */
export interface TypedArrays {
  float32: Float32Array;
  float16: Float32Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int8: Int8Array;
  uint8: Uint8Array;
  bool: Uint8Array;
}

/** The array in which elements of a dtype travel between the host and a device. */
export const ARRAYS: {
  readonly float32: Float32ArrayConstructor;
  readonly float16: Float32ArrayConstructor;
  readonly int32: Int32ArrayConstructor;
  readonly uint32: Uint32ArrayConstructor;
  readonly int8: Int8ArrayConstructor;
  readonly uint8: Uint8ArrayConstructor;
  readonly bool: Uint32ArrayConstructor;
} = {
  float32: Float32Array,
  float16: Float32Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint32Array,
};

/** Bytes of an element on the device. */
export const widthOf = (dtype: DType): number => (dtype === 'float16' ? 2 : isByte(dtype) ? 1 : 4);

/** Bytes of elements on the device: a whole number of words. */
export const bytesOf = (dtype: DType, count: number): number => 4 * Math.ceil((count * widthOf(dtype)) / 4);

const RANK: Record<DType, number> = { bool: 0, uint8: 1, int8: 1, uint32: 1, int32: 1, float16: 2, float32: 3 };

const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int8: [-128, 127],
  uint8: [0, 255],
};

/** The least and the greatest number that an integer dtype holds; null for the others. */
export const integerRange = (dtype: DType): readonly [number, number] | null => RANGES[dtype] ?? null;

/** Whether a dtype can hold a number, which loses its fraction on the way to an integer. */
export function canHold(dtype: DType, x: number): boolean {
  const range = integerRange(dtype);
  return range === null || (Math.trunc(x) >= range[0] && Math.trunc(x) <= range[1]);
}

export const isFloating = (dtype: DType): boolean => dtype === 'float32' || dtype === 'float16';
export const isByte = (dtype: DType): boolean => dtype === 'int8' || dtype === 'uint8';
/** What ops compute with: float32 in place of float16, int32 in place of int8 and uint8. */
export const computed = (dtype: DType): DType => (dtype === 'float16' ? 'float32' : isByte(dtype) ? 'int32' : dtype);
export const isDType = (value: unknown): value is DType => typeof value === 'string' && Object.hasOwn(RANK, value);

const NUMBERED = Object.keys(RANK);
/** A number of its own for every dtype. */
export const dtypeNumber = (dtype: DType): number => NUMBERED.indexOf(dtype);

/** The dtypes, as an error message lists them. */
export const DTYPES = "'float32', 'float16', 'int32', 'uint32', 'int8', 'uint8' or 'bool'";

/** The dtype two tensors meet in, by PyTorch's promotion: bool, then integers, then floats. Bytes meet other integers as int32. */
export function promote(op: string, a: DType, b: DType): DType {
  if (a === b) return a;
  if (RANK[a] === RANK[b] && computed(a) === computed(b)) return computed(a);
  if (RANK[a] === RANK[b])
    throw new DTypeError(
      `${op}: ${a} and ${b} have no common dtype; convert one of them with .to('int32') or .to('float32')`,
    );
  return RANK[a] > RANK[b] ? a : b;
}

/** The dtype of a tensor combined with a JavaScript number: a number only raises the category, as in PyTorch. */
export function promoteScalar(dtype: DType, value: number | boolean): DType {
  if (typeof value === 'boolean' || isFloating(dtype)) return dtype;
  if (!Number.isInteger(value)) return 'float32';
  return dtype === 'bool' ? 'int32' : dtype;
}
