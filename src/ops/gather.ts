import { computed, type DType } from '../core/dtype.ts';
import { DTypeError, IndexError, ShapeError } from '../core/errors.ts';
import { normalizeDim, type Shape, showShape, sizeOf } from '../core/shape.ts';
import { type NodeInput, template, templates } from '../engine/node.ts';
import { add, cast as castTo, select as choose, type Expr, eq, index, load, loadAt, result } from '../ir/expr.ts';
import type { ScatterOp } from '../ir/kernel.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arange, full, zeros } from './creation.ts';
import { cast, eq as equal } from './elementwise.ts';
import { where } from './functions.ts';
import { cat } from './joins.ts';
import { fittingNumber } from './options.ts';
import {
  compose,
  currentOp,
  deviceOf,
  deviceOfOperands,
  produce,
  reading,
  readingAt,
  reduceNode,
  taped,
} from './record.ts';
import { indices, type Samples, sample } from './samples.ts';
import { coordinates, expand, movedim, narrow, reshape, slice, unslice } from './structure.ts';

/*
 * Ops that pick elements by index tensors, and those that put them there: each the other's gradient. Indices that are out of
 * range are found on the device, and end in an IndexError at the next await.
 */

/** @internal Refuses indices that are no integers. */
export function integers(op: string, t: Tensor): void {
  if (t.dtype !== 'int32' && t.dtype !== 'uint32')
    throw new DTypeError(`${op}: indices must be int32, got ${t.dtype}; convert them with .to('int32')`);
}

const gathering = /* @__PURE__ */ templates((dtype: DType, indices: DType, rank: number, dim: number) =>
  template('map', loadAt(0, dtype, coordinates(rank, dim, castTo(load(1, indices), 'int32'))), ['int32']),
);

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
  if (x.ndim === 0) return compose('gather', () => reshape(gather(reshape(x, [1]), 0, reshape(indices, [1])), []));
  const operation = {
    template: gathering(x.dtype, indices.dtype, x.ndim, d),
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

/** Lines of at most so many elements are searched by each place: such a sum fuses with its neighbours, which a scatter does not. */
const SHORT_LINE = 4;

/**
 * @internal The gradient of `gather`: a tensor of `n` places along the dim, each the sum of the elements whose index names it, in
 * their order.
 */
export function scatterSum(values: Tensor, dim: number, indices: Tensor, n: number): Tensor {
  const short = indices.shape[dim]! <= SHORT_LINE;
  const out = short
    ? searchedSum(values, dim, indices, n)
    : scattered('scatterSum', 'sum', null, dim, indices, values, n);
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    gather(g, dim, inputs[1]!),
    null,
  ];
  return taped('scatterSum', { gradient, saves: [1] }, [values, indices], out);
}

/** Every place looks at every element of its line. */
function searchedSum(values: Tensor, dim: number, indices: Tensor, n: number): Tensor {
  const device = deviceOf('scatterSum', [values, indices]);
  const shape = indices.shape.map((size, d) => (d === dim ? n : size));
  const space = [...shape, indices.shape[dim]!];
  const over = (t: Tensor): NodeInput => ({
    node: t.node,
    access: {
      mode: 'direct',
      strides: [...t.view.strides.map((s, d) => (d === dim ? 0 : s)), t.view.strides[dim]!],
      offset: t.view.offset,
    },
  });
  const here = castTo(index(dim), indices.dtype);
  const expr = choose(eq(load(1, indices.dtype), here), load(0, values.dtype), 0);
  return reduceNode(device, 'scatterSum', 'sum', expr, space, 1, [over(values), over(indices)]);
}

/**
 * @internal The kernel behind scatters: elements go to `n` places along a dim, on top of `base` where it is given. Without a gradient.
 * Base, values and indices agree in all other dims.
 */
export function scattered(
  op: string,
  reduce: ScatterOp,
  base: Tensor | null,
  dim: number,
  indices: Tensor,
  values: Tensor,
  n: number,
): Tensor {
  const device = deviceOf(op, base ? [base, values, indices] : [values, indices]);
  return compose(op, () =>
    withGrad(false, () => {
      const dtype = computed(values.dtype);
      if (dtype !== values.dtype) {
        const wide = (t: Tensor): Tensor => cast(t, dtype);
        return cast(scattered(op, reduce, base && wide(base), dim, indices, wide(values), n), values.dtype);
      }
      const places = cast(indices, 'int32');
      const order = [...indices.shape.map((_, d) => d).filter((d) => d !== dim), dim];
      const over = (t: Tensor): NodeInput => ({
        node: t.node,
        access: { mode: 'direct', strides: order.map((d) => t.view.strides[d]!), offset: t.view.offset },
      });
      const space = order.map((d) => indices.shape[d]!);
      const shape: Shape = [...space.slice(0, -1), n];
      const arrived = result(0, values.dtype);
      const before = (): Expr => load(2, values.dtype);
      const expr = !base
        ? arrived
        : reduce === 'last'
          ? choose(result(1, 'bool'), arrived, before())
          : add(before(), arrived);
      const operation = {
        template: template('scatter', expr, ['int32'], { reduce, check: 0 }),
        space,
        k: n,
        size: sizeOf(shape),
        inputs: [over(places), over(values), ...(base ? [over(base)] : [])],
        scalars: [device.engine.checkCode(currentOp(op))],
      };
      return movedim(produce(device, op, values.dtype, shape, operation), -1, dim);
    }),
  );
}

