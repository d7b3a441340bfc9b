import { computed, type DType, isByte } from '../core/dtype.ts';

/** Operations that read the kernel's surroundings. */
export type LeafOp =
  | 'const' // value: the literal
  | 'uniform' // value: slot in the kernel's scalars
  | 'load' // value: input, read at the current point of the iteration space
  | 'loadAt' // value: input, read at the coordinates in args (int32, one a dim of the input)
  | 'index' // value: dim of the iteration space; the coordinate there, int32
  | 'position' // the row-major linear index of the current point in the iteration space, int32
  | 'result'; // value: an earlier reduction of the row, or 0 for the product of a matmul

export type UnaryOp = 'neg' | 'abs' | 'floor' | 'ceil' | 'trunc' | 'round' | 'sqrt' | 'not' | 'cast' | 'bitcast';
export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div' // integers: towards zero, and 0 where the divisor is 0
  | 'max' // NaN if either is NaN
  | 'min'
  | 'eq'
  | 'ne'
  | 'lt'
  | 'le'
  | 'and' // bits of integers; logic of bools
  | 'or'
  | 'xor'
  | 'shl' // by 0 to 31
  | 'shr'; // arithmetic for int32, logical for uint32

/** Functions with one float32 formula for all backends (`functions.ts`); a backend may override with an intrinsic. */
export type FunctionOp =
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'log2'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'atan2'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'erf'
  | 'gated'
  | 'pow'
  | 'fmod'
  | 'isnan';

export type ScalarOp = LeafOp | UnaryOp | BinaryOp | 'select' | FunctionOp;

/**
 * A scalar expression: an immutable tree (or DAG) that every backend compiles. Values of float16 are loaded, moved (`select`) and
 * converted from and to float32, those of int8 and uint8 from and to int32, in their range; nothing else is computed with them.
 */
export interface Expr {
  readonly op: ScalarOp;
  readonly dtype: DType;
  readonly args: readonly Expr[];
  /** Literal, slot, input, dim or reduction of a leaf; 0 elsewhere. */
  readonly value: number;
}

const NONE: readonly Expr[] = [];
const leaf = (op: LeafOp, dtype: DType, value: number): Expr => ({ op, dtype, args: NONE, value });
const node = (op: ScalarOp, dtype: DType, ...args: Expr[]): Expr => ({ op, dtype, args, value: 0 });

/** An expression, or a literal that takes the dtype of its neighbour. */
export type Operand = Expr | number;

function pair(a: Operand, b: Operand): [Expr, Expr] {
  if (typeof a === 'number') {
    const y = b as Expr;
    return [constant(a, y.dtype), y];
  }
  return [a, typeof b === 'number' ? constant(b, a.dtype) : b];
}

type Infix = (a: Operand, b: Operand) => Expr;
type Prefix = (x: Expr) => Expr;

const arithmetic =
  (op: BinaryOp) =>
  (a: Operand, b: Operand): Expr => {
    const [x, y] = pair(a, b);
    return node(op, x.dtype, x, y);
  };
const comparison =
  (op: BinaryOp) =>
  (a: Operand, b: Operand): Expr => {
    const [x, y] = pair(a, b);
    return node(op, 'bool', x, y);
  };
const unary =
  (op: UnaryOp) =>
  (x: Expr): Expr =>
    node(op, x.dtype, x);
/** Functions are of float32 alone; anything else is a mistake in the op that builds the expression. */
const apply = (op: FunctionOp, dtype: DType, ...args: Expr[]): Expr => {
  const wrong = args.find((a) => a.dtype !== 'float32');
  if (wrong) throw new TypeError(`${op} of ${wrong.dtype}: there is only ${op} of float32; cast it first`);
  return node(op, dtype, ...args);
};
const float =
  (op: FunctionOp): Prefix =>
  (x) =>
    apply(op, 'float32', x);

/** A literal that is part of the kernel's structure. Numbers from users are uniforms instead. */
export const constant = (value: number, dtype: DType = 'float32'): Expr => leaf('const', dtype, value);
export const uniform = (slot: number, dtype: DType): Expr => leaf('uniform', dtype, slot);
export const load = (input: number, dtype: DType): Expr => leaf('load', dtype, input);
export const loadAt = (input: number, dtype: DType, coordinates: readonly Expr[]): Expr => ({
  op: 'loadAt',
  dtype,
  args: coordinates,
  value: input,
});
export const index = (dim: number): Expr => leaf('index', 'int32', dim);
export const position: Expr = leaf('position', 'int32', 0);
export const result = (reduction: number, dtype: DType): Expr => leaf('result', dtype, reduction);

