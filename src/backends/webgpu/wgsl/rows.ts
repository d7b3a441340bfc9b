import joinSubgroups from '../../../../shaders/join_subgroups.wgsl';
import joinWorkgroup from '../../../../shaders/join_workgroup.wgsl';
import passSkeleton from '../../../../shaders/reduce_pass.wgsl';
import skeleton from '../../../../shaders/rows.wgsl';
import { integerRange } from '../../../core/dtype.ts';
import { sizeOf } from '../../../core/shape.ts';
import { constant, type Expr, load, rewrite, walk } from '../../../ir/expr.ts';
import { isFunction } from '../../../ir/functions.ts';
import { type Input, isLoop, type Kernel, type LoopKernel, type Reduction } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, strided } from './axes.ts';
import { Emitter, extremum } from './expressions.ts';
import { Module, type Shader, VALUE } from './module.ts';

/** A reduction, and its place among the results of the row. */
type Member = Reduction & { readonly result: number };

export const rowCount = (k: Kernel): number => sizeOf(isLoop(k) ? k.space.slice(0, k.space.length - k.inner) : []);
export const rowLength = (k: Kernel): number => sizeOf(isLoop(k) ? k.space.slice(k.space.length - k.inner) : []);

/** Reductions in as few passes over the row as their use of earlier results allows. */
export function passes(kernel: LoopKernel): Member[][] {
  const out: Member[][] = [];
  const passOf: number[] = [];
  for (const [result, reduction] of kernel.reductions.entries()) {
    let pass = 0;
    walk([reduction.expr], (e) => {
      if (e.op === 'result') pass = Math.max(pass, passOf[e.value]! + 1);
    });
    passOf.push(pass);
    const members = out[pass] ?? [];
    out[pass] = members;
    members.push({ ...reduction, result });
  }
  return out;
}

export function identity({ op, expr: { dtype } }: Reduction): Expr {
  if (op === 'sum' || op === 'prod') return constant(op === 'sum' ? 0 : 1, dtype);
  const [least, greatest] = integerRange(dtype) ?? (dtype === 'bool' ? [0, 1] : [-Infinity, Infinity]);
  return constant(op === 'max' ? least : greatest, dtype);
}

/** The text of a reduction's next value. */
export function combine(module: Module, { op, expr: { dtype } }: Reduction, a: string, b: string): string {
  if (op === 'max' || op === 'min') return extremum(module, op, dtype, a, b);
  if (dtype === 'bool') return `${a} ${op === 'sum' ? '|' : '&'} ${b}`;
  return `${a} ${op === 'sum' ? '+' : '*'} ${b}`;
}

/** What a pass over the row computes with functions and an output uses again: by the output, the term of a reduction. */
function sharedTerms({ reductions, outputs }: LoopKernel): Map<number, Expr> {
  const found = new Map<number, Expr>();
  for (const [i, output] of outputs.entries())
    walk([output.expr], (e) => {
      const term = reductions.some((r) => r.expr === e) && e.dtype === 'float32' && output.dtype === 'float32';
      if (output.level === 'element' && term && costs(e)) found.set(i, e);
    });
  return found;
}

function costs(term: Expr): boolean {
  let function_ = false;
  walk([term], (e) => {
    function_ ||= isFunction(e.op);
  });
  return function_;
}

/** Inputs that are the same for a whole row, and stay what they are while it is computed. They are read once; shaders differ by them. */
export function rowInputs({ space, inner, inputs, outputs }: LoopKernel): Set<number> {
  const same = ({ access, binding }: Input): boolean =>
    access.mode === 'direct' &&
    access.strides.slice(space.length - inner).every((s) => s === 0) &&
    outputs.every((o) => o.binding !== binding);
  return new Set([...inputs.keys()].filter((i) => same(inputs[i]!)));
}

function shuffle(pass: number, reductions: readonly Member[]): string {
  const handed = reductions.map(({ result, expr: { dtype } }) =>
    dtype === 'bool'
      ? `subgroupShuffleXor(u32(partial.r${result}), mask) != 0u`
      : `subgroupShuffleXor(partial.r${result}, mask)`,
  );
  const type = `Partial_${pass}`;
  return block(`fn shuffle_${pass}(partial: ${type}, mask: u32) -> ${type}`, [`return ${type}(${handed.join(', ')});`]);
}

/** How a row program is to be made. */
interface RowsOptions {
  /** Terms of a reduction that are needed again wait where the output goes, and are not computed twice. */
  readonly keeps: boolean;
  /** Neighbouring lanes of a row are threads of one subgroup, in spans of SPAN, and hand their partial results to each other. */
  readonly subgroups: boolean;
}

const body = (snippet: string, from: string, pass: number): string =>
  snippet.slice(snippet.indexOf(from)).replaceAll('_N', `_${pass}`);

