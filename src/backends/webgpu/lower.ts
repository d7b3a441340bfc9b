import { contiguousStrides, sizeOf } from '../../core/shape.ts';
import { coalesce } from '../../ir/coalesce.ts';
import { add, type Expr, index, load, lt, mul, result, rewrite, select, uniform, walk } from '../../ir/expr.ts';
import {
  expressions,
  type Input,
  type Kernel,
  type LoopKernel,
  type MatmulKernel,
  matmulAsReduction,
  matmulDims,
  type Output,
  outerSpace,
} from '../../ir/kernel.ts';
import type { Constants } from './pipelines.ts';
import type { Shader } from './wgsl/module.ts';
import { identity, passes, rowCount } from './wgsl/rows.ts';

// Kernels rewritten as other kernels that suit their shapes better.

export const powerOfTwo = (atLeast: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, atLeast)));
export const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(x, high));

/** Where a buffer comes from: a binding of the whole kernel, or memory that lives from a program's first step to its last. */
export type Source = number | { readonly scratch: number };

/** How a kernel runs: its shader's key and source, the values of the overrides, and how many workgroups. */
export interface Plan {
  readonly key: string;
  readonly shader: () => Shader;
  readonly constants: Constants;
  readonly groups: number;
}

/** A kernel that does part of the work of another one. */
export interface Part {
  readonly kernel: Kernel;
  readonly buffers: readonly Source[];
  /** The last of its scalars; those before are the launch's. */
  readonly extra: readonly number[];
  /** Where it is no kernel of its own: `kernel` then only says what it binds, and what its params are taken from. */
  readonly plan?: Plan;
}

export interface Split {
  readonly parts: readonly Part[];
  /** Bytes of each scratch memory. */
  readonly scratch: readonly number[];
}

const uses = (roots: readonly Expr[], op: Expr['op']): boolean => {
  let found = false;
  walk(roots, (e) => {
    found ||= e.op === op;
  });
  return found;
};

/** Changes the strides of direct inputs. */
const restride = (
  inputs: readonly Input[],
  change: (strides: readonly number[], i: number) => readonly number[],
): Input[] =>
  inputs.map((input, i) => {
    const { access } = input;
    return access.mode === 'indirect' ? input : { ...input, access: { ...access, strides: change(access.strides, i) } };
  });

/** Keeps the bindings that are used, in order, and says which they are. */
function compact(kernel: LoopKernel, extra: readonly number[], scratch: number): Part {
  const bindings = new Set(kernel.outputs.map((output) => output.binding));
  walk(expressions(kernel), (e) => {
    if (e.op === 'load' || e.op === 'loadAt') bindings.add(kernel.inputs[e.value]!.binding);
  });
  const used = [...bindings].sort((a, b) => a - b);
  // An input that nothing loads keeps its place, with any binding.
  const at = <T extends Input | Output>(x: T): T => ({ ...x, binding: Math.max(0, used.indexOf(x.binding)) });
  return {
    kernel: { ...kernel, inputs: kernel.inputs.map(at), outputs: kernel.outputs.map(at), bindings: used.length },
    buffers: used.map((binding) => (binding === scratch ? { scratch: 0 } : binding)),
    extra,
  };
}

/**
 * Few long rows in two kernels: the first reduces about `segments` pieces of each row into scratch memory, the second
 * reduces those. Undefined where that is not possible.
 */
