import type { DType } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, showShape } from '../core/shape.ts';
import { type NodeInput, template } from '../engine/node.ts';
import {
  add,
  and,
  cast,
  select as choose,
  constant,
  div,
  type Expr,
  eq,
  index,
  isnan,
  load,
  loadAt,
  lt,
  max,
  min,
  mul,
  or,
  sub,
  uniform,
  wide,
} from '../ir/expr.ts';
import { gradEnabled, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { perDim } from './movement.ts';
import {
  checkFlag,
  checkOptions,
  compose,
  describe,
  deviceOf,
  produce,
  type RecordedOperation,
  reading,
  readingAt,
  taped,
} from './record.ts';
import { floats } from './reductions.ts';
import { type Drawn, type Samples, sample } from './samples.ts';
import { inFloat32 } from './structure.ts';

/*
 * Reductions over windows, whose gradients are reductions over the windows that show an element: no tensor of windows is made.
 */

/** The numbers that an expression under construction reads. */
export class Uniforms {
  readonly values: number[] = [];
  readonly dtypes: DType[] = [];

  whole(value: number): Expr {
    return this.next(value, 'int32');
  }

  real(value: number): Expr {
    return this.next(value, 'float32');
  }

  private next(value: number, dtype: DType): Expr {
    this.dtypes.push(dtype);
    return uniform(this.values.push(value) - 1, dtype);
  }
}

/** One of the elements that a place of a result is made from. */
export interface Part {
  /** Where it lies; nothing lies out of range. */
  readonly place: Expr;
  /** Whether it counts, where not all do. */
  readonly inside?: Expr | undefined;
  /** What it is multiplied by. */
  readonly weight?: Expr | undefined;
  /** Seen from the source: which element of the window it is. */
  readonly tap?: Expr | undefined;
}

/** How a dim of `out` places comes from one of `n` elements: each place from up to `span` of them. */
export interface Axis {
  readonly dim: number;
  readonly n: number;
  readonly out: number;
  readonly span: number;
  /** Element `j` of what place `o` is made from. */
  readonly part: (o: Expr, j: Expr, u: Uniforms) => Part;
  /** The way back: from which places an element is reached. */
  readonly transposed: () => Axis;
  /** Steps in the source for each place and for each element of it, where that is all there is to say. */
  readonly steps?: readonly [place: number, element: number] | undefined;
  /** How many elements a place is the mean of, where windows are averaged. */
  readonly count?: ((o: Expr, u: Uniforms) => Expr) | undefined;
}

/** Where the windows of a dim lie. */
export interface Sliding {
  readonly dim: number;
  readonly n: number;
  readonly out: number;
  readonly size: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

/** Places that a window reaches over. */
const reachOf = ({ size, dilation }: Pick<Sliding, 'size' | 'dilation'>): number => (size - 1) * dilation + 1;

/** Windows of equal size at equal distances. */
export function sliding(w: Sliding): Axis {
  const { dim, n, out, size, stride, padding, dilation } = w;
  const reach = reachOf(w);
  const whole = padding === 0 && (out - 1) * stride + reach <= n;
  const axis: Axis = {
    dim,
    n,
    out,
    span: size,
    steps: whole ? [stride, dilation] : undefined,
    part: (o, j, u) => {
      const apart = dilation === 1 ? j : mul(j, u.whole(dilation));
      const place = add(mul(o, u.whole(stride)), apart);
      if (whole) return { place };
      const moved = sub(place, u.whole(padding));
      return { place: moved, inside: and(lt(constant(-1, 'int32'), moved), lt(moved, u.whole(n))) };
    },
    transposed: () => ({
      dim,
      n: out,
      out: n,
      span: Math.ceil(reach / stride),
      part: (i, j, u) => {
        const step = u.whole(stride);
        const from = add(i, u.whole(padding));
        const place = sub(div(from, step), j);
        const offset = sub(from, mul(place, step));
        if (dilation === 1) return { place, tap: offset, inside: lt(offset, u.whole(size)) };
        const gap = u.whole(dilation);
        const tap = div(offset, gap);
        return { place, tap, inside: and(eq(mul(tap, gap), offset), lt(tap, u.whole(size))) };
      },
      transposed: () => axis,
    }),
  };
  return axis;
}

/** `out` windows that cover n elements evenly, from o * n / out, rounded down, to (o + 1) * n / out, rounded up. */
function adaptive(op: string, dim: number, n: number, out: number): Axis {
  if (n % out === 0) {
    const size = n / out;
    const even = sliding({ dim, n, out, size, stride: size, padding: 0, dilation: 1 });
    return { ...even, count: (_, u) => u.whole(size) };
  }
  if ((n + 2) * (out + 2) > 2 ** 31 - 1)
    throw new UnsupportedError(
      `${op}: windows of ${n} elements at ${out} places would be counted past int32; use a size that divides ${n}`,
    );
  const axis: Axis = {
    dim,
    n,
    out,
    span: Math.min(n, Math.ceil(n / out) + 1),
    part: (o, j, u) => {
      const [from, to] = [u.whole(n), u.whole(out)];
      const place = add(div(mul(o, from), to), j);
      return { place, inside: lt(mul(place, to), mul(add(o, 1), from)) };
    },
    count: (o, u) => {
      const [from, to] = [u.whole(n), u.whole(out)];
      const end = div(add(mul(add(o, 1), from), sub(to, 1)), to);
      return sub(end, div(mul(o, from), to));
    },
    // An element is shown by the windows that would cover the places evenly.
    transposed: () => adaptive(op, dim, out, n),
  };
  return axis;
}

const both = (a: Expr | undefined, b: Expr | undefined, join: (a: Expr, b: Expr) => Expr): Expr | undefined =>
  a && b ? join(a, b) : (a ?? b);

/** The shape of a tensor with other sizes in the dims of axes. */
const resized = (shape: Shape, axes: readonly Axis[]): number[] => {
  const out = [...shape];
  for (const { dim, out: size } of axes) out[dim] = size;
  return out;
};

/** Coordinates in the source over a space of the result's dims and then one for each axis, and what counts there. */
function partsOf(rank: number, axes: readonly Axis[], u: Uniforms): { at: Expr[]; inside?: Expr; weight?: Expr } {
  const at = Array.from({ length: rank }, (_, d) => index(d));
  let inside: Expr | undefined;
  let weight: Expr | undefined;
  for (const [i, { dim, part }] of axes.entries()) {
    const p = part(index(dim), index(rank + i), u);
    at[dim] = p.place;
    inside = both(inside, p.inside, and);
    weight = both(weight, p.weight, mul);
  }
  return { at, ...(inside && { inside }), ...(weight && { weight }) };
}

/** Reads a tensor over that space: by its strides where the axes are views, at coordinates otherwise. */
function readParts(x: Tensor, axes: readonly Axis[], at: readonly Expr[]): { value: Expr; input: NodeInput } {
  if (axes.some(({ steps }) => !steps)) return { value: loadAt(0, x.dtype, at), input: readingAt(x, null) };
  const strides = [...x.view.strides];
  for (const { dim, steps } of axes) {
    strides[dim] = x.view.strides[dim]! * steps![0];
    strides.push(x.view.strides[dim]! * steps![1]);
  }
  return {
    value: load(0, x.dtype),
    input: { node: x.node, access: { mode: 'direct', strides, offset: x.view.offset } },
  };
}

const spaceOf = (shape: Shape, axes: readonly Axis[]): Shape => [...shape, ...axes.map(({ span }) => span)];

/** At each place the sum of what it is made from, each times its weight. Its gradient is the same the other way. */
export function windowSum(op: string, x: Tensor, axes: readonly Axis[]): Tensor {
  const device = deviceOf(op, [x]);
  const shape = resized(x.shape, axes);
  const u = new Uniforms();
  const { at, inside, weight } = partsOf(x.ndim, axes, u);
  const { value, input } = readParts(x, axes, at);
  let expr = wide(value);
  if (weight) expr = mul(expr, weight);
  if (inside) expr = choose(inside, expr, 0);
  const operation = {
    template: template('reduce', expr, u.dtypes, { reduce: 'sum' }),
    space: spaceOf(shape, axes),
    inner: axes.length,
    inputs: [input],
    scalars: u.values,
  };
  const back = axes.map((axis) => axis.transposed());
  const gradient = (g: Tensor): Tensor[] => [windowSum(op, g, back)];
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, shape, operation));
}

