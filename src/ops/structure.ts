import { computed, type DType, isByte } from '../core/dtype.ts';
import { IndexError, ShapeError } from '../core/errors.ts';
import {
  broadcastShapes,
  broadcastView,
  checkShape,
  checkSizes,
  normalizeDim,
  normalizeDims,
  reshapeView,
  type Shape,
  sameShape,
  showShape,
  sizeOf,
} from '../core/shape.ts';
import { copying, template, templates } from '../engine/node.ts';
import {
  select as choose,
  cast as convert,
  div,
  type Expr,
  eq,
  index,
  load,
  loadAt,
  mul,
  sub,
  uniform,
  wide,
} from '../ir/expr.ts';
import type { ReduceOp } from '../ir/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { autocasting } from './autocast.ts';
import { cast } from './elementwise.ts';
import {
  checkOptions,
  checkTensor,
  compose,
  describe,
  deviceOf,
  produce,
  reading,
  readingAt,
  readingBy,
  resolveShape,
  taped,
  viewed,
} from './record.ts';
import { type Drawn, type Samples, sample } from './samples.ts';

/*
 * Ops that move elements or add them up. Their gradients are each other: what expands is summed, what is cut out is put
 * back, what is gathered is scattered. Hence one file.
 */

/** The same elements in storage of their own, in row-major order (`torch.Tensor.contiguous`, but always a copy). */
export function contiguous(x: Tensor): Tensor {
  const device = deviceOf('contiguous', [x]);
  const operation = { template: copying(x.dtype), space: x.shape, inputs: [reading(x, x.shape)] };
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
  checkSizes('permute', dims);
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
  deviceOf('transpose', [x]);
  const a = normalizeDim('transpose', dim0, x.ndim);
  const b = normalizeDim('transpose', dim1, x.ndim);
  if (x.ndim === 0) return reshape(x, []);
  const swapped = (list: readonly number[]): number[] => {
    const out = [...list];
    out[a] = list[b]!;
    out[b] = list[a]!;
    return out;
  };
  const view = { shape: swapped(x.shape), strides: swapped(x.view.strides), offset: x.view.offset };
  return viewed('transpose', x, view, (g) => [transpose(g, a, b)]);
}

/** A matrix transposed; 1-d tensors are returned as they are (`torch.t`). */
export function t(x: Tensor): Tensor {
  checkTensor('t', x);
  if (x.ndim > 2)
    throw new ShapeError(`t: expects at most 2 dims, got ${showShape(x.shape)}; use transpose(dim0, dim1)`);
  return x.ndim === 2 ? transpose(x, 0, 1) : reshape(x, x.shape);
}

/** Sizes of 1 repeated to the given shape without copying; -1 keeps a size (`torch.expand`). */
export function expand(x: Tensor, shape: Shape): Tensor {
  deviceOf('expand', [x]);
  checkSizes('expand', shape);
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
  deviceOf('expandAs', [x, other]);
  return expand(x, other.shape);
}

/** `expand`, with shapes that broadcast (`torch.broadcast_to`). */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkTensor('broadcastTo', x);
  return expand(x, shape);
}

/** A new dim of size 1 before the given place (`torch.unsqueeze`). A view. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  checkTensor('unsqueeze', x);
  const d = normalizeDim('unsqueeze', dim, x.ndim + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** Without its dims of size 1, or without those of the given dims that are (`torch.squeeze`). A view. */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  checkTensor('squeeze', x);
  const dims = new Set(normalizeDims('squeeze', dim, x.ndim));
  return reshape(
    x,
    x.shape.filter((n, d) => n !== 1 || !dims.has(d)),
  );
}

/** Dims `startDim` to `endDim` merged into one (`torch.flatten`). */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  checkTensor('flatten', x);
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
  checkTensor('movedim', x);
  const list = (dims: number | readonly number[]): number[] => {
    const all = typeof dims === 'number' ? [dims] : dims;
    checkSizes('movedim', all);
    return all.map((d) => normalizeDim('movedim', d, x.ndim));
  };
  const [from, to] = [list(source), list(destination)];
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
  if ([start, end].some((i) => !Number.isInteger(i) && Math.abs(i) !== Number.POSITIVE_INFINITY))
    throw new IndexError(`slice: bounds ${describe(start)} and ${describe(end)} must be whole numbers`);
  const from = bound(start);
  const length = Math.max(0, Math.ceil((bound(end) - from) / step));
  const view = {
    shape: x.shape.map((size, i) => (i === d ? length : size)),
    strides: x.view.strides.map((s, i) => (i === d ? s * step : s)),
    offset: x.view.offset + (length === 0 ? 0 : from * x.view.strides[d]!),
  };
  return viewed('slice', x, view, (g) => [unslice(g, d, n, from, step)]);
}

