import { extent, type Kernel, type MatmulKernel, matmulDims } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, size, strided } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Module, type Shader } from './module.ts';

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

/** Functions that say how far from an operand's start a row, column or step of k lies, from the number it has in row-major order. */
function offsetFunction(
  module: Module,
  name: string,
  operand: number,
  dims: readonly number[],
  type: 'u32' | 'vec4u',
): string {
  const emit = new Emitter(module);
  const of = inputOperand(module, operand);
  const [first, last] = [dims[0]!, dims.at(-1)! + 1];
  const at = coordinates(emit, 'n', first, last);
  const offset = dims.map((d) => `${at(d)} * ${of.stride(d)}`).join(' + ');
  return block(`fn ${name}(n: ${type}) -> ${type}`, [...emit.lines, `return ${offset};`]);
}

/** Walks both operands along k: by counting where it is one dim, and otherwise with the last dim first. */
function depthFunctions(module: Module, dims: readonly number[]): string[] {
  const operands = [inputOperand(module, 0), inputOperand(module, 1)] as const;
  const last = dims.at(-1)!;
  if (dims.length === 1)
    return [
      'alias Depth = u32;',
      'fn next(depth: Depth) -> Depth { return depth + 1u; }',
      ...operands.map((of, i) => `fn depthOf${'AB'[i]}(depth: Depth) -> u32 { return depth * ${of.stride(last)}; }`),
    ];
  const [a, b] = operands;
  const counted = dims.slice(1).reverse();
  const members = ['a', 'b', ...counted.map((d) => `at${d}`)].map((name) => `  ${name}: u32,`);
  const lines = ['var step = depth;', `step.a += ${a.stride(last)};`, `step.b += ${b.stride(last)};`];
  for (const d of counted) {
    // Back to the start of this dim, and a step along the one before it.
    const turn = (i: number, name: string): string =>
      module.param(`${name}_turn${d}`, (k) => {
        const { access } = k.inputs[i]!;
        return access.mode === 'direct' ? access.strides[d - 1]! - access.strides[d]! * k.space[d]! : 0;
      });
    lines.push(`step.at${d}++;`, `if (step.at${d} < ${size(module, d)}) { return step; }`);
    lines.push(`step.at${d} = 0u;`, `step.a += ${turn(0, 'a')};`, `step.b += ${turn(1, 'b')};`);
  }
  return [
    `struct Depth {\n${members.join('\n')}\n}`,
    block('fn next(depth: Depth) -> Depth', [...lines, 'return step;']),
    'fn depthOfA(depth: Depth) -> u32 { return depth.a; }',
    'fn depthOfB(depth: Depth) -> u32 { return depth.b; }',
  ];
}

/** The shader of a product around one of the matmul skeletons. */
export function matmulShader(kernel: MatmulKernel, skeleton: string, { rows, fours }: ThreadTile): Shader {
  const module = new Module(kernel);
  const dims = matmulDims(kernel);
  const outer = dims.batch.length;
  const rank = kernel.space.length - kernel.inner;
  const product = (part: 'batch' | 'm' | 'n' | 'k') => (k: Kernel) =>
    k.kind === 'matmul' ? extent(k.space, matmulDims(k)[part]) : 0;
  module.param('m', product('m'));
  module.param('n', product('n'));
  module.param('k', product('k'));
  module.param('batches', product('batch'));

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

  const position = (): string => emit.let('(batch.index * params.m + i) * params.n + j');
  const inner = (dim: number): string => (dim < dims.n[0]! ? rowAt(dim) : columnAt(dim));
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
  const rowAt = coordinates(emit, 'i', outer, dims.n[0]!);
  const columnAt = coordinates(emit, 'j', dims.n[0]!, rank);
  const values = kernel.outputs.map((output) => emit.value(output.expr));
  const stores = kernel.outputs.map((output, i) => module.store(output, address(outputOperand(module, i)), values[i]!));

  const load = (name: string, i: number): string =>
    `fn ${name}(address: u32) -> f32 { return f32(${module.load(kernel.inputs[i]!, 'address')}); }`;
  const offset = (name: string, operand: number, along: readonly number[], type: 'u32' | 'vec4u'): string =>
    offsetFunction(module, name, operand, along, type);
  const generated = [
    `const ROWS = ${rows}u;\nconst FOURS = ${fours}u;`,
    `struct Batch {\n${[...members.keys()].map((name) => `  ${name}: u32,`).join('\n')}\n}`,
    block('fn enterBatch(index: u32) -> Batch', [...entry.lines, `return Batch(${[...members.values()].join(', ')});`]),
    load('loadA', 0),
    load('loadB', 1),
    ...(skeleton.includes('rowOf(')
      ? [offset('rowOf', 0, dims.m, 'u32'), ...depthFunctions(module, dims.k)]
      : [
          offset('rowsOf', 0, dims.m, 'vec4u'),
          offset('depthOfA', 0, dims.k, 'u32'),
          offset('depthOfB', 1, dims.k, 'u32'),
        ]),
    offset('columnsOf', 1, dims.n, 'vec4u'),
    block('fn storeProduct(batch: Batch, i: u32, j: u32, sum: f32)', [...emit.lines, ...stores]),
  ];
  const unrolled = repeat(repeat(skeleton, '_R', rows), '_C', fours);
  return module.finish(`${unrolled}\n${generated.join('\n\n')}`);
}
