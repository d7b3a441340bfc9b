import type { DType } from '../core/dtype.ts';
import { DTypeError, IndexError, ShapeError, UnsupportedError } from '../core/errors.ts';
import {
  broadcastShapes,
  broadcastView,
  checkShape,
  normalizeDim,
  normalizeDims,
  reshapeView,
  type Shape,
  sameShape,
  showShape,
  sizeOf,
} from '../core/shape.ts';
import { template } from '../engine/node.ts';
import {
  and,
  select as choose,
  computed,
  constant,
  div,
  type Expr,
  eq,
  index,
  load,
  loadAt,
  lt,
  mul,
  sub,
  uniform,
  wide,
} from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cast } from './elementwise.ts';
import {
  checkOptions,
  compose,
  currentOp,
  deviceOf,
  produce,
  reading,
  readingAt,
  reduceNode,
  resolveShape,
  taped,
  viewed,
} from './record.ts';

/*
 * Ops that move elements or add them up. Their gradients are each other: what expands is summed, what is cut out is put
 * back, what is gathered is scattered. Hence one file.
 */

const integers = (op: string, t: Tensor): void => {
  if (t.dtype !== 'int32' && t.dtype !== 'uint32')
    throw new DTypeError(`${op}: indices must be int32, got ${t.dtype}; convert them with .to('int32')`);
};

/** The same elements in storage of their own, in row-major order (`torch.Tensor.contiguous`, but always a copy). */
export function contiguous(x: Tensor): Tensor {
  const device = deviceOf('contiguous', [x]);
  const operation = { template: template('map', load(0, x.dtype)), space: x.shape, inputs: [reading(x, x.shape)] };
  return taped(
    'contiguous',
    { gradient: (g) => [g], saves: 'nothing' },
    [x],
    produce(device, 'contiguous', x.dtype, x.shape, operation),
  );
}

/**
 * The same elements under another shape, one of whose sizes may be -1 (`torch.reshape`). A view where strides allow it.
 *
 * @throws ShapeError when the number of elements differs.
 * @example
 * ```ts
 * const x = tl.arange(6).reshape([2, -1]); // shape [2, 3]
 * ```
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  deviceOf('reshape', [x]);
  const to = resolveShape('reshape', x.size, shape);
  checkShape('reshape', to);
  if (sizeOf(to) !== x.size)
    throw new ShapeError(
      `reshape: ${showShape(x.shape)} has ${x.size} elements and ${showShape(to)} asks for ${sizeOf(to)}; they must be equal`,
    );
  const view = reshapeView(x.view, to);
  if (!view) return compose('reshape', () => reshape(contiguous(x), to));
  const from = x.shape;
  return viewed('reshape', x, view, (g) => [reshape(g, from)]);
}

/** The dims in another order (`torch.permute`). A view. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  deviceOf('permute', [x]);
  const order = dims.map((d) => normalizeDim('permute', d, x.ndim));
  if (order.length !== x.ndim || new Set(order).size !== order.length)
    throw new ShapeError(
      `permute: ${showShape(dims)} is no order of the ${x.ndim} dims of ${showShape(x.shape)}; name each exactly once`,
    );
  const view = {
    shape: order.map((d) => x.shape[d]!),
    strides: order.map((d) => x.view.strides[d]!),
    offset: x.view.offset,
  };
  const inverse = order.map((_, d) => order.indexOf(d));
  return viewed('permute', x, view, (g) => [permute(g, inverse)]);
}

/** Two dims swapped (`torch.transpose`). A view. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim('transpose', dim0, x.ndim);
  const b = normalizeDim('transpose', dim1, x.ndim);
  if (x.ndim === 0) return reshape(x, []);
  const order = x.shape.map((_, d) => d);
  order[a] = b;
  order[b] = a;
  return permute(x, order);
}

/** A matrix transposed; 1-d tensors are returned as they are (`torch.t`). */
export function t(x: Tensor): Tensor {
  if (x.ndim > 2)
    throw new ShapeError(`t: expects at most 2 dims, got ${showShape(x.shape)}; use transpose(dim0, dim1)`);
  return x.ndim === 2 ? transpose(x, 0, 1) : reshape(x, x.shape);
}

