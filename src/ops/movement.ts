import type { DType } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { checkShape, checkSizes, normalizeDim, normalizeDims, type Shape, showShape, sizeOf } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { add, select as choose, type Expr, index, le, load, loadAt, lt, sub, uniform } from '../ir/expr.ts';
import type { GradientRule } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  checkOptions,
  compose,
  describe,
  deviceOf,
  deviceOfAll,
  produce,
  reading,
  readingAt,
  resolveShape,
  taped,
} from './record.ts';
import { type Samples, sample } from './samples.ts';
import { contiguous, diagonal, expand, flatten, reshape, sum, transpose, undiagonal, unsqueeze } from './structure.ts';

/*
 * Ops that put elements into another order, repeat them or blank some out. Their gradients are each other.
 */

/** @internal Throws unless a number is a whole one, of at least `least`. */
export function checkWhole(op: string, name: string, value: unknown, least: number = Number.MIN_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || (value as number) < least)
    throw new ShapeError(
      `${op}: ${name} is ${describe(value)}, but it must be a whole number${least > Number.MIN_SAFE_INTEGER ? ` of at least ${least}` : ''}`,
    );
}

/** @internal A whole number for each of so many dims, given as one for all or as a list. */
export function perDim(
  op: string,
  name: string,
  value: number | readonly number[],
  dims: number,
  least: number,
): readonly number[] {
  const list: readonly number[] = typeof value === 'number' ? new Array<number>(dims).fill(value) : value;
  if (!Array.isArray(list) || list.length !== dims)
    throw new ShapeError(
      `${op}: ${name} is ${Array.isArray(value) ? showShape(value) : describe(value)}, but it must be a number or ${dims === 1 ? 'a list of one' : `one for each of the ${dims} dims`}`,
    );
  for (const n of list) checkWhole(op, name, n, least);
  return list;
}

/** One number or several as an array; a ShapeError for anything else. */
function listOf(op: string, value: number | readonly number[]): readonly number[] {
  if (typeof value === 'number') return [value];
  checkSizes(op, value);
  return value;
}

/** The elements at other coordinates of the same shape. */
function rearranged(
  op: string,
  x: Tensor,
  at: readonly Expr[],
  scalars: readonly number[],
  gradient: GradientRule,
): Tensor {
  const device = deviceOf(op, [x]);
  const dtypes = scalars.map((): DType => 'int32');
  const operation = {
    template: template('map', loadAt(0, x.dtype, at), dtypes),
    space: x.shape,
    inputs: [readingAt(x, null)],
    scalars,
  };
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, x.shape, operation));
}

/**
 * The elements in reverse order along some dims (`torch.flip`). A copy.
 *
 * @throws ShapeError when a dim is named twice.
 * @example
 * ```ts
 * const down = tl.arange(3).flip([0]); // 2, 1, 0
 * ```
 */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  deviceOf('flip', [x]);
  const list = listOf('flip', dims);
  const flipped = list.length === 0 ? [] : normalizeDims('flip', list, x.ndim);
  if (flipped.length === 0) return compose('flip', () => contiguous(x));
  const ends: number[] = [];
  const at = x.shape.map((n, d) =>
    flipped.includes(d) ? sub(uniform(ends.push(n - 1) - 1, 'int32'), index(d)) : index(d),
  );
  return rearranged('flip', x, at, ends, (g) => [flip(g, flipped)]);
}

/** `flip` of dim 1, the columns (`torch.fliplr`); at least two dims. */
export function fliplr(x: Tensor): Tensor {
  deviceOf('fliplr', [x]);
  if (x.ndim < 2) throw new ShapeError(`fliplr: ${showShape(x.shape)} has no dim 1; use flip([0])`);
  return compose('fliplr', () => flip(x, [1]));
}

/** `flip` of dim 0, the rows (`torch.flipud`); at least one dim. */
export function flipud(x: Tensor): Tensor {
  deviceOf('flipud', [x]);
  if (x.ndim < 1) throw new ShapeError('flipud: a scalar has no dims to flip; use reshape([1]) first');
  return compose('flipud', () => flip(x, [0]));
}

/**
 * Turned by 90 degrees `k` times in the plane of two dims, from the first towards the second (`torch.rot90`). A copy unless a
 * transposed view will do.
 *
 * @throws ShapeError unless the dims are two different ones.
 */