export function splitRows(kernel: LoopKernel, segments: number): Split | undefined {
  const outer = kernel.space.length - kernel.inner;
  const finals = kernel.outputs.map((output) => output.expr);
  if (passes(kernel).length !== 1 || kernel.outputs.some((o) => o.level === 'element') || uses(finals, 'position'))
    return undefined;

  // Leading dims of the row that make enough pieces, or else its first dim in two.
  let lead = 0;
  let pieces = 1;
  while (lead < kernel.inner - 1 && pieces < segments / 4) pieces *= kernel.space[outer + lead++]!;
  const whole = pieces >= segments / 4 && pieces <= segments * 16;
  const first = whole ? { ...kernel, inner: kernel.inner - lead } : cutDim(kernel, outer, segments);
  if (!first) return undefined;
  if (!whole) pieces = first.space[outer]!;

  const rows = rowCount(kernel) * pieces;
  const scratch = kernel.bindings;
  const partialSpace = [...kernel.space.slice(0, outer), pieces];
  const strides = contiguousStrides(first.space.slice(0, first.space.length - first.inner));
  const partial = compact(
    {
      ...first,
      kind: 'reduce',
      outputs: kernel.reductions.map(
        ({ expr: { dtype } }, i): Output => ({
          dtype,
          expr: result(i, dtype),
          level: 'row',
          strides,
          offset: i * rows,
          binding: scratch,
        }),
      ),
    },
    whole ? [] : [first.space[outer + 1]!, kernel.space[outer]!],
    scratch,
  );
  const combined = kernel.reductions.map(({ op, expr: { dtype } }, i) => ({
    op,
    expr: load(kernel.inputs.length + i, dtype),
  }));
  const scratchInputs = kernel.reductions.map(
    ({ expr: { dtype } }, i): Input => ({
      dtype,
      binding: scratch,
      access: { mode: 'direct', strides: contiguousStrides(partialSpace), offset: i * rows },
    }),
  );
  const rest = compact(
    {
      ...kernel,
      space: partialSpace,
      inner: 1,
      inputs: [...restride(kernel.inputs, (s) => [...s.slice(0, outer), 0]), ...scratchInputs],
      reductions: combined,
    },
    [],
    scratch,
  );
  return { parts: [partial, rest], scratch: [4 * rows * kernel.reductions.length] };
}

/**
 * Few long rows with elements that do not need their results in two kernels or more: a map writes those elements, and what is left reads
 * them where it would compute the same. `split` says how it is cut further. Undefined where that is not possible.
 */
export function splitElements(kernel: LoopKernel, split: (rest: LoopKernel) => Split | undefined): Split | undefined {
  const elements = kernel.outputs.filter((o) => o.level === 'element');
  const rows = kernel.outputs.filter((o) => o.level === 'row');
  const exprs = elements.map((o) => o.expr);
  if (elements.length === 0 || rows.length === 0 || uses(exprs, 'result')) return undefined;
  const map = compact(coalesce({ ...kernel, kind: 'map', inner: 0, reductions: [], outputs: elements }), [], -1);
  const written = elements.map(
    ({ dtype, binding, strides, offset }): Input => ({ dtype, binding, access: { mode: 'direct', strides, offset } }),
  );
  const rounded = (i: number): boolean => elements[i]!.dtype !== exprs[i]!.dtype;
  const reductions = rewrite(
    kernel.reductions.map((r) => r.expr),
    (e) => {
      const i = exprs.indexOf(e);
      return i < 0 || rounded(i) ? undefined : load(kernel.inputs.length + i, e.dtype);
    },
  ).map((expr, i) => ({ ...kernel.reductions[i]!, expr }));
  const kind = reductions.length === 1 ? 'reduce' : 'rowwise';
  const inputs = [...kernel.inputs, ...written];
  const rest = compact({ ...kernel, kind, inputs, reductions, outputs: rows }, [], -1);
  const joined = coalesce(rest.kernel as LoopKernel);
  const further = split(joined) ?? { parts: [whole(joined)], scratch: [] };
  const from = (source: Source): Source => (typeof source === 'number' ? rest.buffers[source]! : source);
  const parts = further.parts.map((part) => ({ ...part, buffers: part.buffers.map(from) }));
  return { parts: [map, ...parts], scratch: further.scratch };
}

/** A kernel as the only part of itself. */
export const whole = (kernel: Kernel): Part => ({ kernel, buffers: [...Array(kernel.bindings).keys()], extra: [] });

/** The dim as two, [pieces, length], with a guard where they hold more than it does. */
function cutDim(kernel: LoopKernel, dim: number, segments: number): LoopKernel | undefined {
  const size = kernel.space[dim]!;
  const length = Math.ceil(size / Math.min(segments, size));
  const pieces = Math.ceil(size / length);
  const exact = pieces * length === size;
  const indirect = kernel.inputs.some((input) => input.access.mode === 'indirect');
  // A guard does not keep an index check from failing, nor does `position` survive one.
  if (!exact && (indirect || uses(expressions(kernel), 'position'))) return undefined;
  const slot = kernel.scalars.length;
  const at = add(mul(index(dim), uniform(slot, 'int32')), index(dim + 1));
  const exprs = rewrite(
    kernel.reductions.map((r) => r.expr),
    (e) => (e.op === 'index' && e.value >= dim ? (e.value === dim ? at : index(e.value + 1)) : undefined),
  );
  return {
    ...kernel,
    space: [...kernel.space.slice(0, dim), pieces, length, ...kernel.space.slice(dim + 1)],
    inputs: restride(kernel.inputs, (s) => [...s.slice(0, dim), s[dim]! * length, ...s.slice(dim)]),
    reductions: kernel.reductions.map((r, i) => {
      const guarded = select(lt(at, uniform(slot + 1, 'int32')), exprs[i]!, identity(r));
      return { ...r, expr: exact ? exprs[i]! : guarded };
    }),
    scalars: [...kernel.scalars, 'int32', 'int32'],
  };
}