/** The elements over the product of the counts of their axes, or over a number. */
function averaged(op: string, x: Tensor, axes: readonly Axis[], divisor: number | null): Tensor {
  const device = deviceOf(op, [x]);
  const u = new Uniforms();
  const counted = (): Expr => cast(axes.map(({ dim, count }) => count!(index(dim), u)).reduce(mul), 'float32');
  const count = divisor === null ? counted() : u.real(divisor);
  const operation = {
    template: template('map', div(wide(load(0, x.dtype)), count), u.dtypes),
    space: x.shape,
    inputs: [reading(x, x.shape)],
    scalars: u.values,
  };
  const gradient = (g: Tensor): Tensor[] => [averaged(op, g, axes, divisor)];
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, x.shape, operation));
}

/** @internal The means of windows. */
export function windowMean(op: string, x: Tensor, axes: readonly Axis[], divisor: number | null = null): Tensor {
  return compose(op, () => inFloat32(op, [x], (y) => averaged(op, windowSum(op, y, axes), axes, divisor)));
}

/** The place of an element among those of the dims of axes. */
const flatPlace = (at: readonly Expr[], axes: readonly Axis[], u: Uniforms): Expr =>
  axes.map(({ dim }) => at[dim]!).reduce((flat, place, i) => add(mul(flat, u.whole(axes[i]!.n)), place));

