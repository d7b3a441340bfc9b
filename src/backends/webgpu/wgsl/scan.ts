import skeleton from '../../../../shaders/scan.wgsl';
import type { ScanKernel } from '../../../ir/kernel.ts';
import { block } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Lines, lineCount, lineLength } from './lines.ts';
import { Module, type Shader, VALUE } from './module.ts';

/** The last three scalars and the last binding are those of `scanParts`. */
export function scanShader(kernel: ScanKernel): Shader {
  const module = new Module(kernel, new Set(), [kernel.bindings - 1]);
  const lines = new Lines(module, kernel.space.length - 1);
  const dtypes = kernel.inputs.map((input) => input.dtype);
  const parts = dtypes.length;
  const [output] = kernel.outputs;
  module.param('lines', lineCount);
  const length = module.param('length', lineLength);
  const scalar = (fromEnd: number): string => module.scalar(kernel.scalars.length - fromEnd);

  const column = kernel.reverse ? 'column' : 'k';
  const place = kernel.reverse ? [`let column = ${length} - 1u - k;`] : [];
  const join = new Emitter(module, {
    load: () => '0f',
    index: () => '0i',
    position: () => '0i',
    result: (i) => (i < parts ? `a.p${i}` : `b.p${i - parts}`),
  });
  const joined = kernel.combine.map((e) => join.value(e));
  const emit = lines.emitter(column, (i) => `tuple.p${i}`);
  const value = emit.value(output.expr);
  const totals = dtypes.map((dtype) => ({ dtype, binding: kernel.bindings - 1 }));
  const total = (i: number): string => `span * ${parts}u + ${i}u`;
  const generated = [
    `struct Tuple {\n${dtypes.map((dtype, i) => `  p${i}: ${VALUE[dtype]},`).join('\n')}\n}`,
    block('fn spans() -> u32', [`return ${scalar(3)};`]),
    block('fn spanLength() -> u32', [`return ${scalar(2)};`]),
    block('fn onlyTotals() -> bool', [`return ${scalar(1)};`]),
    block('fn combine(a: Tuple, b: Tuple) -> Tuple', [...join.lines, `return Tuple(${joined.join(', ')});`]),
    block('fn elementAt(line: Line, k: u32) -> Tuple', [
      ...place,
      `return Tuple(${dtypes.map((_, i) => lines.load(i, column)).join(', ')});`,
    ]),
    block('fn storeElement(line: Line, k: u32, tuple: Tuple)', [
      ...place,
      ...emit.lines,
      module.store(output, `line.index * ${length} + ${column}`, value),
    ]),
    block('fn totalAt(span: u32) -> Tuple', [
      `return Tuple(${totals.map((t, i) => module.load(t, total(i))).join(', ')});`,
    ]),
    block('fn storeTotal(span: u32, tuple: Tuple)', [
      ...totals.map((t, i) => module.store(t, total(i), `tuple.p${i}`)),
    ]),
  ];
  return module.finish(`${skeleton}\n${[...lines.declared(), ...generated].join('\n\n')}`);
}