export function rot90(x: Tensor, k = 1, dims: readonly [number, number] = [0, 1]): Tensor {
  deviceOf('rot90', [x]);
  checkWhole('rot90', 'k', k);
  checkSizes('rot90', dims);
  const plane = dims.map((d) => normalizeDim('rot90', d, x.ndim));
  const [a, b] = plane as [number, number];
  if (plane.length !== 2 || a === b || x.ndim < 2)
    throw new ShapeError(`rot90: dims ${showShape(dims)} of ${showShape(x.shape)} must be two different ones`);
  return compose('rot90', () => {
    switch (((k % 4) + 4) % 4) {
      case 0:
        return contiguous(x);
      case 1:
        return transpose(flip(x, b), a, b);
      case 2:
        return flip(x, [a, b]);
      default:
        return transpose(flip(x, a), a, b);
    }
  });
}

/**
 * The elements moved along by `shifts` places; what leaves at the end comes back at the start (`torch.roll`). Without dims the
 * flattened tensor is rolled. A copy.
 *
 * @throws ShapeError unless there is one shift for each dim.
 * @example
 * ```ts
 * const next = tl.arange(4).roll(1); // 3, 0, 1, 2
 * ```
 */
export function roll(x: Tensor, shifts: number | readonly number[], dims?: number | readonly number[]): Tensor {
  deviceOf('roll', [x]);
  const by = listOf('roll', shifts);
  for (const shift of by) checkWhole('roll', 'a shift', shift);
  if (dims === undefined) {
    if (by.length !== 1)
      throw new ShapeError(`roll: shifts ${showShape(by)} without dims; give one dim for each, or a single shift`);
    return compose('roll', () => reshape(roll(flatten(x), by, [0]), x.shape));
  }
  const list = listOf('roll', dims).map((d) => normalizeDim('roll', d, x.ndim));
  if (list.length !== by.length)
    throw new ShapeError(
      `roll: ${by.length} shifts ${showShape(by)} for ${list.length} dims ${showShape(list)}; give one for each`,
    );
  if (x.ndim === 0) return compose('roll', () => contiguous(x));
  const scalars: number[] = [];
  const at = x.shape.map((n, d) => {
    if (!list.includes(d)) return index(d);
    const shift = list.reduce((total, other, i) => (other === d ? (total + (by[i]! % n)) % n : total), 0);
    const place = sub(index(d), uniform(scalars.push(n === 0 ? 0 : (shift + n) % n) - 1, 'int32'));
    return choose(lt(place, 0), add(place, uniform(scalars.push(n) - 1, 'int32')), place);
  });
  return rearranged('roll', x, at, scalars, (g) => [
    roll(
      g,
      by.map((shift) => -shift),
      list,
    ),
  ]);
}

/**
 * The tensor beside itself `repeats` times along each dim; more repeats than dims add dims in front (`torch.Tensor.repeat`). A
 * copy.
 *
 * @throws ShapeError when there are fewer repeats than dims.
 * @example
 * ```ts
 * const wall = tl.ones([2, 3]).repeat([4, 2]); // shape [8, 6]
 * ```
 */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  deviceOf('repeat', [x]);
  checkShape('repeat', repeats);
  const pad = repeats.length - x.ndim;
  if (pad < 0)
    throw new ShapeError(
      `repeat: ${showShape(repeats)} must hold a number for each of the ${x.ndim} dims of ${showShape(x.shape)}; use 1 to keep a dim, or tile`,
    );
  const from = [...new Array<number>(pad).fill(1), ...x.shape];
  const to = from.map((n, d) => n * repeats[d]!);
  checkShape('repeat', to);
  return compose('repeat', () => {
    const apart = reshape(
      x,
      from.flatMap((n) => [1, n]),
    );
    const wide = expand(
      apart,
      from.flatMap((n, d) => [repeats[d]!, n]),
    );
    return copied(x, reshape(wide, to));
  });
}

/** A copy, where there is only a view so far. */
const copied = (x: Tensor, out: Tensor): Tensor => (out.cell === x.cell ? contiguous(out) : out);

