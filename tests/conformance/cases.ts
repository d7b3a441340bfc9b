// The case files: types, decoding, and comparing with what was computed.
import { halfRound } from '../../src/core/float16.ts';
import type { Tensor } from './api.ts';

export type DType = 'float32' | 'float16' | 'int32' | 'uint32' | 'bool';
/** Non-finite numbers are strings, as JSON has none. */
export type JsonNumber = number | 'NaN' | 'Infinity' | '-Infinity';

export interface DataTensor {
  /** Of a case in float16: what is wanted with the tolerance of that. */
  half?: boolean;
  shape: number[];
  dtype: DType;
  data: JsonNumber[];
}

/** A tensor given by a formula. */
export interface FilledTensor {
  shape: number[];
  dtype: DType;
  fill: 'constant' | 'linspace' | 'lcg';
  value?: number;
  start?: number;
  end?: number;
  seed?: number;
  lo?: number;
  hi?: number;
}

/** An expected tensor of which only some elements are listed. */
export interface SampledTensor extends DataTensor {
  at: number[];
  sum: JsonNumber;
  abs_sum: JsonNumber;
}

export type InputTensor = DataTensor | FilledTensor;
export type ExpectedTensor = DataTensor | SampledTensor;
export type ViewStep = Readonly<Record<string, unknown>>;
export type Output = ExpectedTensor | ExpectedTensor[] | { [name: string]: ExpectedTensor | ExpectedTensor[] };

export interface OpCase {
  name: string;
  op: string;
  inputs: Record<string, InputTensor | InputTensor[]>;
  args: Record<string, unknown> & { views?: Record<string, ViewStep[]> };
  output: Output;
  cotangent_for?: string | number;
  cotangent?: InputTensor;
  grads?: Record<string, ExpectedTensor | ExpectedTensor[]>;
  rtol: number;
  atol: number;
  tags?: string[];
}

export interface OptimizerCase {
  name: string;
  op: string;
  args: Record<string, unknown> & { param_groups?: ({ params: string[] } & Record<string, unknown>)[] };
  params: Record<string, DataTensor>;
  grads: Record<string, DataTensor>[];
  expected: Record<string, DataTensor>[];
  rtol: number;
  atol: number;
}

export interface SchedulerCase {
  name: string;
  op: string;
  args: Record<string, unknown>;
  base_lr: number;
  metrics?: number[];
  lrs: number[];
  rtol: number;
  atol: number;
}

export interface Tolerance {
  rtol: number;
  atol: number;
}

/** Of float16, relative to each element and to the largest of its tensor: roundings of 2^-11 that add up, and cancel. */
export const HALF = 4e-3;

/** A difference between what was wanted and what came: the case has failed. */
export class Mismatch extends Error {
  override name = 'Mismatch';
}

const WORDS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
};
const isWord = (x: unknown): x is string => typeof x === 'string' && Object.hasOwn(WORDS, x);

/** JSON values with the words for non-finite numbers replaced. */
export function decode(x: unknown): unknown {
  if (isWord(x)) return WORDS[x];
  return Array.isArray(x) ? x.map(decode) : x;
}

const toNumber = (x: JsonNumber): number => (typeof x === 'number' ? x : WORDS[x]!);
const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The elements of an input. */
export function elements(t: InputTensor): Float32Array | Int32Array {
  const Type = t.dtype === 'int32' ? Int32Array : Float32Array;
  return 'data' in t ? new Type(t.data.map(toNumber)) : filled(t);
}

