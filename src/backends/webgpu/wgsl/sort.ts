import pieces from '../../../../shaders/pieces.wgsl';
import blocksSkeleton from '../../../../shaders/sort_blocks.wgsl';
import mergeSkeleton from '../../../../shaders/sort_merge.wgsl';
import type { LoopKernel } from '../../../ir/kernel.ts';
import { block } from './axes.ts';
import { lineCount, lineLength } from './lines.ts';
import { Module, type Shader } from './module.ts';

/** Sorts keys in place; the outputs are the keys, and where in their lines they were. */
export function sortBlocksShader(kernel: LoopKernel): Shader {
  const module = new Module(kernel);
  const [keys, order] = kernel.outputs;
  module.param('lines', lineCount);
  module.param('length', lineLength);
  const generated = [
    block('fn keyAt(position: u32) -> u32', [`return ${module.load(keys!, 'position')};`]),
    block('fn indexAt(position: u32) -> u32', [`return u32(${module.load(order!, 'position')});`]),
    block('fn store(position: u32, key: u32, index: u32)', [
      module.store(keys!, 'position', 'key'),
      module.store(order!, 'position', 'i32(index)'),
    ]),
  ];
  return module.finish(`${pieces}\n${blocksSkeleton}\n${generated.join('\n\n')}`);
}

/** From keys and where they were, the inputs, to the same, the outputs. */
export function sortMergeShader(kernel: LoopKernel): Shader {
  const module = new Module(kernel);
  const [keys, order] = kernel.inputs;
  module.param('lines', lineCount);
  module.param('length', lineLength);
  const generated = [
    block('fn runWidth() -> u32', [`return ${module.scalar(0)};`]),
    block('fn keyAt(position: u32) -> u32', [`return ${module.load(keys!, 'position')};`]),
    block('fn relocate(position: u32, place: u32)', [
      module.store(kernel.outputs[0]!, 'place', module.load(keys!, 'position')),
      module.store(kernel.outputs[1]!, 'place', module.load(order!, 'position')),
    ]),
  ];
  return module.finish(`${pieces}\n${mergeSkeleton}\n${generated.join('\n\n')}`);
}
