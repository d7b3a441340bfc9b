import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { checkSizes, normalizeDim, type Shape, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { and, select as choose, constant, div, type Expr, index, loadAt, lt, mul, sub, uniform } from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cat } from './joins.ts';
import { checkWhole, flip } from './movement.ts';
import { fittingNumber } from './options.ts';
import { checkOptions, compose, describe, deviceOf, produce, readingAt, taped, viewed } from './record.ts';
import { type Samples, sample } from './samples.ts';
import { contiguous, coordinates, expand, reshape, slice } from './structure.ts';

/*
 * What sliding windows need: a border around a tensor, and the windows.
 */

/**
 * The windows of `size` elements of a dim, one every `step` places, as a new last dim (`torch.Tensor.unfold`). A view, in which
 * windows may overlap.
 *
 * @throws ShapeError when a window is larger than the dim.
 * @example
 * ```ts
 * const averages = tl.arange(10).unfold(0, 3, 1).mean({ dim: -1 }); // 1, 2, …, 8
 * ```
 */
export function unfold(x: Tensor, dimension: number, size: number, step: number): Tensor {
  deviceOf('unfold', [x]);
  const d = normalizeDim('unfold', dimension, x.ndim);
  checkWhole('unfold', 'size', size, 0);
  checkWhole('unfold', 'step', step, 1);
  const n = x.shape[d] ?? 1;
  if (size > n)
    throw new ShapeError(
      `unfold: windows of ${size} elements do not fit into the ${n} of dim ${dimension} of ${showShape(x.shape)}; take smaller ones, or pad first`,
    );
  if (x.ndim === 0) return compose('unfold', () => slice(reshape(x, [1]), 0, 0, size));
  const count = Math.floor((n - size) / step) + 1;
  const stride = x.view.strides[d]!;
  const view = {
    shape: [...x.shape.map((m, i) => (i === d ? count : m)), size],
    strides: [...x.view.strides.map((s, i) => (i === d ? s * step : s)), stride],
    offset: x.view.offset,
  };
  const from = x.shape;
  return viewed('unfold', x, view, (g) => [fold(g, from, d, size, step)]);
}

/** The gradient of `unfold`: for each element the sum over the windows that show it, the last window first. */
function fold(g: Tensor, shape: Shape, dim: number, size: number, step: number): Tensor {
  const device = deviceOf('fold', [g]);
  const by = uniform(0, 'int32');
  // Windows before the first, and places behind the end of a window, read 0.
  const window = sub(div(index(dim), by), index(shape.length));
  const place = sub(index(dim), mul(window, by));
  const expr = loadAt(0, g.dtype, [...coordinates(shape.length, dim, window), place]);
  const operation = {
    template: template('reduce', expr, ['int32'], { reduce: 'sum' }),
    space: [...shape, Math.ceil(size / step)],
    inner: 1,
    inputs: [readingAt(g, null)],
    scalars: [step],
  };
  const out = produce(device, 'fold', g.dtype, shape, operation);
  return taped('fold', { gradient: (gg) => [unfold(gg, dim, size, step)], saves: 'nothing' }, [g], out);
}

/** How `pad` fills the border. */
export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular';

/** Options of `pad`. */
export interface PadOptions {
  /**
   * 'constant' (the default): `value`. 'reflect': mirrored at the outermost elements, which are not repeated. 'replicate': the
   * outermost elements. 'circular': the elements from the other end.
   */
  readonly mode?: PadMode | undefined;
  /** What 'constant' fills in; 0 unless given. */
  readonly value?: number | undefined;
}

/**
 * A border around a tensor, in PyTorch's order of sides: last dim first, before and after (`F.pad`). Negative sizes cut off. A
 * copy.
 *
 * @throws ShapeError when a size does not exist, or asks for more than the mode finds in the tensor.
 * @example
 * ```ts
 * const framed = tl.ones([2, 3]).pad([1, 1, 2, 2]); // shape [6, 5]
 * const smooth = x.pad([1, 1], { mode: 'reflect' });
 * ```
 */
export function pad(x: Tensor, padding: readonly number[], options: PadOptions = {}): Tensor {
  deviceOf('pad', [x]);
  checkOptions('pad', options, ['mode', 'value']);
  checkSizes('pad', padding);
  const { mode = 'constant', value = 0 } = options;
  if (typeof value !== 'number')
    throw new DTypeError(`pad: option value is a number, got ${describe(value)}; leave it out for 0`);
  if (!Object.hasOwn(LIMITS, mode))
    throw new UnsupportedError(`pad: mode is ${describe(mode)}; use 'constant', 'reflect', 'replicate' or 'circular'`);
  const limit = LIMITS[mode];
  if (mode !== 'constant' && value !== 0)
    throw new UnsupportedError(`pad: mode ${mode} takes no value, got ${value}; leave it out`);
  if (padding.length % 2 !== 0 || padding.length > 2 * x.ndim)
    throw new ShapeError(
      `pad: ${showShape(padding)} must hold two sizes a dim, for at most the ${x.ndim} dims of ${showShape(x.shape)}`,
    );
  padding.forEach((size, i) => {
    checkWhole('pad', 'a size', size);
    const dim = x.ndim - 1 - (i >> 1);
    const n = x.shape[dim]!;
    if (size > limit(n))
      throw new ShapeError(
        `pad: mode ${mode} cannot add ${size} elements to the ${n} of dim ${dim} of ${showShape(x.shape)}; at most ${limit(n)}`,
      );
    if (i % 2 === 0 && n + size + padding[i + 1]! < 0)
      throw new ShapeError(
        `pad: sizes ${size} and ${padding[i + 1]} cut more than the ${n} elements of dim ${dim} of ${showShape(x.shape)}`,
      );
  });
  const sides = Array.from({ length: padding.length / 2 }, (_, i): Side => {
    const [before, after] = [padding[2 * i]!, padding[2 * i + 1]!];
    return { dim: x.ndim - 1 - i, before, after, first: Math.max(0, before), last: Math.max(0, after) };
  });
  return compose('pad', () => {
    const grown = sides.filter(({ first, last }) => first + last > 0);
    let out = x;
    if (mode !== 'constant') for (const side of grown) out = extend(out, side, mode);
    else if (grown.length > 0) out = surround(x, grown, fittingNumber('pad', x.dtype, value));
    for (const { dim, before, after, first, last } of sides)
      if (before < 0 || after < 0) out = slice(out, dim, first - before, out.shape[dim]! - (last - after));
    return out.cell === x.cell ? contiguous(out) : out;
  });
}