/** Sizes of 1 repeated to the given shape without copying; -1 keeps a size (`torch.expand`). */
export function expand(x: Tensor, shape: Shape): Tensor {
  deviceOf('expand', [x]);
  const pad = shape.length - x.ndim;
  const to = shape.map((d, i) => (d === -1 && i >= pad ? x.shape[i - pad]! : d));
  checkShape('expand', to);
  if (pad < 0 || !sameShape(broadcastShapes('expand', x.shape, to), to))
    throw new ShapeError(
      `expand: ${showShape(x.shape)} does not expand to ${showShape(shape)}; only sizes of 1 and new leading dims repeat`,
    );
  const from = x.shape;
  return viewed('expand', x, broadcastView(x.view, to), (g) => [sumTo(g, from)]);
}

/** `expand` to the shape of another tensor. */
export function expandAs(x: Tensor, other: Tensor): Tensor {
  return expand(x, other.shape);
}

/** `expand`, with shapes that broadcast (`torch.broadcast_to`). */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return expand(x, shape);
}

/** A new dim of size 1 before the given place (`torch.unsqueeze`). A view. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const d = normalizeDim('unsqueeze', dim, x.ndim + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** Without its dims of size 1, or without those of the given dims that are (`torch.squeeze`). A view. */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  const dims = new Set(normalizeDims('squeeze', dim, x.ndim));
  return reshape(
    x,
    x.shape.filter((n, d) => n !== 1 || !dims.has(d)),
  );
}

/** Dims `startDim` to `endDim` merged into one (`torch.flatten`). */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  if (x.ndim === 0) return reshape(x, [1]);
  const from = normalizeDim('flatten', startDim, x.ndim);
  const to = normalizeDim('flatten', endDim, x.ndim);
  if (from > to)
    throw new ShapeError(`flatten: startDim ${startDim} comes after endDim ${endDim} in ${showShape(x.shape)}`);
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
}

/** A dim, moved to another place (`torch.movedim`). */
export function movedim(
  x: Tensor,
  source: number | readonly number[],
  destination: number | readonly number[],
): Tensor {
  const from = (typeof source === 'number' ? [source] : source).map((d) => normalizeDim('movedim', d, x.ndim));
  const to = (typeof destination === 'number' ? [destination] : destination).map((d) =>
    normalizeDim('movedim', d, x.ndim),
  );
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length)
    throw new ShapeError(`movedim: ${showShape(from)} and ${showShape(to)} must name as many dims, each once`);
  const order = new Array<number>(x.ndim).fill(-1);
  to.forEach((d, i) => {
    order[d] = from[i]!;
  });
  const rest = x.shape.map((_, d) => d).filter((d) => !from.includes(d));
  return permute(
    x,
    order.map((d) => (d >= 0 ? d : rest.shift()!)),
  );
}

/**
 * Every `step`-th element of a dim from `start` up to, not including, `end`; bounds as in Python: negative ones count from the
 * end, those out of range are cut. A view.
 *
 * @example
 * ```ts
 * const odd = tl.arange(10).slice(0, 1, 10, 2); // 1, 3, 5, 7, 9
 * ```
 */
export function slice(x: Tensor, dim: number, start = 0, end: number = Number.POSITIVE_INFINITY, step = 1): Tensor {
  deviceOf('slice', [x]);
  const d = normalizeDim('slice', dim, x.ndim);
  if (x.ndim === 0) throw new IndexError('slice: a scalar has no dims to slice; use reshape([1]) first');
  if (!Number.isInteger(step) || step < 1)
    throw new IndexError(`slice: step ${step} must be a whole number of at least 1; use flip for the reverse order`);
  const n = x.shape[d]!;
  const bound = (i: number): number => Math.min(Math.max(i < 0 ? i + n : i, 0), n);
  if (Number.isNaN(start) || Number.isNaN(end))
    throw new IndexError(`slice: bounds ${start} and ${end} must be numbers`);
  const from = bound(Math.trunc(start));
  const length = Math.max(0, Math.ceil((bound(Math.trunc(end)) - from) / step));
  const view = {
    shape: x.shape.map((size, i) => (i === d ? length : size)),
    strides: x.view.strides.map((s, i) => (i === d ? s * step : s)),
    offset: x.view.offset + (length === 0 ? 0 : from * x.view.strides[d]!),
  };
  return viewed('slice', x, view, (g) => [unslice(g, d, n, from, step)]);
}

