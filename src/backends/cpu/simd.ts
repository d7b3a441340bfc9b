import { computed, type DType, isByte, widthOf } from '../../core/dtype.ts';
import type { Expr, ScalarOp } from '../../ir/expr.ts';
import { type FunctionBuilder, floatBits, op, V128 } from './assembler.ts';
import { MADD, NMADD } from './fused.ts';

/** Bits of a literal in a register: a bool is a mask, all ones where true. */
export function constantBits(value: number, dtype: DType): number {
  if (dtype === 'float32') return floatBits(value);
  return dtype === 'bool' ? (value !== 0 ? -1 : 0) : value | 0;
}

/** How elements of a width in bytes are loaded and stored: four in a row, one for all lanes, one for the first, one for another. */
interface ElementAccess {
  readonly width: number;
  readonly vector: number;
  readonly splat: number;
  readonly zero: number;
  readonly lane: number;
  readonly storeLane: number;
}

export const accessOf = (dtype: DType): ElementAccess =>
  widthOf(dtype) === 1
    ? {
        width: 1,
        vector: op.load32Zero,
        splat: op.load8Splat,
        zero: op.load8Splat,
        lane: op.load8Lane,
        storeLane: op.store8Lane,
      }
    : {
        width: 4,
        vector: op.load,
        splat: op.load32Splat,
        zero: op.load32Zero,
        lane: op.load32Lane,
        storeLane: op.store32Lane,
      };

type Kind = 'float' | 'signed' | 'unsigned' | 'mask';
export const kindOf = (dtype: DType): Kind =>
  dtype === 'float32' ? 'float' : computed(dtype) === 'int32' ? 'signed' : dtype === 'uint32' ? 'unsigned' : 'mask';

/** Instructions on [float, signed, unsigned, mask]; an empty list is the identity. */
type Row = readonly [readonly number[], readonly number[], readonly number[], readonly number[]];
const COLUMN: Record<Kind, 0 | 1 | 2 | 3> = { float: 0, signed: 1, unsigned: 2, mask: 3 };
const all = (...codes: number[]): Row => [codes, codes, codes, codes];
const row = (float: number, signed: number, unsigned: number, mask: number): Row => [
  [float],
  [signed],
  [unsigned],
  [mask],
];

/** Indexed by the kind of the arguments. Bools follow the numbers 0 and 1: their sum is `or`, their product `and`. */
const INSTRUCTIONS: Partial<Record<ScalarOp, Row>> = {
  neg: [[op.f32x4Neg], [op.i32x4Neg], [op.i32x4Neg], []],
  abs: [[op.f32x4Abs], [op.i32x4Abs], [], []],
  floor: [[op.f32x4Floor], [], [], []],
  ceil: [[op.f32x4Ceil], [], [], []],
  trunc: [[op.f32x4Trunc], [], [], []],
  round: [[op.f32x4Nearest], [], [], []],
  sqrt: [[op.f32x4Sqrt], [], [], []],
  not: all(op.not),
  add: row(op.f32x4Add, op.i32x4Add, op.i32x4Add, op.or),
  sub: row(op.f32x4Sub, op.i32x4Sub, op.i32x4Sub, op.xor),
  mul: row(op.f32x4Mul, op.i32x4Mul, op.i32x4Mul, op.and),
  max: row(op.f32x4Max, op.i32x4MaxS, op.i32x4MaxU, op.or),
  min: row(op.f32x4Min, op.i32x4MinS, op.i32x4MinU, op.and),
  eq: row(op.f32x4Eq, op.i32x4Eq, op.i32x4Eq, op.i32x4Eq),
  ne: row(op.f32x4Ne, op.i32x4Ne, op.i32x4Ne, op.i32x4Ne),
  lt: row(op.f32x4Lt, op.i32x4LtS, op.i32x4LtU, op.i32x4LtU),
  le: row(op.f32x4Le, op.i32x4LeS, op.i32x4LeU, op.i32x4LeU),
  and: all(op.and),
  or: all(op.or),
  xor: all(op.xor),
  [MADD]: all(op.f32x4RelaxedMadd),
  [NMADD]: all(op.f32x4RelaxedNmadd),
};