/** No place: what a window without elements has. */
const NOWHERE = 2 ** 31 - 1;

/** The largest elements of windows, and the places of the first of them, where they are needed. */
function windowMax(
  op: string,
  x: Tensor,
  axes: readonly Axis[],
  places: boolean,
): { values: Tensor; indices?: Tensor } {
  const device = deviceOf(op, [x]);
  const shape = resized(x.shape, axes);
  const space = spaceOf(shape, axes);
  const u = new Uniforms();
  const { at, inside } = partsOf(x.ndim, axes, u);
  const { value, input } = readParts(x, axes, at);
  const element = wide(value);
  const reduction = (expr: Expr, reduce: 'max' | 'min', inputs: readonly NodeInput[]): RecordedOperation => ({
    template: template('reduce', expr, [...u.dtypes], { reduce }),
    space,
    inner: axes.length,
    inputs,
    scalars: [...u.values],
  });
  const largest = inside ? choose(inside, element, Number.NEGATIVE_INFINITY) : element;
  const values = produce(device, op, x.dtype, shape, reduction(largest, 'max', [input]));
  if (!places) return { values };
  const best: NodeInput = {
    node: values.node,
    access: { mode: 'direct', strides: [...values.view.strides, ...axes.map(() => 0)], offset: 0 },
  };
  const found = or(eq(element, wide(load(1, x.dtype))), isnan(element));
  const hit = inside ? and(inside, found) : found;
  const place = choose(hit, flatPlace(at, axes, u), constant(NOWHERE, 'int32'));
  return { values, indices: produce(device, op, 'int32', shape, reduction(place, 'min', [input, best])) };
}

