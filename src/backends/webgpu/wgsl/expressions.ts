import { computed, type DType } from '../../../core/dtype.ts';
import { halfRound } from '../../../core/float16.ts';
import { constant, type Expr, type FunctionOp, uniform } from '../../../ir/expr.ts';
import { functionFormula } from '../../../ir/functions.ts';
import { type Module, VALUE } from './module.ts';

/** Where an expression is evaluated: how its leaves read the kernel's surroundings, as WGSL text. */
export interface Site {
  /** A direct input's element. */
  load(input: number): string;
  index(dim: number): string;
  position(): string;
  result(reduction: number): string;
}

const NOWHERE: Site = {
  load: () => '0f',
  index: () => '0i',
  position: () => '0i',
  result: () => '0f',
};

const ZERO: Record<DType, string> = {
  float32: '0f',
  float16: '0h',
  int32: '0i',
  uint32: '0u',
  int8: '0i',
  uint8: '0i',
  bool: 'false',
};

/** WGSL statements for expressions: one `let` for each distinct value. */
export class Emitter {
  readonly lines: string[] = [];
  private readonly values = new Map<Expr, string>();
  private readonly names = new Map<string, string>();

  constructor(
    readonly module: Module,
    readonly site: Site = NOWHERE,
  ) {}

  /** A name for the value of WGSL text without side effects. */
  let(text: string): string {
    let name = this.names.get(text);
    if (name === undefined) {
      name = `v${this.names.size}`;
      this.names.set(text, name);
      this.lines.push(`let ${name} = ${text};`);
    }
    return name;
  }

  bind(e: Expr, name: string): void {
    this.values.set(e, name);
  }

  value(e: Expr): string {
    let text = this.values.get(e);
    if (text === undefined) {
      text = this.build(e);
      this.values.set(e, text);
    }
    return text;
  }

  private build(e: Expr): string {
    const { module, site } = this;
    switch (e.op) {
      case 'const':
        return this.literal(e);
      case 'uniform':
        return module.scalar(e.value);
      case 'load':
        return this.let(site.load(e.value));
      case 'loadAt': {
        const at = e.args.map((a) => this.value(a));
        defineLoadAt(module, e.value);
        return this.let(`load${e.value}(${at.join(', ')})`);
      }
      case 'index':
        return this.let(site.index(e.value));
      case 'position':
        return this.let(site.position());
      case 'result':
        return site.result(e.value);
      default: {
        const args = e.args.map((a) => this.value(a));
        // An operation on literals alone is a const-expression, which must not overflow or divide by zero.
        if (e.args.every((a) => a.op === 'const')) args[0] = this.let(args[0]!);
        return this.let(operation(module, e, args));
      }
    }
  }

  private literal({ dtype, value }: Expr): string {
    if (dtype === 'bool') return String(value !== 0);
    if (dtype === 'uint32') return `${value >>> 0}u`;
    if (computed(dtype) === 'int32') return (value | 0) < 0 ? `i32(${value | 0})` : `${value | 0}i`;
    if (dtype === 'float16') return `f16(${this.literal(constant(halfRound(value)))})`;
    const x = Math.fround(value);
    // The bits come from memory: WGSL has no such literals, and a compiler that sees them may assume they do not occur.
    if (!Number.isFinite(x)) {
      const bits = this.module.param('infinity', () => 0x7f800000);
      return this.let(`bitcast<f32>(${bits}${x !== x ? ' | 0x400000u' : x < 0 ? ' | 0x80000000u' : ''})`);
    }
    if (Object.is(x, -0)) return 'bitcast<f32>(0x80000000u)';
    return x < 0 ? `(${x}f)` : `${x}f`;
  }
}

function defineLoadAt(module: Module, i: number): void {
  module.define(`load${i}`, () => {
    const input = module.kernel.inputs[i]!;
    if (input.access.mode !== 'indirect') throw new Error('loadAt of a direct input');
    const dims = input.access.shape.map((_, d) => d);
    const param = (name: string, d: number): string =>
      module.param(`in${i}_${name}${d}`, (k) => {
        const access = k.inputs[i]!.access;
        return access.mode === 'direct' ? 0 : (name === 'size' ? access.shape : access.strides)[d]!;
      });
    const inside = dims.map((d) => `(u32(c${d}) < ${param('size', d)})`).join(' & ') || 'true';
    const offset = module.param(`in${i}_offset`, (k) => k.inputs[i]!.access.offset);
    const address = [offset, ...dims.map((d) => `u32(c${d}) * ${param('stride', d)}`)].join(' + ');
    const { check } = input.access;
    const report = check === null ? '' : `\n  if (!inside) { ${module.report(check)} }`;
    return `fn load${i}(${dims.map((d) => `c${d}: i32`).join(', ')}) -> ${VALUE[input.dtype]} {
  let inside = ${inside};${report}
  return select(${ZERO[input.dtype]}, ${module.load(input, `select(0u, ${address}, inside)`)}, inside);
}`;
  });
}