/** What is asked for at the ends of a dim, and how much of it is to be added. */
interface Side {
  readonly dim: number;
  readonly before: number;
  readonly after: number;
  readonly first: number;
  readonly last: number;
}

/** How many elements of a dim of n a mode can add at one side. */
const LIMITS: Readonly<Record<PadMode, (n: number) => number>> = {
  constant: () => Number.POSITIVE_INFINITY,
  reflect: (n) => Math.max(0, n - 1),
  replicate: (n) => (n === 0 ? 0 : Number.POSITIVE_INFINITY),
  circular: (n) => n,
};

function surround(x: Tensor, sides: readonly Side[], value: number): Tensor {
  const device = deviceOf('pad', [x]);
  const shape = [...x.shape];
  const scalars = [value];
  const dtypes = [x.dtype];
  const extent = (n: number): Expr => {
    dtypes.push('int32');
    return uniform(scalars.push(n) - 1, 'int32');
  };
  const at = x.shape.map((_, d) => index(d));
  let inside: Expr | null = null;
  for (const { dim, first, last } of sides) {
    const n = x.shape[dim]!;
    const place = sub(index(dim), extent(first));
    const within = and(lt(constant(-1, 'int32'), place), lt(place, extent(n)));
    inside = inside ? and(inside, within) : within;
    at[dim] = place;
    shape[dim] = first + n + last;
  }
  const expr = choose(inside!, loadAt(0, x.dtype, at), uniform(0, x.dtype));
  const operation = { template: template('map', expr, dtypes), space: shape, inputs: [readingAt(x, null)], scalars };
  const from = x.shape;
  const gradient = (g: Tensor): Tensor[] => [
    sides.reduce((part, { dim, first }) => slice(part, dim, first, first + from[dim]!), g),
  ];
  return taped('pad', { gradient, saves: 'nothing' }, [x], produce(device, 'pad', x.dtype, shape, operation));
}

function extend(x: Tensor, { dim, first, last }: Side, mode: Exclude<PadMode, 'constant'>): Tensor {
  const n = x.shape[dim]!;
  const piece = (start: number, length: number): Tensor => slice(x, dim, start, start + length);
  const edge = (start: number, length: number): Tensor =>
    expand(
      piece(start, 1),
      x.shape.map((size, d) => (d === dim ? length : size)),
    );
  const borders = {
    reflect: () => [flip(piece(1, first), dim), flip(piece(n - 1 - last, last), dim)],
    replicate: () => [edge(0, first), edge(n - 1, last)],
    circular: () => [piece(n - first, first), piece(0, last)],
  };
  const [left, right] = borders[mode]() as [Tensor, Tensor];
  return cat(
    [left, x, right].filter((t) => t.shape[dim] !== 0),
    dim,
  );
}

/** @internal */
export const samples = (): Samples => ({
  unfold: {
    calls: [
      sample([[9]], (x) => unfold(x, 0, 3, 2)),
      sample([[3, 7]], (x) => unfold(x, 1, 4, 1)),
      sample([[2, 11]], (x) => unfold(x, -1, 2, 3)),
      sample([[4, 3]], (x) => unfold(x, 0, 4, 1)),
      sample([[5, 6]], (x) => unfold(unfold(x, 0, 3, 1), 1, 2, 2)),
      sample([{ shape: [5], dtype: 'bool' }], (x) => unfold(x, 0, 2, 1)),
      sample([[3]], (x) => unfold(x, 0, 0, 1)),
      sample([[]], (x) => unfold(x, 0, 1, 1)),
    ],
  },
  pad: {
    calls: [
      sample([[2, 5]], (x) => pad(x, [1, 2], { value: 2 })),
      sample([[2, 3, 4]], (x) => pad(x, [2, -1, 0, 1, -1, 2])),
      sample([{ shape: [2, 3], dtype: 'int32' }], (x) => pad(x, [1, 1], { value: 7 })),
      sample([[0, 2]], (x) => pad(x, [1, 0, 1, 1])),
      sample([[3]], (x) => pad(x, [])),
      sample([[2, 5]], (x) => pad(x, [2, 3], { mode: 'reflect' })),
      sample([[1, 3, 4]], (x) => pad(x, [3, 0, 1, 2], { mode: 'reflect' })),
      sample([[4, 5]], (x) => pad(x, [-2, 4], { mode: 'reflect' })),
      sample([[2, 1, 4]], (x) => pad(x, [3, 1, 2, 0], { mode: 'replicate' })),
      sample([{ shape: [2, 3], dtype: 'bool' }], (x) => pad(x, [1, 2], { mode: 'replicate' })),
      sample([[3, 4]], (x) => pad(x, [4, 1, 0, 2], { mode: 'circular' })),
      sample([[6]], (x) => pad(x, [-1, 2], { mode: 'circular' })),
    ],
  },
});