/** The gradient of a maximum: for each element the sum over the windows in which its place is the one that was found. */
function toPlaces(op: string, g: Tensor, indices: Tensor, axes: readonly Axis[], shape: Shape): Tensor {
  const device = deviceOf(op, [g, indices]);
  const u = new Uniforms();
  const back = axes.map((axis) => axis.transposed());
  const { at } = partsOf(shape.length, back, u);
  const own = flatPlace(
    shape.map((_, d) => index(d)),
    axes,
    u,
  );
  const expr = choose(eq(loadAt(1, 'int32', at), own), wide(loadAt(0, g.dtype, at)), 0);
  const operation = {
    template: template('reduce', expr, u.dtypes, { reduce: 'sum' }),
    space: spaceOf(shape, back),
    inner: back.length,
    inputs: [readingAt(g, null), readingAt(indices, null)],
    scalars: u.values,
  };
  const gradient = (gg: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    fromPlaces(op, gg, inputs[1]!, axes),
    null,
  ];
  return taped(op, { gradient, saves: [1] }, [g, indices], produce(device, op, g.dtype, shape, operation));
}

/** The elements at the places that were found. */
function fromPlaces(op: string, x: Tensor, indices: Tensor, axes: readonly Axis[]): Tensor {
  const device = deviceOf(op, [x, indices]);
  const u = new Uniforms();
  const at = x.shape.map((_, d) => index(d));
  let rest = load(1, 'int32');
  for (const { dim, n } of axes.slice(1).reverse()) {
    const size = u.whole(n);
    const above = div(rest, size);
    at[dim] = sub(rest, mul(above, size));
    rest = above;
  }
  // Out of range for no place at all, so that 0 is read.
  at[axes[0]!.dim] = rest;
  const operation = {
    template: template('map', loadAt(0, x.dtype, at), u.dtypes),
    space: indices.shape,
    inputs: [readingAt(x, null), reading(indices, indices.shape)],
    scalars: u.values,
  };
  const shape = x.shape;
  const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
    toPlaces(op, g, inputs[1]!, axes, shape),
    null,
  ];
  return taped(op, { gradient, saves: [1] }, [x, indices], produce(device, op, x.dtype, indices.shape, operation));
}

/** A maximum of windows and where it was found. */
export type PooledWithIndices = [values: Tensor, indices: Tensor];

function pooledMax(op: string, x: Tensor, axes: readonly Axis[], wanted: boolean): Tensor | PooledWithIndices {
  return compose(op, () => {
    const needed = wanted || (gradEnabled() && x.requiresGrad);
    const { values, indices } = withGrad(false, () => windowMax(op, x, axes, needed));
    if (!indices) return values;
    const shape = x.shape;
    const gradient = (g: Tensor, { inputs }: { inputs: readonly Tensor[] }): (Tensor | null)[] => [
      toPlaces(op, g, inputs[1]!, axes, shape),
      null,
    ];
    const out = taped(op, { gradient, saves: [1] }, [x, indices], values);
    return wanted ? [out, indices] : out;
  });
}

/** @internal Checks the tensor that is pooled or resampled, and gives its last dims. */
export function imageDims(op: string, x: Tensor, dims: number): readonly number[] {
  floats(op, x);
  const names = ['L', 'H, W', 'D, H, W'][dims - 1];
  if (x.ndim !== dims + 1 && x.ndim !== dims + 2)
    throw new ShapeError(`${op}: the input ${showShape(x.shape)} must be of shape [N, C, ${names}] or [C, ${names}]`);
  return Array.from({ length: dims }, (_, i) => x.ndim - dims + i);
}

/** Options of pooling: one number for all dims of the image, or one for each. */
export interface PoolOptions {
  /** Places from one window to the next; the size of a window unless given. */
  readonly stride?: number | readonly number[] | undefined;
  /** Places outside the input at both sides; 0 unless given, at most half a window. */
  readonly padding?: number | readonly number[] | undefined;
  /** Take a last window that begins inside but does not end there. */
  readonly ceilMode?: boolean | undefined;
}

