import { DTypeError, IndexError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { broadcastShapes, normalizeDim, sameShape, showShape } from '../core/shape.ts';
import { type GradientRule, withGrad } from '../tensor/tape.ts';
import { Tensor } from '../tensor/tensor.ts';
import { assign_ } from './assign.ts';
import { full } from './creation.ts';
import { add, cast, mul } from './elementwise.ts';
import { scattered } from './gather.ts';
import {
  asRows,
  checked,
  type IndexItem,
  index,
  layout,
  locate,
  type Places,
  rowOf,
  type Settled,
  settle,
  sumAt,
  valueRows,
} from './indexing.ts';
import { fitting, numberOptions } from './options.ts';
import { checkOptions, compose, describe, deviceOf, deviceOfOperands, type Operand, taped } from './record.ts';
import { indices, type Samples, sample } from './samples.ts';
import { contiguous, expand, permute, reshape, unsqueeze } from './structure.ts';

/*
 * Values put where an index says: into a view as they are, and by scatters where there are integer tensors.
 */

/** The tensor with the values at the places that name them, the last one where several do. No gradient. */
function putAt(op: string, x: Tensor, at: Places, values: Tensor, row: Tensor): Tensor {
  const { rows, columns, order, back } = asRows(x.shape, at);
  const given = valueRows(op, x.shape, at, values);
  if (given.size === 0) return x;
  const table = reshape(permute(x, order), [rows, columns]);
  return back(scattered(op, 'last', table, 0, expand(unsqueeze(row, 1), given.shape), given, rows));
}

/** Options of `indexPut`. */
export interface IndexPutOptions {
  /** Add to what is there; places that are named several times get each value. */
  readonly accumulate?: boolean | undefined;
}

function put(op: string, x: Tensor, items: readonly IndexItem[], value: Operand, accumulate: boolean): Tensor {
  const settled = settle(op, x, items);
  const tensors = settled.filter((item) => item instanceof Tensor);
  const device = deviceOfOperands(op, [x, value, ...tensors]);
  const { dtype } = x;
  const fill = fitting(op, dtype, value);
  if (accumulate && dtype === 'bool')
    throw new DTypeError(`${op}: bools do not add up; convert with .to('int32'), or put them without accumulate`);
  return compose(op, () => {
    const out = withGrad(false, () => {
      const copy = contiguous(x);
      const { view, at } = locate(copy, settled);
      const { shape } = layout(op, view.shape, at);
      if (typeof fill !== 'number' && !sameShape(broadcastShapes(op, shape, fill.shape), shape))
        throw new ShapeError(
          `${op}: a value of shape ${showShape(fill.shape)} does not broadcast to ${showShape(shape)}, the shape of the indexed elements`,
        );
      const given = typeof fill === 'number' ? full([], fill, { dtype, device }) : cast(fill, dtype);
      const values = expand(given, shape);
      const row = at.size > 0 ? rowOf(op, view.shape, at, checked) : null;
      const changed =
        row && accumulate ? sumAt(op, view.shape, at, values, row) : row ? putAt(op, view, at, values, row) : values;
      assign_(view, accumulate ? add(view, changed) : changed);
      return copy;
    });
    // No handles: the tape keeps the tensors among the items.
    const pattern = settled.map((item) => (item instanceof Tensor ? undefined : item));
    const saves = tensors.map((_, i) => i + 2);
    return taped(op, { gradient: putGradient(op, pattern, accumulate), saves }, [x, value, ...tensors], out);
  });
}

function putGradient(
  op: string,
  pattern: readonly (Exclude<Settled, Tensor> | undefined)[],
  accumulate: boolean,
): GradientRule {
  return (g, { inputs: [, , ...saved], needs }) => {
    const tensors = saved.values();
    const items = pattern.map((item) => (item === undefined ? (tensors.next().value as Tensor) : item));
    return [
      needs[0] ? (accumulate ? g : put(op, g, items, 0, false)) : null,
      needs[1] ? index(g, ...items) : null,
      ...saved.map(() => null),
    ];
  };
}

/**
 * A copy of the tensor with a value at the places that the items name, as Python's `x[...] = value` (`torch.index_put`). The
 * value is a number or a tensor that broadcasts to what `index` gives. The last one counts where several go to one place, and
 * the gradient reaches all of them.
 *
 * @throws ShapeError when the value does not broadcast to the indexed elements.
 * @throws IndexError for a place out of range; where only the device knows it, at the next await.
 * @throws DTypeError for a value that the dtype cannot hold.
 * @example
 * ```ts
 * const framed = tl.zeros([4, 4]).indexPut([[0, -1]], 1); // ones in the first and the last row
 * ```
 */
export function indexPut(
  x: Tensor,
  items: readonly IndexItem[],
  value: Operand,
  options: IndexPutOptions = {},
): Tensor {
  checkOptions('indexPut', options, [], ['accumulate']);
  return put('indexPut', x, items, value, options.accumulate ?? false);
}

/** The items that index one dim, by one tensor or array. */
function along(op: string, x: Tensor, dim: number, places: Tensor | readonly number[]): IndexItem[] {
  deviceOf(op, [x]);
  const d = normalizeDim(op, dim, x.ndim);
  if (x.ndim === 0) throw new IndexError(`${op}: a scalar has no dims to index; use reshape([1]) first`);
  if (!(places instanceof Tensor) && !Array.isArray(places))
    throw new UnsupportedError(
      `${op}: the indices are ${describe(places)}; give an int32 tensor or an array of whole numbers`,
    );
  if (places instanceof Tensor && places.ndim > 1)
    throw new ShapeError(`${op}: indices must have one dim, got ${showShape(places.shape)}; use indexPut for more`);
  return [...Array.from({ length: d }, () => ':' as const), places];
}

function source(op: string, x: Tensor, dim: number, places: Tensor | readonly number[], values: Tensor): void {
  deviceOf(op, [x, values]);
  const d = normalizeDim(op, dim, x.ndim);
  const n = places instanceof Tensor ? places.size : places.length;
  const shape = x.shape.map((size, i) => (i === d ? n : size));
  if (!sameShape(values.shape, shape))
    throw new ShapeError(
      `${op}: the source has shape ${showShape(values.shape)}; ${n} indices in dim ${dim} of ${showShape(x.shape)} need ${showShape(shape)}`,
    );
}

/**
 * A copy of the tensor with one value, a number or a scalar tensor, at some places of a dim (`torch.index_fill`).
 *
 * @throws IndexError for a place out of range; where only the device knows it, at the next await.
 */
export function indexFill(x: Tensor, dim: number, places: Tensor | readonly number[], value: Operand): Tensor {
  const items = along('indexFill', x, dim, places);
  deviceOfOperands('indexFill', [x, value]);
  if (typeof value !== 'number' && value.ndim > 0)
    throw new ShapeError(
      `indexFill: the value has shape ${showShape(value.shape)}; it must be a scalar, use indexPut for more`,
    );
  return put('indexFill', x, items, value, false);
}

/**
 * A copy of the tensor with the slices of `values` at some places of a dim (`torch.index_copy`).
 *
 * @throws ShapeError unless `values` has the tensor's shape, with as many places in the dim as there are indices.
 */
export function indexCopy(x: Tensor, dim: number, places: Tensor | readonly number[], values: Tensor): Tensor {
  const items = along('indexCopy', x, dim, places);
  source('indexCopy', x, dim, places, values);
  return put('indexCopy', x, items, values, false);
}

/** Options of `indexAdd`. */
export interface IndexAddOptions {
  /** Factor of what is added; 1 by default. */
  readonly alpha?: number | undefined;
}

/**
 * A copy of the tensor with the slices of `values`, times `alpha`, added at some places of a dim; those that repeat add up
 * (`torch.index_add`).
 *
 * @throws ShapeError unless `values` has the tensor's shape, with as many places in the dim as there are indices.
 */
export function indexAdd(
  x: Tensor,
  dim: number,
  places: Tensor | readonly number[],
  values: Tensor,
  options: IndexAddOptions = {},
): Tensor {
  const { alpha } = numberOptions('indexAdd', options, { alpha: 1 });
  const items = along('indexAdd', x, dim, places);
  source('indexAdd', x, dim, places, values);
  return compose('indexAdd', () => put('indexAdd', x, items, alpha === 1 ? values : mul(values, alpha), true));
}

const inPlace =
  <R extends unknown[]>(name: string, op: (x: Tensor, ...rest: R) => Tensor) =>
  (x: Tensor, ...rest: R): Tensor =>
    compose(name, () => assign_(x, op(x, ...rest)));

/** `indexPut` in place, under the rules of `assign_` (`torch.Tensor.index_put_`). */
export const indexPut_: typeof indexPut = /* @__PURE__ */ inPlace('indexPut_', indexPut);
/** `indexFill` in place, under the rules of `assign_` (`torch.Tensor.index_fill_`). */
export const indexFill_: typeof indexFill = /* @__PURE__ */ inPlace('indexFill_', indexFill);
/** `indexCopy` in place, under the rules of `assign_` (`torch.Tensor.index_copy_`). */
export const indexCopy_: typeof indexCopy = /* @__PURE__ */ inPlace('indexCopy_', indexCopy);
/** `indexAdd` in place, under the rules of `assign_` (`torch.Tensor.index_add_`). */
export const indexAdd_: typeof indexAdd = /* @__PURE__ */ inPlace('indexAdd_', indexAdd);

const apart = (...values: number[]) => ({ shape: [values.length], dtype: 'int32', values }) as const;
const whole = { shape: [3, 4], dtype: 'int32' } as const;

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  indexPut: {
    calls: [
      sample(
        [
          [3, 4],
          [2, 1],
        ],
        (x, v) => indexPut(x, [{ start: 1 }, { step: 3 }], v),
      ),
      sample([[3, 4], apart(2, -3), [4]], (x, i, v) => indexPut(x, [i], v)),
      sample([[2, 5, 3], apart(4, 1), apart(0, 2), [2, 2]], (x, i, j, v) => indexPut(x, [':', i, j], v)),
      sample([[5, 2, 4], indices([3], 5), indices([3], 4), [3, 2]], (x, i, j, v) =>
        indexPut(x, [i, ':', j], v, { accumulate: true }),
      ),
      sample([[3, 4], []], (x, v) => indexPut(x, [null, 1], v, { accumulate: true })),
      sample([[3, 4], { shape: [], dtype: 'int32', values: [-1] }], (x, i) => indexPut(x, ['...', i], 2.5)),
      sample([whole, apart(1, 1, 0), { shape: [3, 4], dtype: 'int32' }], (x, i, v) => indexPut(x, [i], v)),
      sample([{ shape: [4], dtype: 'bool' }, apart(3)], (x, i) => indexPut(x, [i], 1)),
      sample([[3, 4], { shape: [0], dtype: 'int32' }], (x, i) => indexPut(x, [i], 1)),
    ],
  },
  indexPut_: {
    calls: [sample([[3, 4], apart(2, 0), [2, 4]], (x, i, v) => indexPut_(mul(x, 1), [i], v, { accumulate: true }))],
  },
  indexFill: {
    calls: [
      sample([[3, 4], apart(2, 0), []], (x, i, v) => indexFill(x, -1, i, v)),
      sample([whole], (x) => indexFill(x, 0, [0, -1], 7)),
    ],
  },
  indexFill_: { calls: [sample([[3, 4]], (x) => indexFill_(mul(x, 1), 1, [3, 0], -1))] },
  indexCopy: { calls: [sample([[3, 4], apart(1, 2), [2, 4]], (x, i, v) => indexCopy(x, 0, i, v))] },
  indexCopy_: { calls: [sample([[3, 4], apart(1, 2), [3, 2]], (x, i, v) => indexCopy_(mul(x, 1), 1, i, v))] },
  indexAdd: {
    calls: [
      sample([[3, 4], indices([5], 3), [5, 4]], (x, i, v) => indexAdd(x, 0, i, v, { alpha: -2 })),
      sample([whole, indices([2], 4), { shape: [3, 2], dtype: 'int32' }], (x, i, v) => indexAdd(x, -1, i, v)),
    ],
  },
  indexAdd_: {
    calls: [sample([[3, 4], indices([5], 3), [5, 4]], (x, i, v) => indexAdd_(mul(x, 1), 0, i, v))],
  },
});