/** The instructions that combine two vectors of a kind by an op of the table. */
export const instructions = (name: ScalarOp, dtype: DType): readonly number[] =>
  INSTRUCTIONS[name]![COLUMN[kindOf(dtype)]];

/** How many instructions an op takes, roughly. */
export function weight(e: Expr): number {
  if (e.op === 'div' || e.op === 'sqrt') return e.dtype === 'float32' ? 3 : 12;
  if (e.op === 'loadAt') return 12;
  if (e.op === 'select') return 2;
  if ((e.op === 'shl' || e.op === 'shr') && e.args[1]!.op !== 'const') return 8;
  if (e.op === 'max' || e.op === 'min') return e.args.some((a) => a.op === 'const') ? 1 : 4;
  return e.args.length > 0 ? 1 : 0;
}

/** Emits one op on vectors; `push` puts the value of an argument on the stack and may be called more than once. */
export function emitOp(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void): void {
  const [x, y] = e.args as [Expr, Expr];
  switch (e.op) {
    case 'isnan':
      keep(f, x, push, (local) => {
        f.get(local, local);
        f.op(op.f32x4Ne);
      });
      return;
    case 'select':
      emitSelect(f, e, push);
      return;
    case 'cast':
      push(x);
      emitCast(f, x.dtype, e.dtype);
      return;
    case 'bitcast':
      push(x);
      if (x.dtype === 'bool') fromMask(f, 1);
      if (e.dtype === 'bool') toMask(f);
      return;
    case 'shl':
    case 'shr':
      emitShift(f, e, push);
      return;
    case 'div':
      if (e.dtype === 'float32') break;
      if (e.dtype === 'bool') {
        push(x);
        push(y);
        f.op(op.and);
      } else emitIntegerDivision(f, e, push);
      return;
    case 'max':
    case 'min':
      if (e.dtype !== 'float32' || (x.op === 'const') === (y.op === 'const')) break;
      emitClamp(f, e, push);
      return;
  }
  if (e.op === 'div') {
    push(x);
    push(y);
    f.op(op.f32x4Div);
    return;
  }
  if (!INSTRUCTIONS[e.op]) throw new Error(`the CPU backend has no instruction for ${e.op}`);
  for (const arg of e.args) push(arg);
  f.op(...instructions(e.op, x.dtype));
}

const isZero = (e: Expr): boolean => e.op === 'const' && constantBits(e.value, e.dtype) === 0;

/** Limits and zeros take one instruction, where a general selection takes three on x86. */
function emitSelect(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void): void {
  const [condition, yes, no] = e.args as [Expr, Expr, Expr];
  const [a, b] = condition.args;
  const limit = condition.op === 'lt' && a!.dtype === 'float32';
  const emit = (code: number, ...args: readonly Expr[]): void => {
    args.forEach(push);
    f.op(code);
  };
  if (limit && yes === b && no === a) emit(op.f32x4Pmax, no, yes);
  else if (limit && yes === a && no === b) emit(op.f32x4Pmin, no, yes);
  else if (isZero(yes)) emit(op.andNot, no, condition);
  else if (isZero(no)) emit(op.and, yes, condition);
  else emit(op.bitselect, yes, no, condition);
}

/** Puts a value in a local for as long as `use` runs. */
function keep(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void, use: (local: number) => void): void {
  const local = f.local(V128);
  push(e);
  f.set(local);
  use(local);
  f.release(local);
}

/**
 * `pmax(x, c)` is `x < c ? c : x`: one instruction where `max` takes eight on x86, and it too gives NaN for a NaN x if the
 * literal is its second operand. Adding 0 turns a -0, which survives the comparison with 0, into 0.
 */
function emitClamp(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void): void {
  const [x, y] = e.args as [Expr, Expr];
  const [value, literal] = x.op === 'const' ? [y, x] : [x, y];
  if (literal.value !== literal.value) {
    push(x);
    push(y);
    f.op(e.op === 'max' ? op.f32x4Max : op.f32x4Min);
    return;
  }
  push(value);
  push(literal);
  f.op(e.op === 'max' ? op.f32x4Pmax : op.f32x4Pmin);
  if (literal.value === 0) {
    f.splat(0);
    f.op(op.f32x4Add);
  }
}