/** Options of the pooling by maxima. */
export interface MaxPoolOptions extends PoolOptions {
  /** Places from one element of a window to the next; 1 unless given. */
  readonly dilation?: number | readonly number[] | undefined;
  /** Give the places of the maxima as well. */
  readonly returnIndices?: boolean | undefined;
}

/** Options of the pooling by means. */
export interface AvgPoolOptions extends PoolOptions {
  /** Count places outside the input as zeros; true unless given. */
  readonly countIncludePad?: boolean | undefined;
}

/** Options of `avgPool2d`. */
export interface AvgPool2dOptions extends AvgPoolOptions {
  /** Divides the sums in place of the number of elements. */
  readonly divisorOverride?: number | undefined;
}

/** @internal Where the windows lie in the dims from `first` on, which are of the sizes of an image. */
export function slidingDims(
  op: string,
  first: number,
  image: Shape,
  kernelSize: number | readonly number[],
  { stride = 1, padding = 0, dilation = 1, ceilMode = false }: MaxPoolOptions,
): Sliding[] {
  checkFlag(op, 'ceilMode', ceilMode);
  const each = (name: string, value: number | readonly number[], least: number): readonly number[] =>
    perDim(op, name, value, image.length, least);
  const sizes = each('kernelSize', kernelSize, 1);
  const strides = each('stride', stride, 1);
  const borders = each('padding', padding, 0);
  const gaps = each('dilation', dilation, 1);
  return image.map((n, i): Sliding => {
    const w = { size: sizes[i]!, stride: strides[i]!, padding: borders[i]!, dilation: gaps[i]! };
    const room = n + 2 * w.padding - reachOf(w);
    let out = Math.floor((room + (ceilMode ? w.stride - 1 : 0)) / w.stride) + 1;
    // The last window must begin inside.
    if (ceilMode && (out - 1) * w.stride >= n + w.padding) out--;
    if (n === 0 || out < 1)
      throw new ShapeError(
        `${op}: a window of ${reachOf(w)} places does not fit into ${n + 2 * w.padding} of an image ${showShape(image)}, the padding included; take a smaller one`,
      );
    return { dim: first + i, n, out, ...w };
  });
}

/** The same for pooling. */
function pooledDims(
  op: string,
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions,
  dims: number,
): Sliding[] {
  const [first] = imageDims(op, x, dims) as [number];
  const stride = options.stride ?? kernelSize;
  const windows = slidingDims(op, first, x.shape.slice(first), kernelSize, { ...options, stride });
  for (const w of windows)
    if (w.padding > reachOf(w) / 2)
      throw new ShapeError(
        `${op}: padding ${w.padding} is more than half a window of ${reachOf(w)} places; use at most ${Math.floor(reachOf(w) / 2)}, or pad first`,
      );
  return windows;
}

const MAX_OPTIONS = ['stride', 'padding', 'dilation', 'ceilMode', 'returnIndices'];
const AVG_OPTIONS = ['stride', 'padding', 'ceilMode', 'countIncludePad'];

function maxPool(
  op: string,
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions,
  dims: number,
): Tensor | PooledWithIndices {
  checkOptions(op, options, MAX_OPTIONS);
  checkFlag(op, 'returnIndices', options.returnIndices);
  const axes = pooledDims(op, x, kernelSize, options, dims).map(sliding);
  return pooledMax(op, x, axes, options.returnIndices ?? false);
}

