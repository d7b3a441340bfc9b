import type { DType } from '../../core/dtype.ts';
import { contiguousStrides, type Shape, sizeOf } from '../../core/shape.ts';
import { bitcast, load, position } from '../../ir/expr.ts';
import {
  type BoundaryKernel,
  type Input,
  kernelKey,
  type LoopKernel,
  type Output,
  type ScanKernel,
  type ScatterKernel,
  type SortKernel,
} from '../../ir/kernel.ts';
import { clamp, type Part, type Plan, type Source, type Split } from './lower.ts';
import { customShader } from './wgsl/custom.ts';
import { batchCount, denseShader } from './wgsl/dense.ts';
import { lineCount, lineLength } from './wgsl/lines.ts';
import type { Shader } from './wgsl/module.ts';
import { scanShader } from './wgsl/scan.ts';
import { scatterShader } from './wgsl/scatter.ts';
import { sortBlocksShader, sortMergeShader } from './wgsl/sort.ts';

// Scans, sorts, scatters and factorisations as sequences of dispatches.

/** The dispatches of a program, as they are put together. */
class Sequence implements Split {
  readonly parts: Part[] = [];
  readonly scratch: number[] = [];

  constructor(readonly software: boolean) {}

  /** Scratch memory. */
  take(words: number): Source {
    return { scratch: this.scratch.push(4 * words) - 1 };
  }
}

/** The dispatches of a kernel of one of these kinds. */
export function boundaryParts(kernel: BoundaryKernel, software: boolean): Split {
  const sequence = new Sequence(software);
  const empty = sizeOf(kernel.kind === 'scatter' ? kernel.space.slice(0, -1) : kernel.space) === 0;
  if (empty) return sequence;
  const own = [...Array(kernel.bindings).keys()];
  switch (kernel.kind) {
    case 'scan':
      scan(sequence, kernel, own);
      break;
    case 'sort':
      sort(sequence, kernel, own);
      break;
    case 'scatter':
      scatter(sequence, kernel, own);
      break;
    case 'custom': {
      const threads = 64;
      sequence.parts.push({
        kernel,
        buffers: own,
        extra: [],
        plan: {
          key: kernelKey(kernel),
          shader: () => customShader(kernel),
          constants: { THREADS: threads, EACH: 1 },
          groups: Math.ceil(sizeOf(kernel.space) / threads),
        },
      });
      break;
    }
    default:
      sequence.parts.push({
        kernel,
        buffers: own,
        extra: [],
        plan: {
          key: kernelKey(kernel),
          shader: () => denseShader(kernel),
          // A software adapter runs four threads as one vector; more would wait for each other at barriers.
          constants: { THREADS: software ? 4 : 64 },
          groups: batchCount(kernel),
        },
      });
  }
  return sequence;
}

const plain = (space: Shape, dtype: DType, binding: number): Input => ({
  dtype,
  binding,
  access: { mode: 'direct', strides: contiguousStrides(space), offset: 0 },
});

/** Elements that a thread sorts by itself. */
const BLOCK = 16;

/** Stably sorts each line by its keys, which come to lie in the source that is returned. */
function sort(sequence: Sequence, kernel: SortKernel, buffers: readonly Source[]): Source {
  const { software, parts } = sequence;
  const { space, key, inputs, scalars, bindings } = kernel;
  const [lines, length, elements] = [lineCount(kernel), lineLength(kernel), sizeOf(space)];
  const merges = Math.ceil(Math.log2(Math.max(1, length / BLOCK)));

  const { binding } = kernel.outputs[0];
  const keys = sequence.take(elements);
  const order = buffers[binding]!;
  // Keys and places after each dispatch: the last one has the places where they belong.
  const [even, odd]: [Source[], Source[]] = [
    [keys, order],
    merges > 0 ? [sequence.take(elements), sequence.take(elements)] : [],
  ];
  const [first, second] =
    merges % 2 === 0
      ? [even, odd]
      : [
          [even[0]!, odd[1]!],
          [odd[0]!, even[1]!],
        ];

  const keyOutput: Output = {
    dtype: 'uint32',
    expr: key,
    level: 'element',
    strides: contiguousStrides(space),
    offset: 0,
    binding,
  };
  const common = { kind: 'map', space, inner: 0, reductions: [] } as const;
  parts.push({
    kernel: { ...common, inputs, outputs: [keyOutput], scalars, bindings },
    buffers: buffers.map((b, i) => (i === binding ? keys : b)),
    extra: [],
  });

  const pair = (at: number): Input[] => [plain(space, 'uint32', at), plain(space, 'int32', at + 1)];
  const written = (inputs: readonly Input[]): Output[] =>
    inputs.map(({ dtype, binding: b }) => ({ ...keyOutput, dtype, expr: position, binding: b }));
  const plan = (name: string, shader: () => Shader, each: number): Plan => ({
    key: name,
    shader,
    constants: { THREADS: 64, EACH: each },
    groups: Math.ceil((lines * Math.ceil(length / each)) / 64),
  });
  const block: LoopKernel = { ...common, inputs: [], outputs: written(pair(0)), scalars: [], bindings: 2 };
  parts.push({
    kernel: block,
    buffers: first,
    extra: [],
    plan: plan('sort blocks', () => sortBlocksShader(block), BLOCK),
  });
  const merge: LoopKernel = {
    ...common,
    inputs: pair(0),
    outputs: written(pair(2)),
    scalars: ['uint32'],
    bindings: 4,
  };
  for (let i = 0; i < merges; i++)
    parts.push({
      kernel: merge,
      buffers: i % 2 === 0 ? [...first, ...second] : [...second, ...first],
      extra: [BLOCK * 2 ** i],
      plan: plan('sort merge', () => sortMergeShader(merge), software ? 16 : 4),
    });
  return merges % 2 === 0 ? first[0]! : second[0]!;
}