/** `repeat`, where fewer numbers than dims leave the first dims as they are (`torch.tile`). A copy. */
export function tile(x: Tensor, dims: readonly number[]): Tensor {
  deviceOf('tile', [x]);
  checkShape('tile', dims);
  return compose('tile', () => repeat(x, [...new Array<number>(Math.max(0, x.ndim - dims.length)).fill(1), ...dims]));
}

/** Options of `repeatInterleave`. */
export interface RepeatInterleaveOptions {
  /** The dim along which elements repeat; the flattened tensor by default. */
  readonly dim?: number | undefined;
}

/**
 * Each element `repeats` times in a row, along a dim or of the flattened tensor (`torch.repeat_interleave`). A copy.
 *
 * @throws ShapeError unless repeats is a whole number of at least 0.
 * @example
 * ```ts
 * const pairs = tl.arange(3).repeatInterleave(2); // 0, 0, 1, 1, 2, 2
 * ```
 */
export function repeatInterleave(x: Tensor, repeats: number, options: RepeatInterleaveOptions = {}): Tensor {
  deviceOf('repeatInterleave', [x]);
  checkOptions('repeatInterleave', options, ['dim']);
  checkWhole('repeatInterleave', 'repeats', repeats, 0);
  const { dim } = options;
  const d = normalizeDim('repeatInterleave', dim === undefined ? 0 : dim, x.ndim);
  return compose('repeatInterleave', () => {
    const source = dim === undefined ? flatten(x) : x.ndim === 0 ? unsqueeze(x, 0) : x;
    const wide = source.shape.flatMap((n, i) => (i === d ? [n, repeats] : [n]));
    const to = source.shape.map((n, i) => (i === d ? n * repeats : n));
    return copied(x, reshape(expand(unsqueeze(source, d + 1), wide), to));
  });
}

function triangle(op: 'tril' | 'triu', x: Tensor, k: number): Tensor {
  const device = deviceOf(op, [x]);
  checkWhole(op, 'diagonal', k);
  if (x.ndim < 2)
    throw new ShapeError(`${op}: needs at least two dims, got ${showShape(x.shape)}; use reshape to add some`);
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const place = sub(index(x.ndim - 1), index(x.ndim - 2));
  const bound = uniform(0, 'int32');
  const kept = op === 'tril' ? le(place, bound) : le(bound, place);
  const operation = {
    template: template('map', choose(kept, load(0, x.dtype), 0), ['int32']),
    space: x.shape,
    inputs: [reading(x, x.shape)],
    scalars: [Math.min(Math.max(k, -rows), columns)],
  };
  const gradient: GradientRule = (g) => [triangle(op, g, k)];
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, x.shape, operation));
}

/**
 * Matrices with zeros above a diagonal, `diagonal` places above the main one (`torch.tril`). Any batch dims.
 *
 * @throws ShapeError for less than two dims.
 */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return triangle('tril', x, diagonal);
}

/**
 * Matrices with zeros below a diagonal, `diagonal` places above the main one (`torch.triu`). Any batch dims.
 *
 * @throws ShapeError for less than two dims.
 */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return triangle('triu', x, diagonal);
}

/**
 * A square matrix with a vector on its diagonal and zeros elsewhere; of a matrix, a copy of its diagonal (`torch.diag`).
 *
 * @throws ShapeError unless the tensor has one or two dims.
 * @example
 * ```ts
 * const scale = tl.tensor([1, 2, 3]).diag(); // shape [3, 3]
 * ```
 */
export function diag(x: Tensor, offset = 0): Tensor {
  deviceOf('diag', [x]);
  checkWhole('diag', 'diagonal', offset);
  if (x.ndim !== 1 && x.ndim !== 2)
    throw new ShapeError(`diag: needs a vector or a matrix, got ${showShape(x.shape)}; use diagonal for more dims`);
  return compose('diag', () => {
    if (x.ndim === 2) return contiguous(diagonal(x, offset));
    const n = x.size + Math.abs(offset);
    checkShape('diag', [n, n]);
    return undiagonal(x, [n, n], offset, 0, 1);
  });
}

/**
 * The sum of a matrix's diagonal (`torch.trace`).
 *
 * @throws ShapeError unless the tensor has two dims.
 */