function avgPool(
  op: string,
  x: Tensor,
  kernelSize: number | readonly number[],
  { divisorOverride, ...options }: AvgPool2dOptions,
  dims: number,
): Tensor {
  const { countIncludePad = true } = options;
  checkFlag(op, 'countIncludePad', countIncludePad);
  if (divisorOverride !== undefined && (typeof divisorOverride !== 'number' || divisorOverride === 0))
    throw new UnsupportedError(
      `${op}: divisorOverride is ${describe(divisorOverride)}, but it must be a number other than 0`,
    );
  const axes = pooledDims(op, x, kernelSize, options, dims).map((w): Axis => {
    const { n, out, size, stride, padding } = w;
    const axis = sliding(w);
    const padded = n + (countIncludePad ? padding : 0);
    const full = (out - 1) * stride - padding + size <= padded && (countIncludePad || padding === 0);
    if (full) return { ...axis, count: (_, u) => u.whole(size) };
    const count = (o: Expr, u: Uniforms): Expr => {
      const start = sub(mul(o, u.whole(stride)), u.whole(padding));
      const end = min(add(start, u.whole(size)), u.whole(padded));
      return sub(end, countIncludePad ? start : max(start, 0));
    };
    return { ...axis, count };
  });
  return windowMean(op, x, axes, divisorOverride ?? null);
}

/**
 * The largest element of each window of the last dim of [N, C, L] or [C, L] (`F.max_pool1d`); NaN counts as the largest. The
 * gradient goes to the first of equals. With `returnIndices` also its place in the dim, as int32.
 *
 * @throws ShapeError when a window does not fit, or the padding is more than half of one.
 * @throws DTypeError for integers and bools.
 */
export function maxPool1d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions & { readonly returnIndices: true },
): PooledWithIndices;
export function maxPool1d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options?: MaxPoolOptions & { readonly returnIndices?: false | undefined },
): Tensor;
export function maxPool1d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions = {},
): Tensor | PooledWithIndices {
  return maxPool('maxPool1d', x, kernelSize, options, 1);
}

/**
 * The largest element of each window of the images [N, C, H, W] or [C, H, W] (`F.max_pool2d`); NaN counts as the largest. The
 * gradient goes to the first of equals, row by row. With `returnIndices` also its place in the image, row by row, as int32.
 *
 * @throws ShapeError when a window does not fit, or the padding is more than half of one.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const { maxPool2d } = tl.nn.functional;
 * const half = maxPool2d(tl.rand([1, 3, 8, 8]), 2); // [1, 3, 4, 4]
 * const [values, places] = maxPool2d(tl.rand([1, 3, 8, 8]), 3, { stride: 2, padding: 1, returnIndices: true });
 * ```
 */
export function maxPool2d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions & { readonly returnIndices: true },
): PooledWithIndices;
export function maxPool2d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options?: MaxPoolOptions & { readonly returnIndices?: false | undefined },
): Tensor;
export function maxPool2d(
  x: Tensor,
  kernelSize: number | readonly number[],
  options: MaxPoolOptions = {},
): Tensor | PooledWithIndices {
  return maxPool('maxPool2d', x, kernelSize, options, 2);
}

/**
 * The mean of each window of the last dim of [N, C, L] or [C, L] (`F.avg_pool1d`).
 *
 * @throws ShapeError when a window does not fit, or the padding is more than half of one.
 * @throws DTypeError for integers and bools.
 */
export function avgPool1d(x: Tensor, kernelSize: number | readonly number[], options: AvgPoolOptions = {}): Tensor {
  checkOptions('avgPool1d', options, AVG_OPTIONS);
  return avgPool('avgPool1d', x, kernelSize, options, 1);
}

/**
 * The mean of each window of the images [N, C, H, W] or [C, H, W] (`F.avg_pool2d`).
 *
 * @throws ShapeError when a window does not fit, or the padding is more than half of one.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const smooth = tl.nn.functional.avgPool2d(tl.rand([1, 3, 8, 8]), 3, { stride: 1, padding: 1, countIncludePad: false });
 * ```
 */
export function avgPool2d(x: Tensor, kernelSize: number | readonly number[], options: AvgPool2dOptions = {}): Tensor {
  checkOptions('avgPool2d', options, [...AVG_OPTIONS, 'divisorOverride']);
  return avgPool('avgPool2d', x, kernelSize, options, 2);
}

