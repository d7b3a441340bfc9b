import type { Shape } from '../core/shape.ts';
import { type Expr, index, rewrite, walk } from './expr.ts';
import { extent, type Input, type LoopKernel, type MatmulKernel, matmulDims } from './kernel.ts';

/*
 * Kernels over other spaces that mean the same.
 */

/** Merges neighbouring dims of a space where every stride list allows it; returns the groups of dims. */
export function mergeable(
  space: Shape,
  strides: readonly (readonly number[])[],
  breaks: ReadonlySet<number>,
): number[][] {
  const groups: number[][] = [];
  for (let d = 0; d < space.length; d++) {
    const last = groups[groups.length - 1];
    const joins =
      last !== undefined && !breaks.has(d) && strides.every((s) => s[last[last.length - 1]!] === s[d]! * space[d]!);
    if (joins) last.push(d);
    else groups.push([d]);
  }
  return groups;
}

type Nest = LoopKernel | MatmulKernel;

const expressionsOf = (kernel: Nest): Expr[] => [
  ...(kernel.kind === 'matmul' ? [] : kernel.reductions.map((r) => r.expr)),
  ...kernel.outputs.map((o) => o.expr),
];

/** Groups of neighbouring dims that all accesses walk alike, and that do not begin at one of the breaks. */
export function groups(kernel: Nest, breaks: readonly number[] = []): number[][] {
  const outer = kernel.space.length - kernel.inner;
  const apart = new Set([...breaks, outer]);
  if (kernel.kind === 'matmul') {
    const { m, n } = matmulDims(kernel);
    apart.add(m[0]!).add(n[0]!);
  }
  walk(expressionsOf(kernel), (e) => {
    if (e.op === 'index') apart.add(e.value).add(e.value + 1);
  });
  const lists = kernel.inputs.flatMap((i) => (i.access.mode === 'direct' ? [i.access.strides] : []));
  const none = new Array<number>(kernel.inner).fill(0);
  for (const o of kernel.outputs) lists.push(o.level === 'element' ? o.strides : [...o.strides, ...none]);
  return mergeable(kernel.space, lists, apart);
}

/** The kernel with each group of dims as one. */
export function regroup<K extends Nest>(kernel: K, by: readonly (readonly number[])[]): K;
export function regroup(kernel: Nest, by: readonly (readonly number[])[]): Nest {
  if (by.length === kernel.space.length) return kernel;
  const outer = kernel.space.length - kernel.inner;
  const place = new Map(by.flatMap((g, k) => g.map((d) => [d, k] as const)));
  const last = by.map((g) => g[g.length - 1]!);
  const among = (dims: readonly number[]): number => by.filter((g) => dims.includes(g[0]!)).length;
  const inner = by.filter((g) => g[0]! >= outer).length;
  // In one go, so that what the expressions share stays shared.
  const exprs = rewrite(expressionsOf(kernel), (x) => (x.op === 'index' ? index(place.get(x.value)!) : undefined));
  const direct = (strides: readonly number[]): number[] => last.map((d) => strides[d]!);
  const offset = exprs.length - kernel.outputs.length;
  const merged = {
    space: by.map((g) => extent(kernel.space, g)),
    inner,
    inputs: kernel.inputs.map((i) =>
      i.access.mode === 'direct' ? { ...i, access: { ...i.access, strides: direct(i.access.strides) } } : i,
    ),
    outputs: kernel.outputs.map((o, i) => ({
      ...o,
      expr: exprs[offset + i]!,
      strides: o.level === 'element' ? direct(o.strides) : last.slice(0, by.length - inner).map((d) => o.strides[d]!),
    })),
  };
  if (kernel.kind !== 'matmul')
    return { ...kernel, ...merged, reductions: kernel.reductions.map((r, i) => ({ ...r, expr: exprs[i]! })) };
  const { m, n } = matmulDims(kernel);
  return { ...kernel, ...merged, rows: among(m), columns: among(n) };
}

/** Merges neighbouring dims that all accesses walk alike, so that kernels have as few dims as possible. */
export const coalesce = <K extends Nest>(kernel: K): K => regroup(kernel, groups(kernel));

/** A matmul over a space whose dims stand in another order. Its expressions must not know where they are. */
function permute(kernel: MatmulKernel, order: readonly number[], rows: number, columns: number): MatmulKernel {
  const by = (strides: readonly number[]): number[] => order.map((d) => strides[d]!);
  const outer = order.slice(0, order.length - kernel.inner);
  return {
    ...kernel,
    space: by(kernel.space),
    rows,
    columns,
    inputs: kernel.inputs.map((i): Input => {
      const { access } = i;
      return access.mode === 'direct' ? { ...i, access: { ...access, strides: by(access.strides) } } : i;
    }),
    outputs: kernel.outputs.map((o) => ({ ...o, strides: outer.map((d) => o.strides[d]!) })),
  };
}

/**
 * Batch dims along which one operand stays where it is are as good as rows or columns of the other. Moves them there, before
 * the dims that are there already, where they merge with those, or those have fewer elements than `rows` or `columns`.
 */
export function foldBatch(kernel: MatmulKernel, rows: number, columns: number): MatmulKernel {
  let placed = false;
  walk(
    kernel.outputs.map((o) => o.expr),
    (e) => {
      placed ||= e.op === 'index' || e.op === 'position';
    },
  );
  const { space } = kernel;
  const { batch, m, n, k } = matmulDims(kernel);
  if (placed || batch.length === 0) return kernel;
  const inputs = kernel.inputs.flatMap(({ access }) => (access.mode === 'direct' ? [access.strides] : []));
  const lists = [...inputs, ...kernel.outputs.map((o) => o.strides)];
  const folds = (d: number, operand: number, dims: readonly number[], most: number): boolean =>
    inputs[operand]![d] === 0 &&
    (extent(space, dims) < most || lists.every((s) => s[d] === s[dims[0]!]! * space[dims[0]!]!));
  for (const d of [...batch].reverse()) {
    const dims = folds(d, 1, m, rows) ? m : folds(d, 0, n, columns) ? n : null;
    if (!dims) continue;
    dims.unshift(d);
    batch.splice(batch.indexOf(d), 1);
  }
  return coalesce(permute(kernel, [...batch, ...m, ...n, ...k], m.length, n.length));
}