export function trace(x: Tensor): Tensor {
  deviceOf('trace', [x]);
  if (x.ndim !== 2)
    throw new ShapeError(`trace: needs a matrix, got ${showShape(x.shape)}; sum a diagonal for more dims`);
  return compose('trace', () => sum(diagonal(x)));
}

/**
 * A dim split into several, one of whose sizes may be -1 (`torch.unflatten`). A view.
 *
 * @throws ShapeError when the sizes do not multiply to that of the dim.
 * @example
 * ```ts
 * const heads = tl.ones([2, 12]).unflatten(1, [3, -1]); // shape [2, 3, 4]
 * ```
 */
export function unflatten(x: Tensor, dim: number, sizes: Shape): Tensor {
  deviceOf('unflatten', [x]);
  const d = normalizeDim('unflatten', dim, x.ndim);
  const n = x.shape[d];
  if (n === undefined || sizes.length === 0)
    throw new ShapeError(
      `unflatten: dim ${dim} of ${showShape(x.shape)} does not split into ${showShape(sizes)}; use reshape`,
    );
  const split = resolveShape('unflatten', n, sizes);
  checkShape('unflatten', split);
  if (sizeOf(split) !== n)
    throw new ShapeError(
      `unflatten: sizes ${showShape(sizes)} must multiply to ${n}, the size of dim ${dim} of ${showShape(x.shape)}`,
    );
  return compose('unflatten', () => reshape(x, [...x.shape.slice(0, d), ...split, ...x.shape.slice(d + 1)]));
}

/** Options of `meshgrid`. */
export interface MeshgridOptions {
  /** 'ij' (the default): dims in the order of the tensors. 'xy': the first two swapped, as for plots. */
  readonly indexing?: 'ij' | 'xy' | undefined;
}

/**
 * The coordinates of a grid: for each vector its elements along a dim of its own, repeated along those of the others
 * (`torch.meshgrid`). Scalars count as vectors of one element. Views.
 *
 * @throws ShapeError for a tensor of more than one dim.
 * @throws DTypeError when the dtypes differ.
 * @example
 * ```ts
 * const [rows, columns] = tl.meshgrid([tl.arange(2), tl.arange(3)]); // two of shape [2, 3]
 * ```
 */
export function meshgrid(tensors: readonly Tensor[], options: MeshgridOptions = {}): Tensor[] {
  checkOptions('meshgrid', options, ['indexing']);
  const { indexing = 'ij' } = options;
  if (indexing !== 'ij' && indexing !== 'xy')
    throw new UnsupportedError(`meshgrid: indexing is ${describe(indexing)}; use 'ij' or 'xy'`);
  if (tensors?.length !== 0) deviceOfAll('meshgrid', tensors);
  const [first] = tensors;
  if (!first) throw new UnsupportedError('meshgrid: the list is empty; give at least one tensor');
  for (const t of tensors) {
    if (t.ndim > 1) throw new ShapeError(`meshgrid: takes vectors, got ${showShape(t.shape)}; flatten it first`);
    if (t.dtype !== first.dtype)
      throw new DTypeError(`meshgrid: the tensors are ${first.dtype} and ${t.dtype}; convert them to one dtype`);
  }
  const place = (i: number): number => (indexing === 'xy' && tensors.length > 1 && i < 2 ? 1 - i : i);
  const shape = tensors.map((_, i) => tensors[place(i)]!.size);
  checkShape('meshgrid', shape);
  return compose('meshgrid', () =>
    tensors.map((t, i) =>
      expand(
        reshape(
          t,
          shape.map((_, d) => (d === place(i) ? t.size : 1)),
        ),
        shape,
      ),
    ),
  );
}