/** The formulas of the format's description. */
function filled(t: FilledTensor): Float32Array | Int32Array {
  const { value = 0, start = 0, end = 0, seed = 0, lo = 0, hi = 0 } = t;
  const n = countOf(t.shape);
  const out = t.dtype === 'int32' ? new Int32Array(n) : new Float32Array(n);
  const step = n > 1 ? (end - start) / (n - 1) : 0;
  for (let i = 0, s = seed; i < n; i++) {
    if (t.fill === 'lcg') s = (Math.imul(1664525, s) + 1013904223) >>> 0;
    const v = t.fill === 'constant' ? value : t.fill === 'linspace' ? start + i * step : lo + (hi - lo) * (s / 2 ** 32);
    out[i] = t.dtype === 'int32' ? Math.floor(v) : v;
  }
  return out;
}

export const isTensorData = (x: Output | ExpectedTensor): x is ExpectedTensor =>
  !Array.isArray(x) && Array.isArray(x.shape) && typeof x.dtype === 'string';

const close = (got: number, want: number, { rtol, atol }: Tolerance): boolean =>
  got === want || (Number.isNaN(got) && Number.isNaN(want)) || Math.abs(got - want) <= atol + rtol * Math.abs(want);

/** Where a flat index lies, as coordinates. */
function coordinates(flat: number, shape: readonly number[]): string {
  const at: number[] = [];
  let rest = flat;
  for (const size of [...shape].reverse()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `[${at.join(', ')}]`;
}

/** A number against the one that is wanted. */
export function expectNumber(what: string, got: number, want: number, tolerance: Tolerance): void {
  if (!close(got, want, tolerance))
    throw new Mismatch(`${what}: got ${got}, want ${want}, allowed ${tolerance.atol} + ${tolerance.rtol} relative`);
}

/** What float16 results may be off. */
function scaled({ data }: ExpectedTensor): Tolerance {
  let largest = 0;
  for (const x of data.map(toNumber)) if (Math.abs(x) < Infinity) largest = Math.max(largest, Math.abs(x));
  return { rtol: HALF, atol: HALF * largest };
}

/** A tensor against the one that is wanted: shape, dtype, and each element within the tolerance. */
export async function expectTensor(what: string, got: unknown, want: ExpectedTensor, given: Tolerance): Promise<void> {
  const tolerance = 'half' in want && want.half ? scaled(want) : given;
  const tensor = got as Tensor | null | undefined;
  if (!tensor || typeof tensor.data !== 'function') throw new Mismatch(`${what}: got ${String(got)}, want a tensor`);
  if (tensor.shape.join() !== want.shape.join())
    throw new Mismatch(`${what}: got shape [${tensor.shape.join(', ')}], want [${want.shape.join(', ')}]`);
  if (tensor.dtype !== want.dtype) throw new Mismatch(`${what}: got dtype ${tensor.dtype}, want ${want.dtype}`);
  const data = await tensor.data();
  const round = want.dtype === 'float32' ? Math.fround : want.dtype === 'float16' ? halfRound : Number;
  for (const [i, value] of want.data.entries()) {
    const at = 'at' in want ? want.at[i]! : i;
    const wanted = round(toNumber(value));
    if (close(data[at]!, wanted, tolerance)) continue;
    const wrong = want.data.filter(
      (v, k) => !close(data['at' in want ? want.at[k]! : k]!, round(toNumber(v)), tolerance),
    ).length;
    throw new Mismatch(
      `${what}${coordinates(at, want.shape)}: got ${data[at]}, want ${wanted}, allowed ${tolerance.atol} + ${tolerance.rtol} ` +
        `relative (${wrong} of ${want.data.length} wrong)`,
    );
  }
  if ('at' in want) {
    let total = 0;
    for (let i = 0; i < data.length; i++) total += data[i]!;
    const sum = toNumber(want.sum);
    const allowed = (tolerance.rtol + 1e-6) * toNumber(want.abs_sum) + tolerance.atol * data.length;
    if (!(Math.abs(total - sum) <= allowed || close(total, sum, { rtol: 0, atol: 0 })))
      throw new Mismatch(`${what}: the sum is ${total}, want ${sum}, allowed ${allowed}`);
  }
}

/** `weight_ih` as `weightIh`. */
export const camel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