/** `length` elements of a dim from `start` on (`torch.narrow`). A view. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const d = normalizeDim('narrow', dim, x.ndim);
  const from = start < 0 ? start + x.shape[d]! : start;
  if (from < 0 || length < 0 || from + length > x.shape[d]!)
    throw new IndexError(
      `narrow: ${length} elements from ${start} on do not fit into dim ${dim} of ${showShape(x.shape)}`,
    );
  return slice(x, d, from, from + length);
}

/** One place of a dim, which is dropped (`torch.select`). A view. */
export function select(x: Tensor, dim: number, place: number): Tensor {
  const d = normalizeDim('select', dim, x.ndim);
  const n = x.shape[d] ?? 0;
  if (!Number.isInteger(place) || place < -n || place >= n)
    throw new IndexError(
      `select: index ${place} is out of range for dim ${dim} of ${showShape(x.shape)}; use ${-n} to ${n - 1}`,
    );
  const from = place < 0 ? place + n : place;
  return compose('select', () => squeeze(slice(x, d, from, from + 1), d));
}

/**
 * The elements whose index in `dim2` is that in `dim1` plus `offset`, as a new last dim (`torch.diagonal`). A view.
 *
 * @throws ShapeError when the dims are the same.
 */
export function diagonal(x: Tensor, offset = 0, dim1 = 0, dim2 = 1): Tensor {
  deviceOf('diagonal', [x]);
  const [a, b] = [normalizeDim('diagonal', dim1, x.ndim), normalizeDim('diagonal', dim2, x.ndim)];
  if (a === b || x.ndim < 2)
    throw new ShapeError(`diagonal: dims ${dim1} and ${dim2} of ${showShape(x.shape)} must be two different ones`);
  const [first, second] = [Math.max(-offset, 0), Math.max(offset, 0)];
  const length = Math.max(0, Math.min(x.shape[a]! - first, x.shape[b]! - second));
  const rest = x.shape.map((_, d) => d).filter((d) => d !== a && d !== b);
  const [rows, columns] = [x.view.strides[a]!, x.view.strides[b]!];
  const view = {
    shape: [...rest.map((d) => x.shape[d]!), length],
    strides: [...rest.map((d) => x.view.strides[d]!), rows + columns],
    offset: x.view.offset + (length === 0 ? 0 : first * rows + second * columns),
  };
  const from = x.shape;
  return viewed('diagonal', x, view, (g) => [undiagonal(g, from, offset, a, b)]);
}

/** @internal The inverse of `diagonal`: its elements at their places in a tensor of zeros. */
function undiagonal(g: Tensor, shape: Shape, offset: number, a: number, b: number): Tensor {
  const device = deviceOf('undiagonal', [g]);
  const rest = shape.map((_, d) => d).filter((d) => d !== a && d !== b);
  const at = [...rest.map((d) => index(d)), sub(index(a), uniform(1, 'int32'))];
  const on = eq(sub(index(b), index(a)), uniform(0, 'int32'));
  const operation = {
    template: template('map', choose(on, loadAt(0, g.dtype, at), 0), ['int32', 'int32']),
    space: shape,
    inputs: [readingAt(g, null)],
    scalars: [offset, Math.max(-offset, 0)],
  };
  const gradient = (gg: Tensor): Tensor[] => [diagonal(gg, offset, a, b)];
  return taped(
    'undiagonal',
    { gradient, saves: 'nothing' },
    [g],
    produce(device, 'undiagonal', g.dtype, shape, operation),
  );
}

/** The tensors along a dim, without it (`torch.unbind`). */
export function unbind(x: Tensor, dim = 0): Tensor[] {
  const d = normalizeDim('unbind', dim, x.ndim);
  return Array.from({ length: x.shape[d] ?? 0 }, (_, i) => select(x, d, i));
}