/** Places of a dim picked by a 1-d index tensor (`torch.index_select`). Indices out of range give an IndexError at the next await. */
export function indexSelect(x: Tensor, dim: number, indices: Tensor): Tensor {
  deviceOf('indexSelect', [x, indices]);
  integers('indexSelect', indices);
  if (indices.ndim > 1)
    throw new ShapeError(
      `indexSelect: indices must have one dim, got ${showShape(indices.shape)}; use gather for more`,
    );
  const d = normalizeDim('indexSelect', dim, x.ndim);
  if (x.ndim === 0) throw new IndexError('indexSelect: a scalar has no dims to select from; use reshape([1]) first');
  return compose('indexSelect', () => gather(x, d, lined(x, d, indices)));
}

/** 1-d indices along a dim, the same for every line of the tensor. */
function lined(x: Tensor, dim: number, indices: Tensor): Tensor {
  const along = reshape(
    indices,
    x.shape.map((_, i) => (i === dim ? -1 : 1)),
  );
  return expand(
    along,
    x.shape.map((n, i) => (i === dim ? indices.size : n)),
  );
}

/** What a scatter is given, checked: the dim, and the part of the source that the indices reach. */
function targets(op: string, x: Tensor, dim: number, indices: Tensor, source: Tensor): { d: number; source: Tensor } {
  integers(op, indices);
  const d = normalizeDim(op, dim, x.ndim);
  if (source.dtype !== x.dtype)
    throw new DTypeError(
      `${op}: the source is ${source.dtype} and the tensor ${x.dtype}; convert the source with .to('${x.dtype}')`,
    );
  const fits = (to: Tensor, except: number): boolean =>
    to.ndim === indices.ndim && indices.shape.every((n, i) => i === except || n <= to.shape[i]!);
  if (!fits(x, d) || !fits(source, -1))
    throw new ShapeError(
      `${op}: indices ${showShape(indices.shape)} must have as many dims as the tensor ${showShape(x.shape)} and the source ` +
        `${showShape(source.shape)}, and be no larger than the source, nor than the tensor but in dim ${d}`,
    );
  let part = source;
  indices.shape.forEach((n, i) => {
    if (part.shape[i] !== n) part = narrow(part, i, 0, n);
  });
  return { d, source: part };
}

/** A scatter into the part of the tensor that the indices reach in the other dims; the rest stays. */
function within(x: Tensor, d: number, indices: Tensor, put: (part: Tensor) => Tensor): Tensor {
  const smaller = indices.shape.map((_, i) => i).filter((i) => i !== d && indices.shape[i] !== x.shape[i]);
  const corner = (dims: readonly number[]): Tensor => dims.reduce((t, i) => narrow(t, i, 0, indices.shape[i]!), x);
  let out = put(corner(smaller));
  smaller.forEach((i, k) => {
    out = cat([out, slice(corner(smaller.slice(k + 1)), i, indices.shape[i]!)], i);
  });
  return out;
}

/** `base` plus elements at their places. */
function added(base: Tensor, d: number, indices: Tensor, source: Tensor): Tensor {
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    g,
    null,
    gather(g, d, inputs[1]!),
  ];
  const out = scattered('scatterAdd', 'sum', base, d, indices, source, base.shape[d]!);
  return taped('scatterAdd', { gradient, saves: [1] }, [base, indices, source], out);
}

/** `base` with elements at their places: the last one where several go to the same. */
function replaced(base: Tensor, d: number, indices: Tensor, source: Tensor): Tensor {
  const n = base.shape[d]!;
  const gradient = (
    g: Tensor,
    { inputs, needs }: { inputs: readonly Tensor[]; needs: readonly boolean[] },
  ): (Tensor | null)[] => {
    const at = inputs[1]!;
    const line = lined(at, d, arange(at.shape[d]!, { dtype: 'int32', device: at.device }));
    const last = withGrad(false, () => scattered('scatter', 'last', null, d, at, line, n));
    return [
      needs[0] ? replaced(g, d, at, zeros(at.shape, { dtype: g.dtype, device: g.device })) : null,
      null,
      needs[2] ? where(equal(gather(last, d, at), line), gather(g, d, at), 0) : null,
    ];
  };
  const out = scattered('scatter', 'last', base, d, indices, source, n);
  return taped('scatter', { gradient, saves: [1] }, [base, indices, source], out);
}