/** Turns elements as they were loaded, on the stack, into a vector of values. */
export function fromStored(f: FunctionBuilder, dtype: DType): void {
  if (dtype === 'bool') toMask(f);
  else if (dtype === 'int8') f.op(op.i16x8ExtendLowS, op.i32x4ExtendLowS);
  else if (dtype === 'uint8') f.op(op.i16x8ExtendLowU, op.i32x4ExtendLowU);
}

/** The other way round. */
export function toStored(f: FunctionBuilder, dtype: DType): void {
  if (dtype === 'bool') fromMask(f, 1);
  else if (isByte(dtype))
    for (const narrow of [op.i16x8NarrowS, dtype === 'int8' ? op.i8x16NarrowS : op.i8x16NarrowU]) {
      f.splat(0);
      f.op(narrow);
    }
}

/** Turns stored numbers, on the stack, into masks. */
export function toMask(f: FunctionBuilder): void {
  f.splat(0);
  f.op(op.i32x4Ne);
}

/** Turns masks into stored numbers: the bits of `one` where true. */
export function fromMask(f: FunctionBuilder, one: number): void {
  f.splat(one);
  f.op(op.and);
}

function emitCast(f: FunctionBuilder, from: DType, to: DType): void {
  if (from === 'bool') fromMask(f, to === 'float32' ? floatBits(1) : 1);
  else if (to === 'bool') {
    f.splat(0);
    f.op(...instructions('ne', from));
  } else if (from === 'float32') f.op(to === 'int32' ? op.i32x4TruncF32x4S : op.i32x4TruncF32x4U);
  else if (to === 'float32') f.op(from === 'int32' ? op.f32x4ConvertS : op.f32x4ConvertU);
}

function emitShift(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void): void {
  const [x, y] = e.args as [Expr, Expr];
  const code = e.op === 'shl' ? op.i32x4Shl : e.dtype === 'uint32' ? op.i32x4ShrU : op.i32x4ShrS;
  if (y.op === 'const') {
    push(x);
    f.i32(y.value);
    f.op(code);
    return;
  }
  keep(f, x, push, (value) =>
    keep(f, y, push, (amount) => {
      f.get(value);
      for (let lane = 0; lane < 4; lane++) {
        f.get(value, amount);
        f.lane(op.i32x4Extract, lane);
        f.op(code);
        f.lane(op.i32x4Extract, lane);
        f.lane(op.i32x4Replace, lane);
      }
    }),
  );
}

/** Quotients of 32-bit integers are exact in float64; there is no integer division of vectors. */
function emitIntegerDivision(f: FunctionBuilder, e: Expr, push: (arg: Expr) => void): void {
  const signed = e.dtype === 'int32';
  const convert = signed ? op.f64x2ConvertLowS : op.f64x2ConvertLowU;
  const truncate = signed ? op.i32x4TruncF64x2S : op.i32x4TruncF64x2U;
  const [x, y] = e.args as [Expr, Expr];
  keep(f, x, push, (a) =>
    keep(f, y, push, (b) => {
      const half = (high: boolean): void => {
        for (const local of [a, b]) {
          f.get(local);
          if (high) {
            f.get(local);
            f.shuffle(2, 3, 2, 3);
          }
          f.op(convert);
        }
        f.op(op.f64x2Div, truncate);
      };
      if (signed) {
        // The one quotient that saturates: -2^31 / -1.
        f.get(a);
        f.op(op.i32x4Neg);
      }
      half(false);
      half(true);
      f.shuffle(0, 1, 4, 5);
      if (signed) {
        f.get(b);
        f.splat(-1);
        f.op(op.i32x4Eq, op.bitselect);
      }
      f.get(b);
      f.splat(0);
      f.op(op.i32x4Eq, op.andNot);
    }),
  );
}