/** Pieces of the given size, or sizes, along a dim (`torch.split`). Views. */
export function split(x: Tensor, size: number | readonly number[], dim = 0): Tensor[] {
  const d = normalizeDim('split', dim, x.ndim);
  const n = x.shape[d] ?? 0;
  if (typeof size === 'number' && !(Number.isInteger(size) && size > 0))
    throw new ShapeError(`split: size ${size} must be a whole number of at least 1`);
  const sizes =
    typeof size === 'number'
      ? Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => Math.min(size, n - i * size))
      : size;
  if (sizes.reduce((a, b) => a + b, 0) !== n)
    throw new ShapeError(
      `split: sizes ${showShape(sizes)} must add up to ${n}, the size of dim ${dim} of ${showShape(x.shape)}`,
    );
  let start = 0;
  return sizes.map((length) => {
    const piece = slice(x, d, start, start + length);
    start += length;
    return piece;
  });
}

/** At most `chunks` pieces of equal size, but for the last (`torch.chunk`). Views. */
export function chunk(x: Tensor, chunks: number, dim = 0): Tensor[] {
  if (!Number.isInteger(chunks) || chunks < 1) throw new ShapeError(`chunk: ${chunks} chunks asked for; at least 1`);
  const d = normalizeDim('chunk', dim, x.ndim);
  return split(x, Math.max(1, Math.ceil((x.shape[d] ?? 0) / chunks)), d);
}

const coordinates = (rank: number, dim: number, at: Expr): Expr[] =>
  Array.from({ length: rank }, (_, d) => (d === dim ? at : index(d)));

/** @internal The inverse of `slice`: the elements at their places in a dim of size `n`, zeros elsewhere. */
export function unslice(g: Tensor, dim: number, n: number, start: number, step: number): Tensor {
  const device = deviceOf('unslice', [g]);
  const shape = g.shape.map((size, d) => (d === dim ? n : size));
  const from = sub(index(dim), uniform(0, 'int32'));
  const place = step === 1 ? from : div(from, uniform(1, 'int32'));
  const value = loadAt(0, g.dtype, coordinates(g.ndim, dim, place));
  const expr = step === 1 ? value : choose(eq(mul(place, uniform(1, 'int32')), from), value, 0);
  const scalars = step === 1 ? [start] : [start, step];
  const operation = {
    template: template(
      'map',
      expr,
      scalars.map(() => 'int32' as DType),
    ),
    space: shape,
    inputs: [readingAt(g, null)],
    scalars,
  };
  const end = start + (g.shape[dim]! - 1) * step + 1;
  const out = produce(device, 'unslice', g.dtype, shape, operation);
  return taped(
    'unslice',
    { gradient: (gg) => [slice(gg, dim, start, Math.max(start, end), step)], saves: 'nothing' },
    [g],
    out,
  );
}

/** Zeros (or `value`) around a tensor, PyTorch's order of sides: last dim first, before and after (`F.pad`, mode constant). */
export function pad(
  x: Tensor,
  padding: readonly number[],
  options: { readonly mode?: 'constant'; readonly value?: number } = {},
): Tensor {
  checkOptions('pad', options, ['mode', 'value']);
  if ((options.mode ?? 'constant') !== 'constant')
    throw new UnsupportedError(`pad: mode ${options.mode} is not there; use 'constant', or join slices with cat`);
  if (padding.length % 2 !== 0 || padding.length > 2 * x.ndim)
    throw new ShapeError(
      `pad: ${showShape(padding)} must hold two sizes a dim, for at most the ${x.ndim} dims of ${showShape(x.shape)}`,
    );
  const value = options.value ?? 0;
  return compose('pad', () => {
    let out = x;
    for (let i = 0; i < padding.length; i += 2) {
      const dim = x.ndim - 1 - i / 2;
      const before = padding[i]!;
      const after = padding[i + 1]!;
      if (before < 0 || after < 0) out = slice(out, dim, Math.max(0, -before), out.shape[dim]! - Math.max(0, -after));
      const first = Math.max(0, before);
      const last = Math.max(0, after);
      if (first + last > 0) out = padDim(out, dim, first, last, value);
    }
    return out.cell === x.cell ? contiguous(out) : out;
  });
}

