import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { normalizeDim, type Shape, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { and, select as choose, constant, div, index, loadAt, lt, mul, sub, uniform } from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cat } from './joins.ts';
import { checkWhole, flip } from './movement.ts';
import { checkOptions, compose, describe, deviceOf, produce, readingAt, taped, viewed } from './record.ts';
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
    template: template('reduce', expr, ['int32'], 'sum'),
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
  const { mode = 'constant', value = 0 } = options;
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
  return compose('pad', () => {
    let out = x;
    for (let i = 0; i < padding.length; i += 2) {
      const dim = x.ndim - 1 - i / 2;
      const [before, after] = [padding[i]!, padding[i + 1]!];
      const [first, last] = [Math.max(0, before), Math.max(0, after)];
      if (first + last > 0)
        out = mode === 'constant' ? surround(out, dim, first, last, value) : extend(out, dim, first, last, mode);
      if (before < 0 || after < 0) out = slice(out, dim, first - before, out.shape[dim]! - (last - after));
    }
    return out.cell === x.cell ? contiguous(out) : out;
  });
}

/** How many elements of a dim of n a mode can add at one side. */
const LIMITS: Readonly<Record<PadMode, (n: number) => number>> = {
  constant: () => Number.POSITIVE_INFINITY,
  reflect: (n) => Math.max(0, n - 1),
  replicate: (n) => (n === 0 ? 0 : Number.POSITIVE_INFINITY),
  circular: (n) => n,
};

function surround(x: Tensor, dim: number, before: number, after: number, value: number): Tensor {
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

function extend(x: Tensor, dim: number, before: number, after: number, mode: Exclude<PadMode, 'constant'>): Tensor {
  const n = x.shape[dim]!;
  const piece = (start: number, length: number): Tensor => slice(x, dim, start, start + length);
  const edge = (start: number, length: number): Tensor =>
    expand(
      piece(start, 1),
      x.shape.map((size, d) => (d === dim ? length : size)),
    );
  const sides = {
    reflect: () => [flip(piece(1, before), dim), flip(piece(n - 1 - after, after), dim)],
    replicate: () => [edge(0, before), edge(n - 1, after)],
    circular: () => [piece(n - before, before), piece(0, after)],
  };
  const [left, right] = sides[mode]() as [Tensor, Tensor];
  return cat(
    [left, x, right].filter((t) => t.shape[dim] !== 0),
    dim,
  );
}