const FEW = 2 ** 18;

function scatter(sequence: Sequence, kernel: ScatterKernel, buffers: readonly Source[]): void {
  const { space, inputs, targets } = kernel;
  const [lines, length] = [lineCount(kernel), lineLength(kernel)];
  const threads = lines * Math.max(1, targets);
  const fold = (folded: ScatterKernel, sources: readonly Source[], sorted: boolean): number =>
    sequence.parts.push({
      kernel: folded,
      buffers: sources,
      extra: [],
      plan: {
        key: `${sorted ? 'sorted ' : ''}${kernelKey(kernel)}`,
        shader: () => scatterShader(folded, sorted),
        constants: { THREADS: 64 },
        groups: Math.ceil(threads / 64),
      },
    });
  if (length <= (sequence.software ? 8 : 32) || (length <= 1024 && threads * length <= FEW)) {
    fold(kernel, buffers, false);
    return;
  }

  // Lines that share their places are sorted once.
  const { access } = inputs[0]!;
  if (access.mode !== 'direct') throw new Error('places are read directly');
  const compact = space.map((n, d) => (access.strides[d] === 0 && d < space.length - 1 ? 1 : n));
  const strides = contiguousStrides(compact).map((s, d) => (compact[d] === space[d] ? s : 0));
  const order = sequence.take(sizeOf(compact));
  const at = kernel.bindings;
  const keys = sort(
    sequence,
    {
      kind: 'sort',
      space: compact,
      key: bitcast(load(0, 'int32'), 'uint32'),
      inputs: [{ ...inputs[0]!, binding: 0 }],
      outputs: [{ dtype: 'int32', expr: position, level: 'element', strides: [], offset: 0, binding: 1 }],
      scalars: kernel.scalars,
      bindings: 2,
    },
    [buffers[inputs[0]!.binding]!, order],
  );
  const sorted = (dtype: DType, binding: number): Input => ({
    dtype,
    binding,
    access: { mode: 'direct', strides, offset: 0 },
  });
  fold(
    { ...kernel, inputs: [sorted('uint32', at), ...inputs.slice(1), sorted('int32', at + 1)], bindings: at + 2 },
    [...buffers, keys, order],
    true,
  );
}

function scan(sequence: Sequence, kernel: ScanKernel, buffers: readonly Source[]): void {
  const { software } = sequence;
  const [lines, length] = [lineCount(kernel), lineLength(kernel)];
  // Threads a workgroup, lanes a span, elements a lane.
  const [threads, lanes, each] = software
    ? [lines < 256 ? 16 : 64, 1, 32]
    : [256, length <= 32 ? 1 : length <= 512 ? 16 : 256, 8];
  const most = software ? (lines < 16 ? 64 : 1) : 256 / lines;
  const cut = clamp(Math.floor(most), 1, Math.ceil(length / (software ? 512 : 2 * lanes * each)));
  const span = Math.ceil(length / cut);
  const spans = Math.ceil(length / span);
  const whole: ScanKernel = {
    ...kernel,
    scalars: [...kernel.scalars, 'uint32', 'uint32', 'bool'],
    bindings: kernel.bindings + 1,
  };
  const totals = sequence.take(lines * spans * kernel.inputs.length);
  for (const first of spans > 1 ? [true, false] : [false])
    sequence.parts.push({
      kernel: whole,
      buffers: [...buffers, totals],
      extra: [spans, span, Number(first)],
      plan: {
        key: kernelKey(kernel),
        shader: () => scanShader(whole),
        constants: { THREADS: threads, LANES: lanes, EACH: each },
        groups: Math.ceil((lines * spans) / (threads / lanes)),
      },
    });
}