function padDim(x: Tensor, dim: number, before: number, after: number, value: number): Tensor {
  const device = deviceOf('pad', [x]);
  const n = x.shape[dim]!;
  const shape = x.shape.map((size, d) => (d === dim ? before + n + after : size));
  const place = sub(index(dim), uniform(0, 'int32'));
  const inside = and(lt(constant(-1, 'int32'), place), lt(place, uniform(1, 'int32')));
  const expr = choose(inside, loadAt(0, x.dtype, coordinates(x.ndim, dim, place)), uniform(2, x.dtype));
  const operation = {
    template: template('map', expr, ['int32', 'int32', x.dtype]),
    space: shape,
    inputs: [readingAt(x, null)],
    scalars: [before, n, value],
  };
  const out = produce(device, 'pad', x.dtype, shape, operation);
  return taped('pad', { gradient: (g) => [slice(g, dim, before, before + n)], saves: 'nothing' }, [x], out);
}

/**
 * @internal Computes in float32 from tensors of which the floats are float16, and rounds the result once: for composed ops whose
 * parts would lose too much. Other tensors go in as they are.
 */
export function inFloat32(op: string, inputs: readonly Tensor[], fn: (...inputs: Tensor[]) => Tensor): Tensor {
  if (!inputs.some((x) => x.dtype === 'float16') || inputs.some((x) => x.dtype === 'float32')) return fn(...inputs);
  return compose(op, () => {
    const raised = inputs.map((x) => (x.dtype === 'float16' ? cast(x, 'float32') : x));
    return cast(fn(...raised), 'float16');
  });
}

/** What a reduction reads: the dims it keeps, then those it reduces. */
function rows(x: Tensor, dims: readonly number[]): { space: Shape; strides: number[]; kept: Shape } {
  const outer = x.shape.map((_, d) => d).filter((d) => !dims.includes(d));
  const order = [...outer, ...dims];
  return {
    space: order.map((d) => x.shape[d]!),
    strides: order.map((d) => x.view.strides[d]!),
    kept: outer.map((d) => x.shape[d]!),
  };
}

/** @internal The shape of a reduction that keeps its dims, with size 1. */
export const keptShape = (shape: Shape, dims: readonly number[]): Shape =>
  shape.map((n, d) => (dims.includes(d) ? 1 : n));

/** @internal A reduction of the elements over some dims, without a gradient; the reduced dims are dropped. */
export function reduceDims(
  op: string,
  kind: 'sum' | 'prod' | 'max' | 'min',
  x: Tensor,
  dims: readonly number[],
  lower: (x: Expr) => Expr = (e) => e,
): Tensor {
  const device = deviceOf(op, [x]);
  const { space, strides } = rows(x, dims);
  const input = { node: x.node, access: { mode: 'direct' as const, strides, offset: x.view.offset } };
  const expr = lower(wide(load(0, x.dtype)));
  const dtype = expr.dtype === computed(x.dtype) ? x.dtype : expr.dtype;
  if (dims.length === 0)
    return produce(device, op, dtype, x.shape, { template: template('map', expr), space, inputs: [input] });
  return reduceNode(device, op, kind, expr, space, dims.length, [input], dtype);
}

/** Options of reductions over dims. */
export interface ReduceOptions {
  /** Dim or dims to reduce; all by default. */
  readonly dim?: number | readonly number[] | undefined;
  /** Keep the reduced dims with size 1. */
  readonly keepDim?: boolean | undefined;
}

/**
 * The sum over some dims, or over all (`torch.sum`). Bools are counted as int32.
 *
 * @throws IndexError for a dim that is not there.
 * @example
 * ```ts
 * const rows = tl.ones([2, 3]).sum({ dim: 1 }); // [3, 3]
 * ```
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('sum', options, ['dim', 'keepDim']);
  const dims = normalizeDims('sum', options.dim, x.ndim);
  const source = x.dtype === 'bool' ? compose('sum', () => cast(x, 'int32')) : x;
  const out = reduceDims('sum', 'sum', source, dims);
  if (source !== x) source.dispose();
  const from = x.shape;
  const gradient = (g: Tensor): Tensor[] => [expand(reshape(g, keptShape(from, dims)), from)];
  const summed = taped('sum', { gradient, saves: 'nothing' }, [x], out);
  return options.keepDim ? withDims(summed, x.shape, dims) : summed;
}

/** @internal A reduced tensor with its dims put back as size 1; the argument is used up. */
export function withDims(reduced: Tensor, shape: Shape, dims: readonly number[]): Tensor {
  const out = reshape(reduced, keptShape(shape, dims));
  reduced.dispose();
  return out;
}