/** @internal */
export const samples = (): Samples => ({
  flip: {
    calls: [
      sample([[3, 4]], (x) => flip(x, [0])),
      sample([[2, 3, 5]], (x) => flip(x, [-1, 0])),
      sample([{ shape: [2, 3], dtype: 'bool' }], (x) => flip(x, 1)),
      sample([[0, 3]], (x) => flip(x, [0, 1])),
      sample([[]], (x) => flip(x, [0])),
      sample([[3]], (x) => flip(x, [])),
    ],
  },
  fliplr: { calls: [sample([[2, 3]], fliplr), sample([{ shape: [2, 3, 2], dtype: 'int32' }], fliplr)] },
  flipud: { calls: [sample([[3]], flipud), sample([[3, 2]], flipud)] },
  rot90: {
    calls: [
      sample([[2, 3]], (x) => rot90(x)),
      sample([[2, 3]], (x) => rot90(x, 2)),
      sample([[2, 3, 4]], (x) => rot90(x, -1, [2, 0])),
      sample([{ shape: [2, 3], dtype: 'int32' }], (x) => rot90(x, 4)),
    ],
  },
  roll: {
    calls: [
      sample([[7]], (x) => roll(x, 2, 0)),
      sample([[3, 5]], (x) => roll(x, [-4, 13], [0, -1])),
      sample([[3, 5]], (x) => roll(x, [1, 1], [1, 1])),
      sample([[2, 3]], (x) => roll(x, -2)),
      sample([{ shape: [2, 3], dtype: 'bool' }], (x) => roll(x, 1, 1)),
      sample([[0, 3]], (x) => roll(x, [1, 1], [0, 1])),
      sample([[]], (x) => roll(x, 1)),
    ],
  },
  repeat: {
    calls: [
      sample([[2, 3]], (x) => repeat(x, [2, 3])),
      sample([[3]], (x) => repeat(x, [2, 1, 2])),
      sample([[1, 3]], (x) => repeat(x, [3, 1])),
      sample([[]], (x) => repeat(x, [2])),
      sample([[2, 3]], (x) => repeat(x, [0, 2])),
      sample([{ shape: [2, 2], dtype: 'int32' }], (x) => repeat(x, [1, 1])),
    ],
  },
  tile: {
    calls: [
      sample([[2, 3]], (x) => tile(x, [2])),
      sample([[3]], (x) => tile(x, [2, 2])),
      sample([{ shape: [2, 1], dtype: 'bool' }], (x) => tile(x, [1, 3])),
    ],
  },
  repeatInterleave: {
    calls: [
      sample([[2, 3]], (x) => repeatInterleave(x, 2)),
      sample([[2, 3]], (x) => repeatInterleave(x, 3, { dim: 0 })),
      sample([[2, 3]], (x) => repeatInterleave(x, 2, { dim: -1 })),
      sample([[]], (x) => repeatInterleave(x, 3)),
      sample([{ shape: [2, 3], dtype: 'int32' }], (x) => repeatInterleave(x, 1, { dim: 1 })),
      sample([[2, 3]], (x) => repeatInterleave(x, 0, { dim: 1 })),
    ],
  },
  tril: {
    calls: [
      sample([[4, 4]], (x) => tril(x)),
      sample([[2, 3, 5]], (x) => tril(x, 1)),
      sample([[5, 3]], (x) => tril(x, -2)),
      sample([{ shape: [3, 3], dtype: 'bool' }], (x) => tril(x, -1)),
      sample([[0, 3]], (x) => tril(x)),
    ],
  },
  triu: {
    calls: [
      sample([[4, 4]], (x) => triu(x)),
      sample([[2, 3, 5]], (x) => triu(x, 1)),
      sample([[5, 3]], (x) => triu(x, -2)),
      sample([{ shape: [3, 3], dtype: 'int32' }], (x) => triu(x, 9)),
    ],
  },
  diag: {
    calls: [
      sample([[4]], (x) => diag(x)),
      sample([[3]], (x) => diag(x, -2)),
      sample([[4, 5]], (x) => diag(x, 1)),
      sample([[4, 5]], (x) => diag(x, -9)),
      sample([{ shape: [3], dtype: 'int32' }], (x) => diag(x, 1)),
    ],
  },
  trace: { calls: [sample([[4, 3]], trace), sample([{ shape: [3, 3], dtype: 'int32' }], trace)] },
  unflatten: {
    calls: [sample([[2, 12]], (x) => unflatten(x, 1, [3, -1])), sample([[6]], (x) => unflatten(x, -1, [1, 2, 3]))],
  },
  meshgrid: {
    calls: [
      sample([[3], [4]], (x, y) => meshgrid([x, y])),
      sample([[2], [3], [1]], (x, y, z) => meshgrid([x, y, z], { indexing: 'xy' })),
      sample([[], [2]], (x, y) => meshgrid([x, y])),
    ],
  },
});