/** Helpers whose text is short enough to stand here. NaN is told by its bits: compilers may assume that there is none. */
const HELPERS: Record<string, string> = {
  is_nan: 'fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }',
  max_f32:
    'fn max_f32(x: f32, y: f32) -> f32 { return select(max(x, y), select(x, y, is_nan(y)), is_nan(x) | is_nan(y)); }',
  min_f32:
    'fn min_f32(x: f32, y: f32) -> f32 { return select(min(x, y), select(x, y, is_nan(y)), is_nan(x) | is_nan(y)); }',
  div_i32: 'fn div_i32(x: i32, y: i32) -> i32 { return select(x / select(y, 1i, y == 0i), 0i, y == 0i); }',
  div_u32: 'fn div_u32(x: u32, y: u32) -> u32 { return select(x / max(y, 1u), 0u, y == 0u); }',
  to_i32: `fn to_i32(x: f32) -> i32 {
  let low = select(i32(x), i32(-2147483648), x <= -2147483648f);
  return select(select(low, 2147483647i, x >= 2147483648f), 0i, is_nan(x));
}`,
  to_u32: `fn to_u32(x: f32) -> u32 {
  let low = select(u32(x), 0u, x <= 0f);
  return select(select(low, 4294967295u, x >= 4294967296f), 0u, is_nan(x));
}`,
  to_bool: 'fn to_bool(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) != 0u; }',
};

/** A computed float16 as float32. Through bits that compilers do not know: they may drop a conversion there and back. */
function rounded(module: Module, x: string): string {
  const zero = module.param('zero', () => 0);
  module.define(
    'rounded',
    () => `fn rounded(x: f16) -> f32 { return f32(bitcast<vec2<f16>>(bitcast<u32>(vec2<f16>(x, 0h)) ^ ${zero}).x); }`,
  );
  return `rounded(${x})`;
}

function call(module: Module, name: string, ...args: string[]): string {
  module.define(name, () => HELPERS[name]!);
  if (/is_nan\(/.test(HELPERS[name]!)) module.define('is_nan', () => HELPERS.is_nan!);
  return `${name}(${args.join(', ')})`;
}

/** The text that is true for a NaN. */
export const nanTest = (module: Module, x: string): string => call(module, 'is_nan', x);

/** Larger or smaller of two values, as all expressions and reductions mean it. */
export function extremum(module: Module, op: 'max' | 'min', dtype: DType, x: string, y: string): string {
  if (dtype === 'float32') return call(module, `${op}_f32`, x, y);
  if (dtype === 'bool') return `${x} ${op === 'max' ? '|' : '&'} ${y}`;
  return `${op}(${x}, ${y})`;
}

const BOOL: Partial<Record<Expr['op'], string>> = { add: '|', sub: '!=', mul: '&', div: '&', xor: '!=' };
const INFIX: Partial<Record<Expr['op'], string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  and: '&',
  or: '|',
  xor: '^',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
};

function operation(module: Module, e: Expr, [x = '', y = '', z = '']: string[]): string {
  const dtype = e.args[0]!.dtype;
  const float = dtype === 'float32';
  const bool = dtype === 'bool';
  switch (e.op) {
    case 'neg':
      return bool ? x : dtype === 'uint32' ? `0u - ${x}` : `-${x}`;
    case 'not':
      return bool ? `!${x}` : `~${x}`;
    case 'abs':
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
    case 'sqrt':
      return float || (e.op === 'abs' && dtype === 'int32') ? `${e.op}(${x})` : x;
    case 'cast':
      if (dtype === 'float16' && !/^load/.test(e.args[0]!.op)) return rounded(module, x);
      if (float && e.dtype !== 'float16') return call(module, `to_${VALUE[e.dtype]}`, x);
      return `${VALUE[e.dtype]}(${x})`;
    case 'bitcast': {
      const word = bool ? `u32(${x})` : x;
      return e.dtype === 'bool' ? `bitcast<u32>(${word}) != 0u` : `bitcast<${VALUE[e.dtype]}>(${word})`;
    }
    case 'max':
    case 'min':
      return extremum(module, e.op, dtype, x, y);
    case 'select':
      return `select(${z}, ${y}, ${x})`;
    case 'isnan':
      return float ? call(module, 'is_nan', x) : 'false';
    case 'shl':
    case 'shr':
      return `${x} ${e.op === 'shl' ? '<<' : '>>'} u32(${y})`;
    case 'div':
      if (float || bool) break;
      return call(module, `div_${VALUE[dtype]}`, x, y);
    case 'ne':
      // Not the operator: it may be compiled to the ordered comparison, which is false for NaN.
      if (float) return `!(${x} == ${y}) | ${call(module, 'is_nan', x)} | ${call(module, 'is_nan', y)}`;
      break;
    case 'lt':
    case 'le':
      if (bool) return e.op === 'lt' ? `!${x} & ${y}` : `!${x} | ${y}`;
      break;
    default:
  }
  const infix = (bool ? BOOL[e.op] : undefined) ?? INFIX[e.op];
  if (infix) return `${x} ${infix} ${y}`;
  const name = `${e.op}_f32`;
  defineFunction(module, name, e.op as FunctionOp, e.args.length);
  return `${name}(${e.args.length === 1 ? x : `${x}, ${y}`})`;
}

/** The builtins are too inaccurate somewhere (sin and cos on SwiftShader, log near 1, tanh of large numbers): use the formula. */
function defineFunction(module: Module, name: string, op: FunctionOp, arity: number): void {
  module.define(name, () => {
    const args = ['x', 'y'].slice(0, arity);
    const leaves = args.map((_, i) => uniform(i, 'float32'));
    const body = new Emitter(module);
    for (const [i, leaf] of leaves.entries()) body.bind(leaf, args[i]!);
    const out = body.value(functionFormula(op)(leaves));
    const lines = [...body.lines, `return ${out};`].map((line) => `  ${line}`);
    return `fn ${name}(${args.map((a) => `${a}: f32`).join(', ')}) -> f32 {\n${lines.join('\n')}\n}`;
  });
}
