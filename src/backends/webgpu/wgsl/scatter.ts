import pieces from '../../../../shaders/pieces.wgsl';
import skeleton from '../../../../shaders/scatter.wgsl';
import { result } from '../../../ir/expr.ts';
import type { ScatterKernel } from '../../../ir/kernel.ts';
import { block } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Lines, lineCount, lineLength } from './lines.ts';
import { Module, type Shader, VALUE } from './module.ts';
import { combine, identity } from './rows.ts';

/** `sorted`: input 0 is what the places were, in ascending order, and the last input says where in the line they were. */
export function scatterShader(kernel: ScatterKernel, sorted: boolean): Shader {
  const module = new Module(kernel);
  const lines = new Lines(module, kernel.space.length - 1);
  const [output] = kernel.outputs;
  const { dtype } = kernel.inputs[1]!;
  const type = VALUE[dtype];
  module.param('lines', lineCount);
  module.param('length', lineLength);
  const targets = module.param('targets', (k) => (k.kind === 'scatter' ? k.targets : 0));

  const { reduce } = kernel;
  const reduction = reduce === 'last' ? null : { op: reduce, expr: result(0, dtype) };
  const start = new Emitter(module);
  const first = reduction ? start.value(identity(reduction)) : `${type}()`;
  const emit = lines.emitter('place', (i) => (i === 0 ? 'total' : 'hit'));
  const value = emit.value(output.expr);
  const order = sorted ? [`let element = u32(${lines.load(kernel.inputs.length - 1, 'at')});`] : [];
  const generated = [
    `const SORTED = ${sorted};\nalias Element = ${type};`,
    block('fn keyAt(line: Line, at: u32) -> u32', [`return bitcast<u32>(${lines.load(0, 'at')});`]),
    block('fn elementAt(line: Line, at: u32) -> Element', [
      ...order,
      `return ${lines.load(1, sorted ? 'element' : 'at')};`,
    ]),
    block('fn identity() -> Element', [...start.lines, `return ${first};`]),
    block('fn fold(a: Element, b: Element) -> Element', [
      `return ${reduction ? combine(module, reduction, 'a', 'b') : 'b'};`,
    ]),
    block('fn storeTarget(line: Line, place: u32, total: Element, hit: bool)', [
      ...emit.lines,
      module.store(output, `line.index * ${targets} + place`, value),
    ]),
    block('fn report()', kernel.check === null ? [] : [module.report(kernel.check)]),
  ];
  return module.finish(`${pieces}\n${skeleton}\n${[...lines.declared(), ...generated].join('\n\n')}`);
}
