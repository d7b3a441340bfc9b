import skeleton from '../../../../shaders/map.wgsl';
import { isByte } from '../../../core/dtype.ts';
import { sizeOf } from '../../../core/shape.ts';
import { type Kernel, type LoopKernel, strideClass } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, pointAddress } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Module, type Shader } from './module.ts';

const LANES = ['x', 'y', 'z', 'w'];

/**
 * Bindings that can be read and written four elements at once: contiguous, of words, from an offset of whole vectors. None where an
 * output is not of that kind, or an index check would fail for points after the last.
 */
export function vectorBindings(kernel: LoopKernel): Set<number> {
  const views = [
    ...kernel.inputs.map(({ access, dtype, binding }) => ({
      view: access.mode === 'direct' && !isByte(dtype) ? access : undefined,
      binding,
    })),
    ...kernel.outputs.map((output) => ({ view: isByte(output.dtype) ? undefined : output, binding: output.binding })),
  ];
  const vectors = new Set(views.map(({ binding }) => binding));
  for (const { view, binding } of views)
    if (!view || view.offset % 4 !== 0 || strideClass(kernel.space, view.strides) !== 'contiguous')
      vectors.delete(binding);
  const checked = kernel.inputs.some(({ access }) => access.mode === 'indirect' && access.check !== null);
  return !checked && kernel.outputs.every((output) => vectors.has(output.binding)) ? vectors : new Set();
}

/** What one step of the map visits: a point, or a vector of four. */
export const mapSteps = (kernel: Kernel, vectors: ReadonlySet<number>): number =>
  Math.ceil(sizeOf(kernel.space) / (vectors.size > 0 ? 4 : 1));

/** The steps of a thread. What is read from `params` in the loop, a software adapter reads every time. */
export const everyStep = (step: string, body: readonly string[], before: readonly string[] = []): string =>
  block('fn compute(first: u32, end: u32)', [
    ...before,
    `for (var ${step} = first; ${step} < end; ${step} += THREADS) {`,
    ...body.map((line) => `  ${line}`),
    '}',
  ]);

/** Whether the last vector, too, is full: then every store is of a vector, with no branch, which a software adapter pays for by lane. */
export const fills = (kernel: Kernel): boolean => sizeOf(kernel.space) % 4 === 0;

/** Depends on `fills`, too, where there are vectors. */
export function mapShader(kernel: LoopKernel, vectors: ReadonlySet<number>): Shader {
  const module = new Module(kernel, vectors);
  const rank = kernel.space.length;
  const wide = vectors.size > 0;
  module.param('steps', (k) => mapSteps(k, vectors));
  const address = (of: Operand): string => pointAddress(of, 'position', at, rank);
  // Inputs whose words `compute` has loaded already.
  const given = new Set<number>();
  const emit: Emitter = new Emitter(module, {
    load: (i) => {
      const input = kernel.inputs[i]!;
      if (!vectors.has(input.binding)) return module.load(input, emit.let(address(inputOperand(module, i))));
      given.add(i);
      return module.read(input, `in${i}`);
    },
    index: (dim) => `i32(${at(dim)})`,
    position: () => 'i32(position)',
    result: () => '0f',
  });
  const at = coordinates(emit, 'position', 0, rank);
  // All values before any store: an output may overwrite what another one reads at this point.
  const values = kernel.outputs.map((output) => emit.value(output.expr));

  if (!wide) {
    const stores = kernel.outputs.map((output, i) =>
      module.store(output, emit.let(address(outputOperand(module, i))), values[i]!),
    );
    return module.finish(`${skeleton}\n${everyStep('position', [...emit.lines, ...stores])}`);
  }

  const args = [...given].map((i) => `in${i}: ${module.wordOf(kernel.inputs[i]!)}`);
  const starts: string[] = [];
  const vectorAt = (of: Operand): string => {
    const start = `${of.name}_start`;
    starts.push(`let ${start} = ${of.offset()} / 4u;`);
    return `${start} + step`;
  };
  const loads = [...given].map(
    (i) => `let in${i} = buffer${kernel.inputs[i]!.binding}[${vectorAt(inputOperand(module, i))}];`,
  );
  const points = LANES.map((lane, n) => {
    const words = [...given].map((i) => `in${i}.${lane}`);
    return `let point${n} = at_point(${[`4u * step + ${n}u`, ...words].join(', ')});`;
  });
  const targets = kernel.outputs.map(({ binding }, i) => `buffer${binding}[${vectorAt(outputOperand(module, i))}]`);
  const whole = targets.map(
    (target, i) => `${target} = vec4(${LANES.map((_lane, n) => `point${n}.out${i}`).join(', ')});`,
  );
  const end = fills(kernel) ? '' : module.param('end', (k) => sizeOf(k.space));
  const tail = LANES.slice(0, 3).map((lane, n) => {
    const stores = targets.map((target, i) => `${target}.${lane} = point${n}.out${i};`);
    return `  if (4u * step + ${n}u < ${end}) { ${stores.join(' ')} }`;
  });
  const members = kernel.outputs.map((output, i) => `  out${i}: ${module.wordOf(output)},`);
  const words = kernel.outputs.map((output, i) => module.written(output, values[i]!));
  const generated = [
    `struct Point {\n${members.join('\n')}\n}`,
    block(`fn at_point(${['position: u32', ...args].join(', ')}) -> Point`, [
      ...emit.lines,
      `return Point(${words.join(', ')});`,
    ]),
    everyStep(
      'step',
      [
        ...loads,
        ...points,
        ...(fills(kernel)
          ? whole
          : [`if (4u * step + 3u < ${end}) {`, ...whole.map((line) => `  ${line}`), '} else {', ...tail, '}']),
      ],
      starts,
    ),
  ];
  return module.finish(`${skeleton}\n${generated.join('\n\n')}`);
}
