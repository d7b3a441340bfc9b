import { extent, type Kernel, type MatmulKernel, matmulDims } from '../../../ir/kernel.ts';
import { block, coordinates, inputOperand, type Operand, outputOperand, size, strided } from './axes.ts';
import { Emitter } from './expressions.ts';
import { Module, type Shader } from './module.ts';

/** How many rows, and fours of columns, each thread holds in registers. */
export interface ThreadTile {
  readonly rows: number;
  readonly fours: number;
  readonly shared?: SharedReads;
}

/**
 * How a subgroup reads operands: four elements at once along k (`depth`) or along m or n (`side`), or one. Where a step along k and one
 * along n lead to the same element of b, as in a convolution, `window`: what several steps of four columns meet is read once.
 */
export interface SharedReads {
  readonly lanes: number;
  /** Steps of k at a time, along its last dim, which they divide. */
  readonly steps: number;
  readonly a: Reading;
  readonly b: Reading | 'window';
}
export type Reading = 'depth' | 'side' | 'single';

/** The last dim of n with as many columns as fill fours, which then never span two rows of a window. */
const wide = (kernel: Kernel, last: number): number => 4 * Math.ceil(kernel.space[last]! / 4);

const counted = (module: Module, last: number): string => module.param('counted', (k) => wide(k, last));

/** The column that threads count as `counted`; those that only fill a four are no column. */
const uncounted = (module: Module, last: number): string[] => [
  `let before = counted / ${counted(module, last)};`,
  `let at_last = counted - before * ${counted(module, last)};`,
  `if (at_last >= ${size(module, last)}) { return; }`,
  `let j = before * ${size(module, last)} + at_last;`,
];

/** How many columns the threads count. */
export function columnCount(kernel: MatmulKernel, shared: SharedReads | undefined): number {
  const { n } = matmulDims(kernel);
  const last = n.at(-1)!;
  const columns = extent(kernel.space, n);
  return shared?.b === 'window' ? (columns / kernel.space[last]!) * wide(kernel, last) : columns;
}

function showsWindows(kernel: MatmulKernel, steps: number): boolean {
  const { n, k } = matmulDims(kernel);
  const { access } = kernel.inputs[1]!;
  const [column, depth] = [n.at(-1)!, k.at(-1)!];
  const same = access.mode === 'direct' && access.strides[column] === access.strides[depth];
  return steps > 1 && same && access.strides[column] !== 0 && wide(kernel, column) <= 1.15 * kernel.space[column]!;
}

/**
 * Can an operand be read in vectors of four along its last dim of k, or of m or n, that nothing else reads or writes? Along m threads
 * begin at multiples of their rows.
 */
