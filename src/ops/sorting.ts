import { ShapeError } from '../core/errors.ts';
import { normalizeDim, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import {
  bitcast,
  cast,
  select as choose,
  constant,
  type Expr,
  eq,
  isnan,
  load,
  lt,
  not,
  or,
  position,
  wide,
  xor,
} from '../ir/expr.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { gather } from './gather.ts';
import { checkOptions, compose, describe, deviceOf, produce } from './record.ts';
import type { ValuesIndices } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { movedim, reshape, slice } from './structure.ts';

const HIGH_BIT = 0x80000000;

/** A uint32 that is in the order of the values: -0 equals 0, and every NaN comes after infinity, as in PyTorch. */
function sortKey(x: Expr): Expr {
  const word = (v: number): Expr => constant(v, 'uint32');
  if (x.dtype === 'bool') return cast(x, 'uint32');
  if (x.dtype === 'uint32') return x;
  if (x.dtype === 'int32') return xor(bitcast(x, 'uint32'), word(HIGH_BIT));
  const bits = bitcast(choose(eq(x, 0), 0, x), 'uint32');
  const ordered = choose(lt(bits, word(HIGH_BIT)), or(bits, word(HIGH_BIT)), not(bits));
  return choose(isnan(x), word(0xffffffff), ordered);
}

/** Options of `sort` and `argsort`. */
export interface SortOptions {
  /** The dim to sort along; the last one by default. */
  readonly dim?: number | undefined;
  /** From the largest to the smallest. */
  readonly descending?: boolean | undefined;
  /** Equal elements stay in order. They always do: true and false are the same. */
  readonly stable?: boolean | undefined;
}

/** What `sort` and `argsort` are given, checked. */
function ordering(op: string, x: Tensor, options: SortOptions): { d: number; descending: boolean } {
  checkOptions(op, options, ['dim'], ['descending', 'stable']);
  deviceOf(op, [x]);
  const { dim = -1, descending = false } = options;
  return { d: normalizeDim(op, dim, x.ndim), descending };
}

function placesInOrder(op: string, x: Tensor, d: number, descending: boolean): Tensor {
  const device = deviceOf(op, [x]);
  return compose(op, () =>
    withGrad(false, () => {
      if (x.ndim === 0) return reshape(placesInOrder(op, reshape(x, [1]), 0, descending), []);
      const order = [...x.shape.map((_, i) => i).filter((i) => i !== d), d];
      const space = order.map((i) => x.shape[i]!);
      const key = sortKey(wide(load(0, x.dtype)));
      const out = produce(device, op, position.dtype, space, {
        template: template('sort', descending ? not(key) : key),
        space,
        inputs: [
          {
            node: x.node,
            access: { mode: 'direct', strides: order.map((i) => x.view.strides[i]!), offset: x.view.offset },
          },
        ],
      });
      return movedim(out, -1, d);
    }),
  );
}

/**
 * The places of the elements along a dim in ascending order, as int32 (`torch.argsort`). Equal elements stay in order, and NaN
 * counts as the largest.
 */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  const { d, descending } = ordering('argsort', x, options);
  return placesInOrder('argsort', x, d, descending);
}

/**
 * The elements along a dim in ascending order, and the places that they had (`torch.sort`). Equal elements stay in order, and
 * NaN counts as the largest. The gradient goes back to where each element came from.
 *
 * @throws IndexError for a dim that is not there.
 * @example
 * ```ts
 * const { values, indices } = tl.tensor([3, 1, 2]).sort(); // [1, 2, 3], [1, 2, 0]
 * ```
 */
export function sort(x: Tensor, options: SortOptions = {}): ValuesIndices {
  const { d, descending } = ordering('sort', x, options);
  return compose('sort', () => {
    const indices = placesInOrder('sort', x, d, descending);
    return { values: gather(x, d, indices), indices };
  });
}

/** Options of `topk`. */
export interface TopkOptions {
  /** The dim to search; the last one by default. */
  readonly dim?: number | undefined;
  /** The smallest elements where false. */
  readonly largest?: boolean | undefined;
  /** In order. They always are: true and false are the same. */
  readonly sorted?: boolean | undefined;
}

/**
 * The k largest elements along a dim, the largest first, and their places (`torch.topk`); of equal elements the first. NaN counts
 * as the largest.
 *
 * @throws ShapeError when the dim has fewer than k elements.
 */
export function topk(x: Tensor, k: number, options: TopkOptions = {}): ValuesIndices {
  checkOptions('topk', options, ['dim'], ['largest', 'sorted']);
  deviceOf('topk', [x]);
  const { dim = -1, largest = true } = options;
  const d = normalizeDim('topk', dim, x.ndim);
  const n = x.shape[d] ?? 1;
  if (!Number.isInteger(k) || k < 0 || k > n)
    throw new ShapeError(
      `topk: k is ${describe(k)} of dim ${d} of ${showShape(x.shape)}, which has ${n} elements; use a whole number from 0 to ${n}`,
    );
  return compose('topk', () => {
    const all = placesInOrder('topk', x, d, largest);
    const indices = x.ndim === 0 ? all : slice(all, d, 0, k);
    return { values: gather(x, d, indices), indices };
  });
}

const apart = (shape: readonly number[]): Drawn => ({ shape, distinct: true });
const ties: Drawn = { shape: [3, 40], dtype: 'int32', range: [-3, 3] };
const both = ({ values, indices }: ValuesIndices): readonly Tensor[] => [values, indices];
const integral = 'places are integers, which do not change with the elements';

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  argsort: {
    noGradient: integral,
    calls: [
      sample([[3, 7]], (x) => argsort(x)),
      sample([[3, 7]], (x) => argsort(x, { dim: 0, descending: true })),
      sample([ties], (x) => argsort(x, { stable: true })),
      sample([[2, 0]], (x) => argsort(x)),
    ],
  },
  sort: {
    calls: [
      sample([apart([3, 7])], (x) => both(sort(x))),
      sample([apart([5, 2, 3])], (x) => both(sort(x, { dim: 0, descending: true }))),
      sample([apart([])], (x) => both(sort(x))),
      sample([apart([0, 3])], (x) => both(sort(x, { dim: 0 }))),
      sample([apart([2, 129])], (x) => both(sort(x))),
      sample([ties], (x) => both(sort(x, { descending: true }))),
      sample([{ shape: [9], dtype: 'bool', range: [0, 1] }], (x) => both(sort(x))),
      sample([{ shape: [9], dtype: 'uint32', range: [0, 9] }], (x) => both(sort(x))),
    ],
  },
  topk: {
    calls: [
      sample([apart([3, 7])], (x) => both(topk(x, 2))),
      sample([apart([7, 3])], (x) => both(topk(x, 3, { dim: 0, largest: false }))),
      sample([apart([5])], (x) => both(topk(x, 0))),
      sample([ties], (x) => both(topk(x, 5))),
    ],
  },
});