export const add: Infix = arithmetic('add');
export const sub: Infix = arithmetic('sub');
export const mul: Infix = arithmetic('mul');
export const div: Infix = arithmetic('div');
export const max: Infix = arithmetic('max');
export const min: Infix = arithmetic('min');
export const and: Infix = arithmetic('and');
export const or: Infix = arithmetic('or');
export const xor: Infix = arithmetic('xor');
export const shl: Infix = arithmetic('shl');
export const shr: Infix = arithmetic('shr');
export const eq: Infix = comparison('eq');
export const ne: Infix = comparison('ne');
export const lt: Infix = comparison('lt');
export const le: Infix = comparison('le');
export const gt = (a: Operand, b: Operand): Expr => lt(b, a);
export const ge = (a: Operand, b: Operand): Expr => le(b, a);
export const neg: Prefix = unary('neg');
export const abs: Prefix = unary('abs');
export const floor: Prefix = unary('floor');
export const ceil: Prefix = unary('ceil');
export const trunc: Prefix = unary('trunc');
/** To the nearest integer, halves to even. */
export const round: Prefix = unary('round');
export const sqrt: Prefix = unary('sqrt');
/** Logical for bools, bitwise for integers. */
export const not: Prefix = unary('not');
export const exp: Prefix = float('exp');
export const expm1: Prefix = float('expm1');
export const log: Prefix = float('log');
export const log1p: Prefix = float('log1p');
export const log2: Prefix = float('log2');
export const sin: Prefix = float('sin');
export const cos: Prefix = float('cos');
export const tan: Prefix = float('tan');
export const asin: Prefix = float('asin');
export const acos: Prefix = float('acos');
export const atan: Prefix = float('atan');
export const sinh: Prefix = float('sinh');
export const cosh: Prefix = float('cosh');
export const tanh: Prefix = float('tanh');
export const erf: Prefix = float('erf');
/** x / (1 + e^-z), the share of x that passes a gate of sigmoid(z); z may be NaN only where x is. */
export const gated = (x: Operand, z: Operand): Expr => apply('gated', 'float32', ...pair(x, z));
export const atan2 = (y: Operand, x: Operand): Expr => apply('atan2', 'float32', ...pair(y, x));
export const pow = (x: Operand, y: Operand): Expr => apply('pow', 'float32', ...pair(x, y));
/** C's fmod: exact remainder with the sign of the dividend; floats only. */
export const fmod = (x: Operand, y: Operand): Expr => apply('fmod', 'float32', ...pair(x, y));
export const isnan = (x: Expr): Expr => apply('isnan', 'bool', x);
export const select = (condition: Expr, yes: Operand, no: Operand): Expr => {
  const [x, y] = pair(yes, no);
  return node('select', x.dtype, condition, x, y);
};
/**
 * Converts the value: floats truncate to integers (saturating, NaN to 0), anything non-zero is true. float16 by way of float32, int8
 * and uint8 by way of int32, of which they keep the last eight bits.
 */
export const cast = (x: Expr, dtype: DType): Expr => {
  if (x.dtype === dtype) return x;
  const to = computed(dtype);
  if (to !== dtype) return node('cast', dtype, isByte(dtype) ? lastByte(cast(x, to), dtype) : cast(x, to));
  const from = wide(x);
  return from.dtype === dtype ? from : node('cast', dtype, from);
};
const lastByte = (x: Expr, dtype: DType): Expr => (dtype === 'uint8' ? and(x, 255) : shr(shl(x, 24), 24));
/** A value as ops compute with it. */
export const wide = (x: Expr): Expr => (x.dtype === computed(x.dtype) ? x : node('cast', computed(x.dtype), x));
/** Reinterprets the bits of a 32-bit number. */
export const bitcast = (x: Expr, dtype: DType): Expr => (x.dtype === dtype ? x : node('bitcast', dtype, x));

/** Rewrites an expression from the leaves up, visiting shared parts once. Return undefined to keep a node. */
export function rewrite(
  roots: readonly Expr[],
  visit: (leaf: Expr, args: readonly Expr[]) => Expr | undefined,
): Expr[] {
  const done = new Map<Expr, Expr>();
  const go = (e: Expr): Expr => {
    const known = done.get(e);
    if (known) return known;
    const args = e.args.length === 0 ? e.args : e.args.map(go);
    let out = visit(e, args);
    if (!out) out = args.every((a, i) => a === e.args[i]) ? e : { ...e, args };
    done.set(e, out);
    return out;
  };
  return roots.map(go);
}

/** Calls `visit` once for every distinct node, arguments first. */
export function walk(roots: readonly Expr[], visit: (e: Expr) => void): void {
  const seen = new Set<Expr>();
  const go = (e: Expr): void => {
    if (seen.has(e)) return;
    seen.add(e);
    for (const a of e.args) go(a);
    visit(e);
  };
  for (const r of roots) go(r);
}

const literal = (v: number): string => (Object.is(v, -0) ? '-0' : String(v));

/** A canonical text of the expressions: one entry for each distinct node, so it is linear in the size of the DAG. */
export function exprKey(roots: readonly Expr[]): string {
  const ids = new Map<Expr, number>();
  const byText = new Map<string, number>();
  const lines: string[] = [];
  walk(roots, (e) => {
    const text = `${e.op} ${e.dtype} ${literal(e.value)} ${e.args.map((a) => ids.get(a)).join(',')}`;
    let id = byText.get(text);
    if (id === undefined) {
      id = lines.length;
      byText.set(text, id);
      lines.push(text);
    }
    ids.set(e, id);
  });
  return `${lines.join(';')}>${roots.map((r) => ids.get(r)).join(',')}`;
}

const INFIX: Partial<Record<ScalarOp, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr: '>>',
};

/** A readable form for `explain` and error messages; long expressions are cut. */
export function showExpr(e: Expr, budget = 160): string {
  let left = budget;
  const go = (x: Expr): string => {
    if (left <= 0) return '…';
    left -= 3;
    const infix = INFIX[x.op];
    if (infix) return `(${go(x.args[0]!)} ${infix} ${go(x.args[1]!)})`;
    switch (x.op) {
      case 'const':
        return literal(x.value);
      case 'uniform':
        return `u${x.value}`;
      case 'load':
        return `in${x.value}`;
      case 'loadAt':
        return `in${x.value}[${x.args.map(go).join(', ')}]`;
      case 'index':
        return `i${x.value}`;
      case 'result':
        return `r${x.value}`;
      case 'position':
        return 'position';
      case 'cast':
      case 'bitcast':
        return `${x.op}<${x.dtype}>(${go(x.args[0]!)})`;
      default:
        return `${x.op}(${x.args.map(go).join(', ')})`;
    }
  };
  return go(e);
}