/**
 * A product of great depth in two kernels: the first makes about `pieces` products over parts of its depth, the second adds them
 * up. Undefined where the depth does not divide.
 */
export function splitDepth(kernel: MatmulKernel, pieces: number): Split | undefined {
  if (uses(expressions(kernel), 'position')) return undefined;
  const { batch, m, n, k } = matmulDims(kernel);
  // Leading dims of k, and of the next one as much as there is still need of.
  let lead = 0;
  let count = 1;
  while (lead < k.length - 1 && count * kernel.space[k[lead]!]! <= pieces) count *= kernel.space[k[lead++]!]!;
  const cut = k[lead]!;
  const length = kernel.space[cut]!;
  let parts = Math.max(1, Math.floor(Math.min(pieces / count, length / 2)));
  while (length % parts !== 0) parts--;
  count *= parts;
  if (count < 2 || count < pieces / 4) return undefined;

  const order = (list: readonly number[], cuts: readonly [number, number]): number[] => [
    ...k.slice(0, lead).map((d) => list[d]!),
    cuts[0],
    ...[...batch, ...m, ...n].map((d) => list[d]!),
    cuts[1],
    ...k.slice(lead + 1).map((d) => list[d]!),
  ];
  const outer = outerSpace(kernel);
  const size = sizeOf(outer);
  const scratch = kernel.bindings;
  const operands = restride(kernel.inputs.slice(0, 2), (s) => order(s, [(s[cut]! * length) / parts, s[cut]!]));
  const used = [...new Set(operands.map((x) => x.binding))];
  const space = order(kernel.space, [parts, length / parts]);
  const inner = k.length - lead;
  const partial: MatmulKernel = {
    ...kernel,
    space,
    inner,
    inputs: operands.map((x) => ({ ...x, binding: used.indexOf(x.binding) })),
    outputs: [
      {
        dtype: 'float32',
        expr: result(0, 'float32'),
        level: 'row',
        strides: contiguousStrides(space.slice(0, space.length - inner)),
        offset: 0,
        binding: used.length,
      },
    ],
    bindings: used.length + 1,
  };
  const products: Input = {
    dtype: 'float32',
    binding: scratch,
    access: { mode: 'direct', strides: [...contiguousStrides(outer), size], offset: 0 },
  };
  const rest = compact(
    {
      kind: 'reduce',
      space: [...outer, count],
      inner: 1,
      inputs: [...restride(kernel.inputs, (s) => [...s.slice(0, outer.length), 0]), products],
      reductions: [{ op: 'sum', expr: load(kernel.inputs.length, 'float32') }],
      outputs: kernel.outputs,
      scalars: kernel.scalars,
      bindings: kernel.bindings + 1,
    },
    [],
    scratch,
  );
  const first: Part = { kernel: partial, buffers: [...used, { scratch: 0 }], extra: [] };
  return { parts: [first, rest], scratch: [4 * size * count] };
}

/** A matmul as a reduction over the depth: for products of vectors, and few elements of great depth. */
export function asReduction(kernel: MatmulKernel): LoopKernel | undefined {
  return uses(expressions(kernel), 'position') ? undefined : coalesce(matmulAsReduction(kernel));
}

/** True where neighbouring rows, not neighbouring elements of a row, lie side by side in most inputs. */
export function rowsAreAdjacent(kernel: LoopKernel): boolean {
  const outer = kernel.space.length - kernel.inner;
  let votes = 0;
  for (const { access } of kernel.inputs) {
    if (access.mode === 'indirect' || outer === 0) continue;
    if (access.strides.slice(outer).every((s) => s === 0)) continue;
    votes += access.strides.at(-1) === 1 ? -1 : access.strides[outer - 1] === 1 ? 1 : 0;
  }
  return votes > 0;
}
