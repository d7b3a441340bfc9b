import skeleton from '../../../../shaders/map.wgsl';
import { sizeOf } from '../../../core/shape.ts';
import type { LoopKernel } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, strided } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Module, type Shader } from './module.ts';

export function mapShader(kernel: LoopKernel): Shader {
  const module = new Module(kernel);
  const rank = kernel.space.length;
  module.param('points', (k) => sizeOf(k.space));
  const address = (of: Operand): string => {
    if (of.pattern === 'scalar') return of.offset();
    if (of.pattern === 'contiguous') return `${of.offset()} + position`;
    return strided(of, of.offset(), at, 0, rank);
  };
  const emit: Emitter = new Emitter(module, {
    address: (i) => emit.let(address(inputOperand(module, i))),
    index: (dim) => `i32(${at(dim)})`,
    position: () => 'i32(position)',
    result: () => '0f',
  });
  const at = coordinates(emit, 'position', 0, rank);
  // All values before any store: an output may overwrite what another one reads at this point.
  const values = kernel.outputs.map((output) => emit.value(output.expr));
  const stores = kernel.outputs.map((output, i) => module.store(output, emit.let(address(outputOperand(module, i))), values[i]!));
  module.define('compute', () => block('fn compute(position: u32)', [...emit.lines, ...stores]));
  return module.finish(skeleton);
}