/**
 * A tensor with the elements of a source added at the places along a dim that an index tensor names (`torch.scatter_add`). They
 * are added in their order, on every device, so that the result is the same in every run.
 *
 * @throws ShapeError when the indices are larger than the source, or than the tensor in another dim.
 * @example
 * ```ts
 * const labels = tl.tensor([0, 1, 0], { dtype: 'int32' });
 * const counts = tl.zeros([2]).scatterAdd(0, labels, tl.ones([3])); // [2, 1]
 * ```
 */
export function scatterAdd(x: Tensor, dim: number, indices: Tensor, source: Tensor): Tensor {
  deviceOf('scatterAdd', [x, indices, source]);
  return compose('scatterAdd', () => {
    if (x.ndim === 0 && indices.ndim === 0 && source.ndim === 0)
      return reshape(scatterAdd(reshape(x, [1]), 0, reshape(indices, [1]), reshape(source, [1])), []);
    const { d, source: part } = targets('scatterAdd', x, dim, indices, source);
    return within(x, d, indices, (base) => added(base, d, indices, part));
  });
}

/**
 * A tensor with the elements of a source, or a number, at the places along a dim that an index tensor names (`torch.scatter`). Where
 * several go to one place the last one stays, on every device, and has the gradient.
 *
 * @throws ShapeError when the indices are larger than the source, or than the tensor in another dim.
 */
export function scatter(x: Tensor, dim: number, indices: Tensor, source: Tensor | number): Tensor {
  deviceOf('scatter', [x, indices]);
  deviceOfOperands('scatter', [x, source]);
  return compose('scatter', () => {
    if (typeof source === 'number') {
      const value = fittingNumber('scatter', x.dtype, source);
      return scatter(x, dim, indices, full(indices.shape, value, { dtype: x.dtype, device: x.device }));
    }
    if (x.ndim === 0 && indices.ndim === 0 && source.ndim === 0)
      return reshape(scatter(reshape(x, [1]), 0, reshape(indices, [1]), reshape(source, [1])), []);
    const { d, source: part } = targets('scatter', x, dim, indices, source);
    return within(x, d, indices, (base) => replaced(base, d, indices, part));
  });
}

const pick = (n: number) => indices([2, 3], n);

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  gather: {
    calls: [
      sample([[4, 3], indices([2, 3], 4)], (x, i) => gather(x, 0, i)),
      sample([[2, 5], indices([2, 7], 5)], (x, i) => gather(x, -1, i)),
      sample([[3, 2, 4], indices([2, 5, 3], 2)], (x, i) => gather(x, 1, i)),
      sample([[5], indices([0], 5)], (x, i) => gather(x, 0, i)),
      sample([{ shape: [6], dtype: 'int32', range: [-9, 9] }, indices([8], 6)], (x, i) => gather(x, 0, i)),
      sample([{ shape: [6], dtype: 'bool', range: [0, 1] }, indices([8], 6)], (x, i) => gather(x, 0, i)),
    ],
  },
  indexSelect: {
    calls: [
      sample([[5, 3], indices([7], 5)], (x, i) => indexSelect(x, 0, i)),
      sample([[2, 4, 3], indices([9], 3)], (x, i) => indexSelect(x, -1, i)),
      sample([[3], { shape: [], dtype: 'int32', values: [2] }], (x, i) => indexSelect(x, 0, i)),
      sample([[4, 2], indices([0], 4)], (x, i) => indexSelect(x, 0, i)),
    ],
  },
  scatterAdd: {
    calls: [
      sample([[4, 3], pick(4), [2, 3]], (x, i, s) => scatterAdd(x, 0, i, s)),
      sample([[2, 3], indices([2, 9], 3), [2, 9]], (x, i, s) => scatterAdd(x, 1, i, s)),
      sample([[5, 4], indices([2, 3], 4), [3, 4]], (x, i, s) => scatterAdd(x, -1, i, s)),
      sample([[3], indices([0], 3), [0]], (x, i, s) => scatterAdd(x, 0, i, s)),
      sample(
        [
          { shape: [3], dtype: 'int32', range: [0, 5] },
          indices([8], 3),
          { shape: [8], dtype: 'int32', range: [-5, 5] },
        ],
        (x, i, s) => scatterAdd(x, 0, i, s),
      ),
    ],
  },
  scatter: {
    calls: [
      sample([[4, 3], pick(4), [2, 3]], (x, i, s) => scatter(x, 0, i, s)),
      sample([[2, 3], indices([2, 9], 3), [2, 9]], (x, i, s) => scatter(x, 1, i, s)),
      sample([[5, 4], indices([2, 3], 4), [3, 4]], (x, i, s) => scatter(x, -1, i, s)),
      sample([[4, 3], pick(4)], (x, i) => scatter(x, 0, i, 2.5)),
      sample(
        [{ shape: [3], dtype: 'bool', range: [0, 1] }, indices([4], 3), { shape: [4], dtype: 'bool', range: [0, 1] }],
        (x, i, s) => scatter(x, 0, i, s),
      ),
    ],
  },
});