/** The size of an adaptive result: one number for all dims, or one for each; null keeps that of the input. */
export type AdaptiveSize = number | null | readonly (number | null)[];

/** @internal The windows that give a size, whatever that of the input. */
export function adaptiveAxes(op: string, x: Tensor, size: AdaptiveSize, dims: number): Axis[] {
  const at = imageDims(op, x, dims);
  const list = typeof size === 'number' || size === null ? at.map(() => size) : size;
  const sizes = perDim(op, 'outputSize', Array.isArray(list) ? list.map((n) => n ?? 1) : (list as never), dims, 1);
  return at.map((dim, i) => {
    const n = x.shape[dim]!;
    if (n === 0) throw new ShapeError(`${op}: dim ${dim} of ${showShape(x.shape)} has no elements to pool`);
    return adaptive(op, dim, n, list[i] === null ? n : sizes[i]!);
  });
}

/**
 * The means of as many windows as are asked for, which cover the last dim of [N, C, L] or [C, L] evenly
 * (`F.adaptive_avg_pool1d`).
 *
 * @throws ShapeError when there is nothing to pool, or the size is none.
 * @throws DTypeError for integers and bools.
 */
export function adaptiveAvgPool1d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return windowMean('adaptiveAvgPool1d', x, adaptiveAxes('adaptiveAvgPool1d', x, outputSize, 1));
}

/**
 * The means of as many windows as are asked for, which cover the images [N, C, H, W] or [C, H, W] evenly
 * (`F.adaptive_avg_pool2d`).
 *
 * @throws ShapeError when there is nothing to pool, or the size is none.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const features = tl.nn.functional.adaptiveAvgPool2d(tl.rand([2, 16, 7, 5]), 1); // [2, 16, 1, 1]
 * ```
 */
export function adaptiveAvgPool2d(x: Tensor, outputSize: AdaptiveSize): Tensor {
  return windowMean('adaptiveAvgPool2d', x, adaptiveAxes('adaptiveAvgPool2d', x, outputSize, 2));
}

/** Options of the adaptive pooling by maxima. */
export interface AdaptiveMaxPoolOptions {
  /** Give the places of the maxima as well. */
  readonly returnIndices?: boolean | undefined;
}

function adaptiveMaxPool(
  op: string,
  x: Tensor,
  outputSize: AdaptiveSize,
  options: AdaptiveMaxPoolOptions,
  dims: number,
): Tensor | PooledWithIndices {
  checkOptions(op, options, ['returnIndices']);
  checkFlag(op, 'returnIndices', options.returnIndices);
  return pooledMax(op, x, adaptiveAxes(op, x, outputSize, dims), options.returnIndices ?? false);
}

/**
 * The largest elements of as many windows as are asked for, which cover the last dim of [N, C, L] or [C, L] evenly
 * (`F.adaptive_max_pool1d`). See `maxPool1d`.
 *
 * @throws ShapeError when there is nothing to pool, or the size is none.
 * @throws DTypeError for integers and bools.
 */
export function adaptiveMaxPool1d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: { readonly returnIndices: true },
): PooledWithIndices;
export function adaptiveMaxPool1d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options?: { readonly returnIndices?: false | undefined },
): Tensor;
export function adaptiveMaxPool1d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: AdaptiveMaxPoolOptions = {},
): Tensor | PooledWithIndices {
  return adaptiveMaxPool('adaptiveMaxPool1d', x, outputSize, options, 1);
}

/**
 * The largest elements of as many windows as are asked for, which cover the images [N, C, H, W] or [C, H, W] evenly
 * (`F.adaptive_max_pool2d`). See `maxPool2d`.
 *
 * @throws ShapeError when there is nothing to pool, or the size is none.
 * @throws DTypeError for integers and bools.
 */