/** `length` elements of a dim from `start` on (`torch.narrow`). A view. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  checkTensor('narrow', x);
  const d = normalizeDim('narrow', dim, x.ndim);
  const from = start < 0 ? start + x.shape[d]! : start;
  if (!Number.isInteger(from) || !Number.isInteger(length) || from < 0 || length < 0 || from + length > x.shape[d]!)
    throw new IndexError(
      `narrow: ${length} elements from ${start} on do not fit into dim ${dim} of ${showShape(x.shape)}`,
    );
  return slice(x, d, from, from + length);
}

/** One place of a dim, which is dropped (`torch.select`). A view. */
export function select(x: Tensor, dim: number, place: number): Tensor {
  checkTensor('select', x);
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
  if (!Number.isInteger(offset)) throw new IndexError(`diagonal: offset ${describe(offset)} must be a whole number`);
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
export function undiagonal(g: Tensor, shape: Shape, offset: number, a: number, b: number): Tensor {
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
  checkTensor('unbind', x);
  const d = normalizeDim('unbind', dim, x.ndim);
  if (x.ndim === 0) throw new IndexError('unbind: a scalar has no dims; use reshape([1]) first');
  return Array.from({ length: x.shape[d] ?? 0 }, (_, i) => select(x, d, i));
}

/** Pieces of the given size, or sizes, along a dim (`torch.split`). Views. */
export function split(x: Tensor, size: number | readonly number[], dim = 0): Tensor[] {
  checkTensor('split', x);
  const d = normalizeDim('split', dim, x.ndim);
  const n = x.shape[d] ?? 0;
  if (typeof size === 'number' && !(Number.isInteger(size) && size > 0))
    throw new ShapeError(`split: size ${size} must be a whole number of at least 1`);
  const sizes =
    typeof size === 'number'
      ? Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => Math.min(size, n - i * size))
      : size;
  checkSizes('split', sizes);
  if (sizes.some((s) => !(Number.isInteger(s) && s >= 0)) || sizes.reduce((a, b) => a + b, 0) !== n)
    throw new ShapeError(
      `split: sizes ${showShape(sizes)} must be whole numbers that add up to ${n}, the size of dim ${dim} of ${showShape(x.shape)}`,
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
  checkTensor('chunk', x);
  if (!Number.isInteger(chunks) || chunks < 1) throw new ShapeError(`chunk: ${chunks} chunks asked for; at least 1`);
  const d = normalizeDim('chunk', dim, x.ndim);
  return split(x, Math.max(1, Math.ceil((x.shape[d] ?? 0) / chunks)), d);
}

/** @internal The coordinates of a point, with another one in a dim. */
export const coordinates = (rank: number, dim: number, at: Expr): Expr[] =>
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

/**
 * @internal Computes with float32 in place of float16, and rounds the result once where all floats are float16 and no autocast is on: for
 * composed ops whose parts would lose too much. Other tensors go in as they are.
 */
export function inFloat32(op: string, inputs: readonly Tensor[], fn: (...inputs: Tensor[]) => Tensor): Tensor {
  if (!inputs.some((x) => x.dtype === 'float16')) return fn(...inputs);
  return compose(op, () => {
    const out = fn(...inputs.map((x) => (x.dtype === 'float16' ? cast(x, 'float32') : x)));
    return autocasting() || inputs.some((x) => x.dtype === 'float32') ? out : cast(out, 'float16');
  });
}

/** @internal Whether autocast wants a sum or product of the elements in float32. */
export const sumsWide = (x: Tensor): boolean => x.dtype === 'float16' && autocasting();

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

/** What a reduction combines, or alone becomes of the elements: they themselves, or whether they are not 0, as int32. */
const reduction = /* @__PURE__ */ templates((kind: ReduceOp | 'none', dtype: DType, truth: boolean) => {
  const x = wide(load(0, dtype));
  const expr = truth ? convert(convert(x, 'bool'), 'int32') : x;
  return kind === 'none' ? template('map', expr) : template('reduce', expr, [], { reduce: kind });
});

/** @internal A reduction of the elements, or of their truth, over some dims, without a gradient; the reduced dims are dropped. */
export function reduceDims(op: string, kind: ReduceOp, x: Tensor, dims: readonly number[], truth = false): Tensor {
  const device = deviceOf(op, [x]);
  const { space, strides, kept } = rows(x, dims);
  const dtype = truth && computed(x.dtype) !== 'int32' ? 'int32' : x.dtype;
  return produce(device, op, dtype, kept, {
    template: reduction(dims.length === 0 ? 'none' : kind, x.dtype, truth),
    space,
    inner: dims.length,
    inputs: [readingBy(x, strides)],
  });
}

/** Options of reductions over dims. */
export interface ReduceOptions {
  /** Dim or dims to reduce; all by default. */
  readonly dim?: number | readonly number[] | undefined;
  /** Keep the reduced dims with size 1. */
  readonly keepDim?: boolean | undefined;
}

/** @internal Bools, int8 and uint8 as int32, for what adds or multiplies them; other tensors as they are. */
export const counted = (op: string, x: Tensor): Tensor =>
  x.dtype === 'bool' || isByte(x.dtype) ? compose(op, () => cast(x, 'int32')) : x;

/**
 * The sum over some dims, or over all (`torch.sum`). Bools and bytes are counted as int32.
 *
 * @throws IndexError for a dim that is not there.
 * @example
 * ```ts
 * const rows = tl.ones([2, 3]).sum({ dim: 1 }); // [3, 3]
 * ```
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions('sum', options, ['dim'], ['keepDim']);
  checkTensor('sum', x);
  if (sumsWide(x)) return compose('sum', () => sum(cast(x, 'float32'), options));
  const dims = normalizeDims('sum', options.dim, x.ndim);
  const source = counted('sum', x);
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

const whole: Drawn = { shape: [3, 4], dtype: 'int32', range: [-9, 9] };
const bools: Drawn = { shape: [3, 4], dtype: 'bool', range: [0, 1] };

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  contiguous: { calls: [sample([[3, 4]], contiguous), sample([[]], contiguous), sample([bools], contiguous)] },
  reshape: {
    calls: [
      sample([[3, 4]], (x) => reshape(x, [2, -1])),
      sample([[3, 4]], (x) => reshape(x, [12, 1])),
      sample([[1]], (x) => reshape(x, [])),
      sample([[0, 3]], (x) => reshape(x, [3, 0])),
      sample([whole], (x) => reshape(x, [4, 3])),
    ],
  },
  permute: { calls: [sample([[2, 3, 4]], (x) => permute(x, [2, 0, -2])), sample([[]], (x) => permute(x, []))] },
  transpose: { calls: [sample([[2, 3, 4]], (x) => transpose(x, 0, -1)), sample([whole], (x) => transpose(x, 0, 1))] },
  t: { calls: [sample([[3, 4]], t), sample([[4]], t), sample([[]], t)] },
  expand: {
    calls: [
      sample([[3, 1]], (x) => expand(x, [2, 3, 5])),
      sample([[3, 4]], (x) => expand(x, [2, -1, -1])),
      sample([[1]], (x) => expand(x, [0])),
      sample([bools], (x) => expand(x, [2, 3, 4])),
    ],
  },
  expandAs: {
    calls: [
      sample(
        [
          [3, 1],
          [2, 3, 5],
        ],
        (x, y) => [expandAs(x, y), y],
      ),
    ],
  },
  broadcastTo: { calls: [sample([[4]], (x) => broadcastTo(x, [3, 4]))] },
  unsqueeze: { calls: [sample([[3, 4]], (x) => unsqueeze(x, -1)), sample([[]], (x) => unsqueeze(x, 0))] },
  squeeze: { calls: [sample([[1, 3, 1]], (x) => squeeze(x)), sample([[1, 3, 1]], (x) => squeeze(x, [0, 1]))] },
  flatten: { calls: [sample([[2, 3, 4]], (x) => flatten(x, 1)), sample([[]], (x) => flatten(x))] },
  movedim: {
    calls: [sample([[2, 3, 4]], (x) => movedim(x, 0, -1)), sample([[2, 3, 4]], (x) => movedim(x, [0, 1], [1, 2]))],
  },
  slice: {
    calls: [
      sample([[7, 3]], (x) => slice(x, 0, 1, 6, 2)),
      sample([[7, 3]], (x) => slice(x, -1, -2)),
      sample([[7, 3]], (x) => slice(x, 0, 5, 2)),
      sample([whole], (x) => slice(x, 1, 0, 4, 3)),
    ],
  },
  narrow: { calls: [sample([[7, 3]], (x) => narrow(x, 0, -3, 2)), sample([[7]], (x) => narrow(x, 0, 7, 0))] },
  select: { calls: [sample([[7, 3]], (x) => select(x, 0, -1)), sample([[7, 3]], (x) => select(x, 1, 2))] },
  diagonal: {
    calls: [
      sample([[3, 5]], (x) => diagonal(x)),
      sample([[3, 5]], (x) => diagonal(x, -1)),
      sample([[2, 3, 4]], (x) => diagonal(x, 1, -1, 0)),
      sample([[3, 5]], (x) => diagonal(x, 9)),
    ],
  },
  unbind: { calls: [sample([[3, 2]], (x) => unbind(x)), sample([[3, 2]], (x) => unbind(x, -1))] },
  split: { calls: [sample([[7, 2]], (x) => split(x, 3)), sample([[2, 7]], (x) => split(x, [1, 0, 6], 1))] },
  chunk: { calls: [sample([[7, 2]], (x) => chunk(x, 3)), sample([[2]], (x) => chunk(x, 3))] },
  sum: {
    calls: [
      sample([[3, 4]], (x) => sum(x)),
      sample([[2, 3, 4]], (x) => sum(x, { dim: [0, -1], keepDim: true })),
      sample([[33, 17]], (x) => sum(x, { dim: 0 })),
      sample([[]], (x) => sum(x)),
      sample([[0, 3]], (x) => sum(x, { dim: 0 })),
      sample([whole], (x) => sum(x, { dim: 1 })),
      sample([bools], (x) => sum(x)),
    ],
  },
});
