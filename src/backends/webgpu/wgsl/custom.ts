import skeleton from '../../../../shaders/map.wgsl';
import { type Shape, sizeOf } from '../../../core/shape.ts';
import type { CustomKernel, Input, Kernel } from '../../../ir/kernel.ts';
import { block } from './axes.ts';
import { everyStep } from './map.ts';
import { Module, type Shader, VALUE } from './module.ts';

const shapeOf = (input: Input | undefined): Shape => (input?.access.mode === 'indirect' ? input.access.shape : []);

/** The user's `element(i)`, with the functions that it may call: `input0(i)`, `shape0(dim)` and so on, and `output_shape(dim)`. */
export function customShader(kernel: CustomKernel): Shader {
  const module = new Module(kernel);
  module.param('steps', (k) => sizeOf(k.space));
  const sizes = (name: string, rank: number, shape: (k: Kernel) => Shape): void =>
    module.define(name, () => {
      const cases = Array.from(
        { length: rank },
        (_, d) => `if (dim == ${d}u) { return ${module.param(`${name}_${d}`, (k) => shape(k)[d] ?? 1)}; }`,
      );
      return block(`fn ${name}(dim: u32) -> u32`, [...cases, 'return 1u;']);
    });
  kernel.inputs.forEach((input, i) => {
    const offset = module.param(`offset${i}`, (k) => k.inputs[i]?.access.offset ?? 0);
    module.define(`input${i}`, () =>
      block(`fn input${i}(i: u32) -> ${VALUE[input.dtype]}`, [`return ${module.load(input, `${offset} + i`)};`]),
    );
    sizes(`shape${i}`, shapeOf(input).length, (k) => shapeOf(k.inputs[i]));
  });
  sizes('output_shape', kernel.space.length, (k) => k.space);
  const compute = everyStep('i', [module.store(kernel.outputs[0], 'i', 'element(i)')]);
  return module.finish(`${skeleton}\n${compute}\n\n${kernel.source.wgsl}`);
}
