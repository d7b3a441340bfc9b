import { sizeOf } from '../../../core/shape.ts';
import type { Kernel, MatmulKernel } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, size, strided } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Module, type Shader } from './module.ts';

export const batchCount = (k: Kernel): number => sizeOf(k.space.slice(0, -2));

/** How many rows, and fours of columns, each thread holds in registers. */
export interface ThreadTile {
  readonly rows: number;
  readonly fours: number;
}

/** Repeats the lines that name the mark: as a suffix it becomes the number, on its own the literal. */
const repeat = (text: string, mark: string, times: number): string => {
  const pattern = new RegExp(`(\\w?)${mark}(?![a-z])`, 'g');
  const line = (of: string, n: number): string =>
    of.replace(pattern, (_, before) => (before ? `${before}_${n}` : `${n}u`));
  const lines = text.split('\n').flatMap((of) => {
    if (of.startsWith('//') || !of.includes(mark)) return of;
    return Array.from({ length: times }, (_, n) => line(of, n));
  });
  return lines.join('\n');
};

/** The shader of a product around one of the matmul skeletons. */
export function matmulShader(kernel: MatmulKernel, skeleton: string, { rows, fours }: ThreadTile): Shader {
  const module = new Module(kernel);
  const rank = kernel.space.length;
  const outer = rank - 2;
  module.param('m', (k) => k.space.at(-2)!);
  module.param('n', (k) => k.space.at(-1)!);
  module.param('k', (k) => (k.kind === 'matmul' ? k.k : 0));
  module.param('batches', batchCount);
  for (const [i, name, dims] of [
    [0, 'a', ['row', 'depth']],
    [1, 'b', ['depth', 'column']],
  ] as const)
    for (const [d, dim] of dims.entries())
      module.param(`${name}_${dim}`, (k) => {
        const { access } = k.inputs[i]!;
        return access.mode === 'direct' ? access.strides[outer + d]! : 0;
      });

  const members = new Map<string, string>([['index', 'index']]);
  const entry: Emitter = new Emitter(module);
  const batchAt = coordinates(entry, 'index', 0, outer);
  const member = (name: string, value: () => string): string => {
    if (!members.has(name)) members.set(name, value());
    return `batch.${name}`;
  };
  const start = (of: Operand): string => strided(of, of.offset(), batchAt, 0, outer);
  member('a', () => start(inputOperand(module, 0)));
  member('b', () => start(inputOperand(module, 1)));

  const position = (): string =>
    emit.let(`(batch.index * ${size(module, outer)} + i) * ${size(module, outer + 1)} + j`);
  const inner = (dim: number): string => (dim === outer ? 'i' : 'j');
  const address = (of: Operand): string => {
    if (of.pattern === 'scalar') return of.offset();
    if (of.pattern === 'contiguous') return emit.let(`${of.offset()} + ${position()}`);
    return emit.let(
      strided(
        of,
        member(of.name, () => start(of)),
        inner,
        outer,
        rank,
      ),
    );
  };
  const emit: Emitter = new Emitter(module, {
    load: (i) => module.load(kernel.inputs[i]!, address(inputOperand(module, i))),
    index: (dim) => `i32(${dim < outer ? member(`at${dim}`, () => batchAt(dim)) : inner(dim)})`,
    position: () => `i32(${position()})`,
    result: () => 'sum',
  });
  const values = kernel.outputs.map((output) => emit.value(output.expr));
  const stores = kernel.outputs.map((output, i) => module.store(output, address(outputOperand(module, i)), values[i]!));

  const load = (name: string, i: number): string =>
    `fn ${name}(address: u32) -> f32 { return f32(${module.load(kernel.inputs[i]!, 'address')}); }`;
  const generated = [
    `const ROWS = ${rows}u;\nconst FOURS = ${fours}u;`,
    `struct Batch {\n${[...members.keys()].map((name) => `  ${name}: u32,`).join('\n')}\n}`,
    block('fn enterBatch(index: u32) -> Batch', [...entry.lines, `return Batch(${[...members.values()].join(', ')});`]),
    load('loadA', 0),
    load('loadB', 1),
    block('fn storeProduct(batch: Batch, i: u32, j: u32, sum: f32)', [...emit.lines, ...stores]),
  ];
  const unrolled = repeat(repeat(skeleton, '_R', rows), '_C', fours);
  return module.finish(`${unrolled}\n${generated.join('\n\n')}`);
}