export function adaptiveMaxPool2d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: { readonly returnIndices: true },
): PooledWithIndices;
export function adaptiveMaxPool2d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options?: { readonly returnIndices?: false | undefined },
): Tensor;
export function adaptiveMaxPool2d(
  x: Tensor,
  outputSize: AdaptiveSize,
  options: AdaptiveMaxPoolOptions = {},
): Tensor | PooledWithIndices {
  return adaptiveMaxPool('adaptiveMaxPool2d', x, outputSize, options, 2);
}

const apart = (...shape: number[]): Drawn => ({ shape, distinct: true });

/** @internal */
export const samples = (): Samples => ({
  maxPool1d: {
    calls: [
      sample([apart(2, 3, 8)], (x) => maxPool1d(x, 2)),
      sample([apart(2, 11)], (x) => maxPool1d(x, 3, { stride: 2, padding: 1, returnIndices: true })),
      sample([apart(1, 2, 11)], (x) => maxPool1d(x, 3, { stride: 1, dilation: 2 })),
      sample([apart(1, 2, 8)], (x) => maxPool1d(x, 3, { stride: 2, ceilMode: true })),
      sample([apart(0, 2, 8)], (x) => maxPool1d(x, 3)),
    ],
  },
  maxPool2d: {
    calls: [
      sample([apart(2, 3, 6, 4)], (x) => maxPool2d(x, 2, { returnIndices: true })),
      sample([apart(1, 2, 7, 6)], (x) => maxPool2d(x, 3, { stride: 2, padding: 1, returnIndices: true })),
      sample([apart(2, 6, 7)], (x) => maxPool2d(x, [2, 3], { stride: 1, dilation: [1, 2], padding: [0, 2] })),
      sample([apart(1, 7, 8)], (x) => maxPool2d(x, 3, { stride: [2, 4], ceilMode: true })),
      sample([apart(1, 1, 5, 7)], (x) => maxPool2d(x, 1, { stride: 2 })),
    ],
  },
  avgPool1d: {
    calls: [
      sample([[2, 3, 8]], (x) => avgPool1d(x, 2)),
      sample([[2, 8]], (x) => avgPool1d(x, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false })),
      sample([[0, 2, 8]], (x) => avgPool1d(x, 3)),
    ],
  },
  avgPool2d: {
    calls: [
      sample([[2, 3, 6, 4]], (x) => avgPool2d(x, 2)),
      sample([[1, 2, 7, 6]], (x) => avgPool2d(x, 3, { stride: 2, padding: 1, ceilMode: true })),
      sample([[2, 6, 7]], (x) => avgPool2d(x, [2, 3], { stride: [3, 1], padding: 1, countIncludePad: false })),
      sample([[1, 4, 4]], (x) => avgPool2d(x, 2, { divisorOverride: 3 })),
    ],
  },
  adaptiveAvgPool1d: {
    calls: [sample([[2, 3, 7]], (x) => adaptiveAvgPool1d(x, 3)), sample([[2, 5]], (x) => adaptiveAvgPool1d(x, [8]))],
  },
  adaptiveAvgPool2d: {
    calls: [
      sample([[1, 2, 7, 5]], (x) => adaptiveAvgPool2d(x, [3, 2])),
      sample([[2, 6, 8]], (x) => adaptiveAvgPool2d(x, [3, 4])),
      sample([[1, 1, 3, 4]], (x) => adaptiveAvgPool2d(x, [5, null])),
    ],
  },
  adaptiveMaxPool1d: {
    calls: [sample([apart(2, 3, 7)], (x) => adaptiveMaxPool1d(x, 3, { returnIndices: true }))],
  },
  adaptiveMaxPool2d: {
    calls: [
      sample([apart(1, 2, 7, 5)], (x) => adaptiveMaxPool2d(x, [3, 2], { returnIndices: true })),
      sample([apart(1, 3, 4)], (x) => adaptiveMaxPool2d(x, [5, null])),
    ],
  },
});