function readingOf(kernel: MatmulKernel, operand: 0 | 1, steps: number, rows: number): Reading {
  const { access, binding } = kernel.inputs[operand]!;
  const others = [...kernel.inputs.slice(2), ...kernel.outputs];
  const dims = matmulDims(kernel);
  const side = (operand === 0 ? dims.m : dims.n).at(-1)!;
  const depth = dims.k.at(-1)!;
  if (access.mode !== 'direct' || access.offset % 4 !== 0 || others.some((x) => x.binding === binding)) return 'single';
  const candidates = [...(steps === 4 ? [depth] : []), ...(operand === 1 || rows % 4 === 0 ? [side] : [])];
  const along = candidates.find((d) => access.strides[d] === 1 && kernel.space[d]! % 4 === 0);
  const whole = access.strides.every((s, d) => d === along || s % 4 === 0 || kernel.space[d] === 1);
  return along === undefined || !whole ? 'single' : along === depth ? 'depth' : 'side';
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

/** How both operands can be read; a buffer that is both is read in one way. */
export function readings(kernel: MatmulKernel, steps: number, rows: number): Pick<SharedReads, 'a' | 'b'> {
  const a = readingOf(kernel, 0, steps, rows);
  const b = showsWindows(kernel, steps) ? 'window' : readingOf(kernel, 1, steps, rows);
  const same = kernel.inputs[0]!.binding === kernel.inputs[1]!.binding;
  const inFours = (reading: SharedReads['b']): boolean => reading === 'depth' || reading === 'side';
  return same && inFours(a) !== inFours(b) ? { a: 'single', b: b === 'window' ? b : 'single' } : { a, b };
}

/** Functions that say how far from an operand's start a row, column or step of k lies, from the number it has in row-major order. */
function offsetFunction(
  module: Module,
  name: string,
  operand: number,
  dims: readonly number[],
  type: 'u32' | 'vec4u',
  widened?: number,
): string {
  const emit = new Emitter(module);
  const of = inputOperand(module, operand);
  const [first, last] = [dims[0]!, dims.at(-1)! + 1];
  const sized = (of: Module, d: number): string => (d === widened ? counted(of, d) : size(of, d));
  const at = coordinates(emit, 'n', first, last, sized);
  const offset = dims.map((d) => `${at(d)} * ${of.stride(d)}`).join(' + ');
  return block(`fn ${name}(n: ${type}) -> ${type}`, [...emit.lines, `return ${offset};`]);
}

/** Walks both operands along k, `by` steps at a time: by counting where it is one dim, and otherwise with the last dim first. */
function depthFunctions(module: Module, dims: readonly number[], by: number): string[] {
  const operands = [inputOperand(module, 0), inputOperand(module, 1)] as const;
  const last = dims.at(-1)!;
  if (dims.length === 1)
    return [
      'alias Depth = u32;',
      `fn next(depth: Depth) -> Depth { return depth + ${by}u; }`,
      ...operands.map((of, i) => `fn depthOf${'AB'[i]}(depth: Depth) -> u32 { return depth * ${of.stride(last)}; }`),
    ];
  const [a, b] = operands;
  const counted = dims.slice(1).reverse();
  const members = ['a', 'b', ...counted.map((d) => `at${d}`)].map((name) => `  ${name}: u32,`);
  const lines = ['var step = depth;', `step.a += ${by}u * ${a.stride(last)};`, `step.b += ${by}u * ${b.stride(last)};`];
  for (const d of counted) {
    // Back to the start of this dim, and a step along the one before it.
    const turn = (i: number, name: string): string =>
      module.param(`${name}_turn${d}`, (k) => {
        const { access } = k.inputs[i]!;
        return access.mode === 'direct' ? access.strides[d - 1]! - access.strides[d]! * k.space[d]! : 0;
      });
    lines.push(`step.at${d} += ${d === last ? by : 1}u;`, `if (step.at${d} < ${size(module, d)}) { return step; }`);
    lines.push(`step.at${d} = 0u;`, `step.a += ${turn(0, 'a')};`, `step.b += ${turn(1, 'b')};`);
  }
  return [
    `struct Depth {\n${members.join('\n')}\n}`,
    block('fn next(depth: Depth) -> Depth', [...lines, 'return step;']),
    'fn depthOfA(depth: Depth) -> u32 { return depth.a; }',
    'fn depthOfB(depth: Depth) -> u32 { return depth.b; }',
  ];
}

const COMPONENTS = 'xyzw';
const counting = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** What a thread reads of both operands in some steps of k, for the skeleton that shares rows of a. */
function sharedReads(
  module: Module,
  { rows, fours }: ThreadTile,
  { lanes, steps, a, b }: SharedReads,
): { starts: string[]; loads: string[]; added: (row: number, four: number) => string } {
  const last = module.kernel.space.length - 1;
  const starts: string[] = [];
  const loads: string[] = ['let a_at = depthOfA(depth);', 'let b_at = depthOfB(depth);'];
  // How far a step leads is found once, before the loop: software adapters read a uniform as often as it is named.
  const known = new Set<string>();
  const step = (operand: number, at: number): string => {
    if (at === 0) return '';
    const name = `${'ab'[operand]}_step${at}`;
    if (!known.has(name)) starts.push(`let ${name} = ${at}u * ${inputOperand(module, operand).stride(last)};`);
    known.add(name);
    return ` + ${name}`;
  };
  /** Each lane reads one of the parts that all lanes need. */
  const share = (
    parts: number,
    start: (part: string) => string,
    name: (part: number) => string,
    load: (of: string) => string,
  ): void => {
    for (const turn of counting(Math.ceil(parts / lanes))) {
      const own = `own_${name(turn)}`;
      starts.push(`let start_${own} = ${start(`min(${turn * lanes}u + lane, ${parts - 1}u)`)};`);
      loads.push(`let ${own} = ${load(`start_${own} + a_at`)};`);
      for (const lane of counting(Math.min(lanes, parts - turn * lanes)))
        loads.push(`let ${name(turn * lanes + lane)} = subgroupBroadcast(${own}, ${lane}u);`);
    }
  };
  const singleRow = (part: string): string => `batch.a + rowOf(min(row + ${part}, params.m - 1u))`;
  if (a === 'depth')
    share(
      rows,
      singleRow,
      (r) => `left${r}`,
      (at) => `fourOfA(${at})`,
    );
  else
    for (const k of counting(steps)) {
      const from = (at: string): string => `${at}${step(0, k)}`;
      if (a === 'single')
        share(
          rows,
          singleRow,
          (r) => `left${r}_${k}`,
          (at) => `loadA(${from(at)})`,
        );
      else {
        const fourRows = (part: string): string => `batch.a + rowOf(min(row + 4u * ${part}, params.m - 4u))`;
        share(
          Math.ceil(rows / 4),
          fourRows,
          (r) => `left${r}_${k}`,
          (at) => `fourOfA(${from(at)})`,
        );
      }
    }
  const left = (r: number, k: number): string => {
    if (a === 'depth') return `left${r}.${COMPONENTS[k]}`;
    return a === 'single' ? `left${r}_${k}` : `left${r >> 2}_${k}.${COMPONENTS[r & 3]}`;
  };
  for (const c of counting(fours)) {
    const column = (j: number): string => `batch.b + columnOf(min(column + ${4 * c + j}u, params.n - 1u))`;
    if (b === 'side' || b === 'window')
      starts.push(`let start_right${c} = batch.b + columnOf(min(column + ${4 * c}u, params.n - 4u));`);
    else for (const j of counting(4)) starts.push(`let start_right${c}_${j} = ${column(j)};`);
    const at = (j: number): string => `start_right${c}_${j} + b_at`;
    if (b === 'depth') for (const j of counting(4)) loads.push(`let by${c}_${j} = fourOfB(${at(j)});`);
    if (b === 'window')
      for (const j of counting(steps + 3))
        loads.push(`let seen${c}_${j} = loadB(start_right${c} + b_at${step(1, j)});`);
    for (const k of counting(steps)) {
      const parts = counting(4).map((j) =>
        b === 'window'
          ? `seen${c}_${k + j}`
          : b === 'depth'
            ? `by${c}_${j}.${COMPONENTS[k]}`
            : `loadB(${at(j)}${step(1, k)})`,
      );
      const value = b === 'side' ? `fourOfB(start_right${c} + b_at${step(1, k)})` : `vec4f(${parts.join(', ')})`;
      loads.push(`let right${c}_${k} = ${value};`);
    }
  }
  const added = (row: number, four: number): string =>
    counting(steps).reduce((sum, k) => `(${sum} + ${left(row, k)} * right${four}_${k})`, `sum_${row}_${four}`);
  return { starts, loads, added };
}

/** The shader of a product around one of the matmul skeletons. */
export function matmulShader(kernel: MatmulKernel, skeleton: string, tile: ThreadTile): Shader {
  const { rows, fours, shared } = tile;
  const inFours = [shared?.a, shared?.b].map((reading) => reading === 'depth' || reading === 'side');
  const module = new Module(kernel, new Set(inFours.flatMap((yes, i) => (yes ? [kernel.inputs[i]!.binding] : []))));
  const dims = matmulDims(kernel);
  const outer = dims.batch.length;
  const rank = kernel.space.length - kernel.inner;
  const product = (part: 'batch' | 'm' | 'n' | 'k') => (k: Kernel) =>
    k.kind === 'matmul' ? extent(k.space, matmulDims(k)[part]) : 0;
  module.param('m', product('m'));
  const windows = shared?.b === 'window';
  module.param('n', (k) => (k.kind === 'matmul' ? columnCount(k, shared) : 0));
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

  const columns = windows ? module.param('columns', product('n')) : 'params.n';
  const position = (): string => emit.let(`(batch.index * params.m + i) * ${columns} + j`);
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

  const load = (i: number): string =>
    inFours[i]
      ? `fn fourOf${'AB'[i]}(address: u32) -> vec4f { return vec4f(buffer${kernel.inputs[i]!.binding}[address / 4u]); }`
      : `fn load${'AB'[i]}(address: u32) -> f32 { return f32(${module.load(kernel.inputs[i]!, 'address')}); }`;
  const offset = (name: string, operand: number, along: readonly number[], type: 'u32' | 'vec4u'): string =>
    offsetFunction(module, name, operand, along, type, name === 'columnOf' && windows ? dims.n.at(-1) : undefined);
  const generated = [
    `const ROWS = ${rows}u;\nconst FOURS = ${fours}u;${shared ? `\nconst STEPS = ${shared.steps}u;` : ''}`,
    `struct Batch {\n${[...members.keys()].map((name) => `  ${name}: u32,`).join('\n')}\n}`,
    block('fn enterBatch(index: u32) -> Batch', [...entry.lines, `return Batch(${[...members.values()].join(', ')});`]),
    load(0),
    load(1),
    ...(skeleton.includes('rowsOf(')
      ? [
          offset('rowsOf', 0, dims.m, 'vec4u'),
          offset('depthOfA', 0, dims.k, 'u32'),
          offset('depthOfB', 1, dims.k, 'u32'),
        ]
      : [offset('rowOf', 0, dims.m, 'u32'), ...depthFunctions(module, dims.k, shared?.steps ?? 1)]),
    shared ? offset('columnOf', 1, dims.n, 'u32') : offset('columnsOf', 1, dims.n, 'vec4u'),
    block(`fn storeProduct(batch: Batch, i: u32, ${windows ? 'counted' : 'j'}: u32, sum: f32)`, [
      ...(windows ? uncounted(module, dims.n.at(-1)!) : []),
      ...emit.lines,
      ...stores,
    ]),
  ];
  let text = repeat(repeat(skeleton, '_R', rows), '_C', fours);
  if (shared) {
    const { starts, loads, added } = sharedReads(module, tile, shared);
    text = text
      .replace('$starts;', starts.join('\n  '))
      .replace('$loads;', loads.join('\n    '))
      .replace(/\$added_(\d+)_(\d+)/g, (_, row, four) => added(Number(row), Number(four)));
  }
  return module.finish(`${text}\n${generated.join('\n\n')}`);
}