/** @internal Summed down to a shape that broadcasts to the tensor's: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  return compose('sumTo', () => {
    const lead = x.ndim - shape.length;
    const dims = x.shape.map((_, d) => d).filter((d) => d < lead || (shape[d - lead] === 1 && x.shape[d] !== 1));
    return reshape(dims.length === 0 ? x : sum(x, { dim: dims }), shape);
  });
}

/**
 * Elements picked along a dim by an index tensor of the output's shape (`torch.gather`). Indices must be in range; those that
 * are not give an IndexError at the next await.
 */
export function gather(x: Tensor, dim: number, indices: Tensor): Tensor {
  const device = deviceOf('gather', [x, indices]);
  integers('gather', indices);
  const d = normalizeDim('gather', dim, x.ndim);
  if (indices.ndim !== x.ndim || indices.shape.some((n, i) => i !== d && n > x.shape[i]!))
    throw new ShapeError(
      `gather: indices ${showShape(indices.shape)} must have the ${x.ndim} dims of the input ${showShape(x.shape)}, none larger but dim ${d}`,
    );
  const at = load(1, indices.dtype);
  const expr = loadAt(
    0,
    x.dtype,
    coordinates(x.ndim, d, at.dtype === 'int32' ? at : { op: 'cast', dtype: 'int32', args: [at], value: 0 }),
  );
  const operation = {
    template: template('map', expr, ['int32']),
    space: indices.shape,
    inputs: [readingAt(x, 0), reading(indices, indices.shape)],
    scalars: [device.engine.checkCode(currentOp('gather'))],
  };
  const out = produce(device, 'gather', x.dtype, indices.shape, operation);
  const from = x.shape;
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => {
    let placed = scatterSum(g, d, inputs[1]!, from[d]!);
    from.forEach((n, i) => {
      if (placed.shape[i] !== n) placed = unslice(placed, i, n, 0, 1);
    });
    return [placed, null];
  };
  return taped('gather', { gradient, saves: [1] }, [x, indices], out);
}

/**
 * @internal The gradient of `gather`: for each place of the dim, the sum of the elements whose index names it. Every place looks
 * at every element of its line, so that the order of the sum is fixed.
 */
export function scatterSum(values: Tensor, dim: number, indices: Tensor, n: number): Tensor {
  const device = deviceOf('scatterSum', [values, indices]);
  const shape = indices.shape.map((size, d) => (d === dim ? n : size));
  const space = [...shape, indices.shape[dim]!];
  const over = (t: Tensor) => ({
    node: t.node,
    access: {
      mode: 'direct' as const,
      strides: [...t.view.strides.map((s, d) => (d === dim ? 0 : s)), t.view.strides[dim]!],
      offset: t.view.offset,
    },
  });
  const at = load(1, indices.dtype);
  const here: Expr =
    indices.dtype === 'int32' ? index(dim) : { op: 'cast', dtype: indices.dtype, args: [index(dim)], value: 0 };
  const expr = choose(eq(at, here), load(0, values.dtype), 0);
  const out = reduceNode(device, 'scatterSum', 'sum', expr, space, 1, [over(values), over(indices)]);
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    gather(g, dim, inputs[1]!),
    null,
  ];
  return taped('scatterSum', { gradient, saves: [1] }, [values, indices], out);
}

/** Places of a dim picked by a 1-d index tensor (`torch.index_select`). Indices out of range give an IndexError at the next await. */
export function indexSelect(x: Tensor, dim: number, indices: Tensor): Tensor {
  integers('indexSelect', indices);
  if (indices.ndim > 1)
    throw new ShapeError(
      `indexSelect: indices must have one dim, got ${showShape(indices.shape)}; use gather for more`,
    );
  const d = normalizeDim('indexSelect', dim, x.ndim);
  if (x.ndim === 0) throw new IndexError('indexSelect: a scalar has no dims to select from; use reshape([1]) first');
  return compose('indexSelect', () => {
    const lined = reshape(
      indices,
      x.shape.map((_, i) => (i === d ? -1 : 1)),
    );
    return gather(
      x,
      d,
      expand(
        lined,
        x.shape.map((n, i) => (i === d ? indices.size : n)),
      ),
    );
  });
}