export function rowsShader(whole: LoopKernel, options: RowsOptions): Shader {
  const kept = options.keeps ? sharedTerms(whole) : new Map<number, Expr>();
  const terms = [...kept];
  // Loads beyond the inputs read what an output holds meanwhile.
  const kernel: LoopKernel = {
    ...whole,
    outputs: whole.outputs.map((o, i) => {
      const term = terms.findIndex(([of]) => of === i);
      const [expr] = rewrite([o.expr], (e) =>
        term >= 0 && e === kept.get(i) ? load(whole.inputs.length + term, 'float32') : undefined,
      );
      return { ...o, expr: expr! };
    }),
  };
  const module = new Module(kernel);
  const rank = kernel.space.length;
  const outer = rank - kernel.inner;
  module.param('rows', rowCount);
  module.param('length', rowLength);

  // What a row knows before its elements are visited, filled by what the functions below ask for.
  const members = new Map<string, { type: string; value: string }>([['index', { type: 'u32', value: 'index' }]]);
  const entry: Emitter = new Emitter(module);
  const outerAt = coordinates(entry, 'index', 0, outer);
  const member = (name: string, value: () => string, type = 'u32'): string => {
    if (!members.has(name)) members.set(name, { type, value: value() });
    return `row.${name}`;
  };
  const base = (of: Operand, rowLevel: boolean): string => member(`${of.name}_base`, () => start(of, rowLevel));
  const start = (of: Operand, rowLevel: boolean): string =>
    of.pattern === 'contiguous'
      ? `${of.offset()} + index${rowLevel ? '' : ' * params.length'}`
      : strided(of, of.offset(), outerAt, 0, outer);
  const once = rowInputs(kernel);

  /** Emits for one element (`column`), or for the row as a whole (null). */
  const at = (column: string | null): { emit: Emitter; address: (of: Operand, rowLevel: boolean) => string } => {
    const address = (of: Operand, rowLevel: boolean): string => {
      if (of.pattern === 'scalar') return of.offset();
      if (column === null) return base(of, rowLevel);
      if (of.pattern === 'contiguous') return emit.let(`${base(of, rowLevel)} + ${column}`);
      return emit.let(strided(of, base(of, rowLevel), innerAt, outer, rank));
    };
    const emit: Emitter = new Emitter(module, {
      load: (i) => {
        const term = terms[i - kernel.inputs.length];
        if (term) return module.load(kernel.outputs[term[0]]!, address(outputOperand(module, term[0]), false));
        const [input, of] = [kernel.inputs[i]!, inputOperand(module, i)];
        if (!once.has(i)) return module.load(input, address(of, false));
        return member(`in${i}`, () => module.load(input, start(of, false)), VALUE[input.dtype]);
      },
      index: (dim) => {
        if (dim < outer) return `i32(${member(`at${dim}`, () => outerAt(dim))})`;
        return column === null ? '0i' : `i32(${innerAt(dim)})`;
      },
      position: () => `i32(row.index * params.length${column === null ? '' : ` + ${column}`})`,
      result: (i) => `row.result${i}`,
    });
    const innerAt = coordinates(emit, column ?? '0u', outer, rank);
    return { emit, address };
  };

  const sections: string[] = [];
  const steps: string[] = [];
  for (const [n, reductions] of passes(kernel).entries()) {
    const fields = reductions.map((r) => `  r${r.result}: ${VALUE[r.expr.dtype]},`);
    const construct = (values: string[]): string => `return Partial_${n}(${values.join(', ')});`;
    const { emit: value, address } = at('column');
    const values = reductions.map((r) => value.value(r.expr));
    const waiting = terms.flatMap(([i, term]) => {
      const r = reductions.findIndex((x) => x.expr === term);
      if (r < 0) return [];
      return module.store(kernel.outputs[i]!, address(outputOperand(module, i), false), values[r]!);
    });
    const start = new Emitter(module);
    const starts = reductions.map((r) => start.value(identity(r)));
    const combined = reductions.map((r) => combine(module, r, `a.r${r.result}`, `b.r${r.result}`));
    sections.push(
      body(passSkeleton, 'const CHUNK_N', n),
      ...(options.subgroups
        ? [body(joinSubgroups, 'var<workgroup>', n), shuffle(n, reductions)]
        : [body(joinWorkgroup, 'var<workgroup>', n)]),
      `struct Partial_${n} {\n${fields.join('\n')}\n}`,
      block(`fn identity_${n}() -> Partial_${n}`, [...start.lines, construct(starts)]),
      block(`fn value_${n}(row: Row, column: u32) -> Partial_${n}`, [...value.lines, ...waiting, construct(values)]),
      block(`fn combine_${n}(a: Partial_${n}, b: Partial_${n}) -> Partial_${n}`, [construct(combined)]),
    );
    steps.push(`let pass${n} = reduce_${n}(row, place);`);
    for (const r of reductions) {
      steps.push(`row.result${r.result} = pass${n}.r${r.result};`);
      members.set(`result${r.result}`, { type: VALUE[r.expr.dtype], value: `${VALUE[r.expr.dtype]}()` });
    }
  }

  const stores = (level: 'element' | 'row', column: string | null): string[] => {
    const { emit, address } = at(column);
    const chosen = [...kernel.outputs.entries()].filter(([, output]) => output.level === level);
    const values = chosen.map(([, output]) => emit.value(output.expr));
    const lines = chosen.map(([i, output], n) =>
      module.store(output, address(outputOperand(module, i), level === 'row'), values[n]!),
    );
    return [...emit.lines, ...lines];
  };
  const storeElement = block('fn storeElement(row: Row, column: u32)', stores('element', 'column'));
  const storeRow = block('fn storeRow(row: Row)', stores('row', null));

  const declared = [...members].map(([name, { type }]) => `  ${name}: ${type},`);
  const filled = [...members.values()].map(({ value }) => value).join(', ');
  const generated = [
    `struct Row {\n${declared.join('\n')}\n}`,
    block('fn enterRow(index: u32) -> Row', [...entry.lines, `return Row(${filled});`]),
    block('fn reduceRow(entered: Row, place: Place) -> Row', ['var row = entered;', ...steps, 'return row;']),
    ...sections,
    storeElement,
    storeRow,
  ];
  return module.finish(`${skeleton}\n${generated.join('\n\n')}`);
}
