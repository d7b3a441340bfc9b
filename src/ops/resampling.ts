import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { type NodeInput, template } from '../engine/node.ts';
import {
  abs,
  add,
  and,
  cast,
  select as choose,
  type Expr,
  eq,
  floor,
  index,
  loadAt,
  lt,
  max,
  min,
  mul,
  sub,
  wide,
} from '../ir/expr.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkWhole, perDim } from './movement.ts';
import {
  type Axis,
  adaptiveAxes,
  imageDims,
  type Sliding,
  sliding,
  slidingDims,
  Uniforms,
  windowMean,
  windowSum,
} from './pooling.ts';
import {
  checkFlag,
  checkOptions,
  checkTensor,
  compose,
  describe,
  deviceOf,
  produce,
  readingAt,
  taped,
} from './record.ts';
import { floats } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { inFloat32, permute, reshape } from './structure.ts';

/*
 * Images of other sizes, and images as columns of their windows.
 */

/** How `interpolate` finds the elements of another size. */
export type InterpolationMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'trilinear' | 'bicubic' | 'area';

/** Options of `interpolate`: a size or a factor, one for all dims of the image or one for each. */
export interface InterpolateOptions {
  /** The size of the result. */
  readonly size?: number | readonly number[] | undefined;
  /** The size of the result over that of the input; it is rounded down. */
  readonly scaleFactor?: number | readonly number[] | undefined;
  /**
   * 'nearest' (the default), as PyTorch and OpenCV round, or 'nearest-exact', as other programs do; 'linear', 'bilinear' and 'trilinear' for 1, 2 and
   * 3 dims; 'bicubic'; or 'area', the mean of what a place covers.
   */
  readonly mode?: InterpolationMode | undefined;
  /** The corner elements keep their place and value, for 'linear' and its like; they lie in the middle of their places unless given. */
  readonly alignCorners?: boolean | undefined;
}

interface Kernel {
  /** Elements that a place is made from. */
  readonly taps: number;
  /** Their weight by the distance; null where the nearest one is all. */
  readonly weight: ((distance: Expr) => Expr) | null;
}

const tent = (distance: Expr): Expr => max(sub(1, distance), 0);

/** Keys' cubic convolution with PyTorch's coefficient of -0.75. */
function cubic(d: Expr): Expr {
  const near = add(mul(mul(sub(mul(d, 1.25), 2.25), d), d), 1);
  const far = add(mul(sub(mul(add(mul(d, -0.75), 3.75), d), 6), d), 3);
  return choose(lt(d, 1), near, choose(lt(d, 2), far, 0));
}

const NEAREST: Kernel = { taps: 1, weight: null };
const LINEAR: Kernel = { taps: 2, weight: tent };
const CUBIC: Kernel = { taps: 4, weight: cubic };

/** The modes, and for how many dims they are. */
const MODES: Readonly<Record<Exclude<InterpolationMode, 'area'>, readonly [kernel: Kernel, dims: readonly number[]]>> =
  {
    nearest: [NEAREST, [1, 2, 3]],
    'nearest-exact': [NEAREST, [1, 2, 3]],
    linear: [LINEAR, [1]],
    bilinear: [LINEAR, [2]],
    trilinear: [LINEAR, [3]],
    bicubic: [CUBIC, [2]],
  };

/** A dim in another size; `scale` is the distance in the source from one place to the next. */
function resampling(
  dim: number,
  n: number,
  out: number,
  scale: number,
  mode: Exclude<InterpolationMode, 'area'>,
  aligned: boolean,
): Axis {
  const { taps, weight } = MODES[mode][0];
  const middle = mode !== 'nearest' && !aligned;
  /** The first element that a place is made from, and where the place lies in the source. */
  const first = (o: Expr, u: Uniforms): { tap: Expr; source: Expr; last: Expr } => {
    const place = cast(o, 'float32');
    let source = mul(middle ? add(place, 0.5) : place, u.real(scale));
    if (middle && weight) source = sub(source, 0.5);
    if (middle && weight === tent) source = max(source, 0);
    const before = cast(floor(source), 'int32');
    return { tap: taps > 2 ? sub(before, taps / 2 - 1) : before, source, last: u.whole(n - 1) };
  };
  const inRange = (tap: Expr, last: Expr): Expr => min(max(tap, 0), last);
  const distance = (source: Expr, tap: Expr): Expr => abs(sub(source, cast(tap, 'float32')));
  const axis: Axis = {
    dim,
    n,
    out,
    span: taps,
    part: (o, j, u) => {
      const { tap, source, last } = first(o, u);
      const own = add(tap, j);
      return { place: inRange(own, last), weight: weight?.(distance(source, own)) };
    },
    transposed: () => {
      // A range of places that holds all that are made from an element.
      const below = weight ? taps / 2 : 0;
      const above = weight ? taps / 2 + 0.5 : 1;
      const span = scale === 0 ? out : Math.min(out, Math.ceil((below + above) / scale) + 3);
      return {
        dim,
        n: out,
        out: n,
        span,
        part: (i, j, u) => {
          const inverse = u.real(scale === 0 ? 0 : 1 / scale);
          const start = sub(floor(mul(sub(cast(i, 'float32'), below), inverse)), 1);
          const place = add(max(cast(start, 'int32'), 0), j);
          const { tap, source, last } = first(place, u);
          if (!weight) return { place, inside: eq(inRange(tap, last), i) };
          // Beyond the borders an element stands for several.
          const weights = Array.from({ length: taps }, (_, t) => {
            const own = add(tap, t);
            return choose(eq(inRange(own, last), i), weight(distance(source, own)), 0);
          });
          return { place, weight: weights.reduce((a, b) => add(a, b)) };
        },
        transposed: () => axis,
      };
    },
  };
  return axis;
}

/**
 * Images of one to three dims, [N, C, L], [N, C, H, W] or [N, C, D, H, W], in another size (`F.interpolate`).
 *
 * @throws UnsupportedError for an unknown mode, for both or none of `size` and `scaleFactor`, and for `alignCorners` with a mode that has none.
 * @throws ShapeError for a mode of another number of dims, and for sizes that are none.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const large = tl.nn.functional.interpolate(tl.rand([1, 3, 8, 8]), { scaleFactor: 2, mode: 'bilinear' }); // [1, 3, 16, 16]
 * ```
 */
export function interpolate(x: Tensor, options: InterpolateOptions = {}): Tensor {
  const op = 'interpolate';
  checkOptions(op, options, ['size', 'scaleFactor', 'mode', 'alignCorners']);
  const { size, scaleFactor, mode = 'nearest', alignCorners } = options;
  checkFlag(op, 'alignCorners', alignCorners);
  if (mode !== 'area' && !Object.hasOwn(MODES, mode))
    throw new UnsupportedError(`${op}: mode is ${describe(mode)}; use ${Object.keys(MODES).join(', ')} or area`);
  floats(op, x);
  const of = mode === 'area' ? [1, 2, 3] : MODES[mode][1];
  if (!of.includes(x.ndim - 2))
    throw new ShapeError(
      `${op}: mode ${mode} is for images of ${of.join(' or ')} dims with [N, C] before them, got ${showShape(x.shape)}`,
    );
  const at = x.shape.map((_, d) => d).slice(2);
  if (alignCorners && (mode === 'area' || MODES[mode][0].weight === null))
    throw new UnsupportedError(`${op}: mode ${mode} has no corners to align; leave alignCorners out`);
  if ((size === undefined) === (scaleFactor === undefined))
    throw new UnsupportedError(`${op}: give either size or scaleFactor, got ${size === undefined ? 'none' : 'both'}`);
  const factors = scaleFactor === undefined ? null : factorsOf(op, scaleFactor, at.length);
  const sizes = perDim(
    op,
    factors ? 'the size by scaleFactor' : 'size',
    factors ? at.map((d, i) => Math.floor(x.shape[d]! * factors[i]!)) : size!,
    at.length,
    1,
  );
  if (at.some((d) => x.shape[d] === 0))
    throw new ShapeError(`${op}: ${showShape(x.shape)} has no elements to interpolate`);
  if (mode === 'area') return windowMean(op, x, adaptiveAxes(op, x, sizes, at.length));
  return compose(op, () =>
    inFloat32(op, [x], (y) => {
      let image = y;
      for (const [i, d] of at.entries()) {
        const [n, out] = [x.shape[d]!, sizes[i]!];
        const scale = alignCorners ? (out > 1 ? (n - 1) / (out - 1) : 0) : factors ? 1 / factors[i]! : n / out;
        if (n === out && scale === 1) continue;
        image = windowSum(op, image, [resampling(d, n, out, scale, mode, alignCorners ?? false)]);
      }
      return image === y ? reshape(y, y.shape) : image;
    }),
  );
}

function factorsOf(op: string, given: number | readonly number[], dims: number): readonly number[] {
  const list: readonly number[] = typeof given === 'number' ? new Array<number>(dims).fill(given) : given;
  if (
    !Array.isArray(list) ||
    list.length !== dims ||
    list.some((f) => typeof f !== 'number' || !(f > 0 && f < Infinity))
  )
    throw new ShapeError(
      `${op}: scaleFactor is ${Array.isArray(given) ? `[${given.join(', ')}]` : describe(given)}, but it must be a positive number${dims > 1 ? ` or one for each of the ${dims} dims` : ''}`,
    );
  return list;
}

/** Options of `unfold` and `fold`: one number for both dims of the image, or one for each. */
export interface FoldOptions {
  /** Places from one element of a window to the next; 1 unless given. */
  readonly dilation?: number | readonly number[] | undefined;
  /** Zeros at both sides of the image; 0 unless given. */
  readonly padding?: number | readonly number[] | undefined;
  /** Places from one window to the next; 1 unless given. */
  readonly stride?: number | readonly number[] | undefined;
}

const FOLD_OPTIONS = ['dilation', 'padding', 'stride'];

/** The windows of images [...lead, H, W], as [...lead, kH, kW, rows, columns]. */
function toColumns(op: string, x: Tensor, windows: readonly Sliding[]): Tensor {
  const device = deviceOf(op, [x]);
  const lead = x.ndim - windows.length;
  const u = new Uniforms();
  const at = x.shape.map((_, d) => index(d));
  windows.forEach((w, i) => {
    at[lead + i] = sliding(w).part(index(lead + windows.length + i), index(lead + i), u).place;
  });
  const shape = [...x.shape.slice(0, lead), ...windows.map((w) => w.size), ...windows.map((w) => w.out)];
  const operation = {
    template: template('map', loadAt(0, x.dtype, at), u.dtypes),
    space: shape,
    inputs: [readingAt(x, null)],
    scalars: u.values,
  };
  const gradient = (g: Tensor): Tensor[] => [fromColumns(op, g, windows)];
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, shape, operation));
}

/** The inverse: images of which each element is the sum of what stands for it in the windows that show it. */
function fromColumns(op: string, x: Tensor, windows: readonly Sliding[]): Tensor {
  const device = deviceOf(op, [x]);
  const count = windows.length;
  const lead = x.ndim - 2 * count;
  const u = new Uniforms();
  const back = windows.map((w) => sliding(w).transposed());
  const parts = back.map(({ part }, i) => part(index(lead + i), index(lead + count + i), u));
  const at = [
    ...Array.from({ length: lead }, (_, d) => index(d)),
    ...parts.map(({ tap }) => tap!),
    ...parts.map(({ place }) => place),
  ];
  const inside = parts.map((p) => p.inside!).reduce((a, b) => and(a, b));
  const shape = [...x.shape.slice(0, lead), ...windows.map((w) => w.n)];
  const inputs: NodeInput[] = [readingAt(x, null)];
  const operation = {
    template: template('reduce', choose(inside, wide(loadAt(0, x.dtype, at)), 0), u.dtypes, { reduce: 'sum' }),
    space: [...shape, ...back.map(({ span }) => span)],
    inner: count,
    inputs,
    scalars: u.values,
  };
  const gradient = (g: Tensor): Tensor[] => [toColumns(op, g, windows)];
  return taped(op, { gradient, saves: 'nothing' }, [x], produce(device, op, x.dtype, shape, operation));
}

/**
 * The windows of images [N, C, H, W] or [C, H, W] as columns [N, C * kH * kW, windows] (`F.unfold`, im2col). A copy; for windows of
 * one dim as a view see `Tensor.unfold`.
 *
 * @throws ShapeError when a window does not fit.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const columns = tl.nn.functional.unfold(tl.rand([1, 2, 5, 6]), 3); // [1, 18, 12]
 * ```
 */
export function im2col(x: Tensor, kernelSize: number | readonly number[], options: FoldOptions = {}): Tensor {
  const op = 'unfold';
  checkOptions(op, options, FOLD_OPTIONS);
  const [first] = imageDims(op, x, 2) as [number];
  const windows = slidingDims(op, first, x.shape.slice(first), kernelSize, options);
  return compose(op, () => {
    const columns = toColumns(op, x, windows);
    const size = x.shape[first - 1]! * windows.reduce((n, w) => n * w.size, 1);
    return reshape(columns, [...x.shape.slice(0, first - 1), size, windows.reduce((n, w) => n * w.out, 1)]);
  });
}

/**
 * Images of a size from columns [N, C * kH * kW, windows] of their windows: where windows overlap, their elements are added
 * (`F.fold`, col2im).
 *
 * @throws ShapeError when the columns are not as many or as long as the sizes say.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const { fold, unfold } = tl.nn.functional;
 * const counts = fold(unfold(tl.ones([1, 2, 5, 6]), 3), [5, 6], 3); // how many windows show an element
 * ```
 */
export function col2im(
  x: Tensor,
  outputSize: number | readonly number[],
  kernelSize: number | readonly number[],
  options: FoldOptions = {},
): Tensor {
  const op = 'fold';
  checkOptions(op, options, FOLD_OPTIONS);
  floats(op, x);
  const image = perDim(op, 'outputSize', outputSize, 2, 1);
  if (x.ndim !== 2 && x.ndim !== 3)
    throw new ShapeError(
      `${op}: columns ${showShape(x.shape)} must be of shape [N, C * kH * kW, windows] or without N`,
    );
  const windows = slidingDims(op, x.ndim - 1, image, kernelSize, options);
  const size = windows.reduce((n, w) => n * w.size, 1);
  const places = windows.reduce((n, w) => n * w.out, 1);
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  if (rows % size !== 0 || columns !== places)
    throw new ShapeError(
      `${op}: columns ${showShape(x.shape)} must be ${places} of a multiple of ${size} elements, for windows ${showShape(windows.map((w) => w.size))} of an image ${showShape(image)}`,
    );
  return compose(op, () => {
    const apart = [...x.shape.slice(0, -2), rows / size, ...windows.map((w) => w.size), ...windows.map((w) => w.out)];
    return fromColumns(op, reshape(x, apart), windows);
  });
}

/**
 * Channels moved into the image: [..., C * r * r, H, W] as [..., C, H * r, W * r] (`F.pixel_shuffle`).
 *
 * @throws ShapeError when the channels do not divide by the square of the factor.
 * @example
 * ```ts
 * const large = tl.nn.functional.pixelShuffle(tl.rand([1, 8, 3, 2]), 2); // [1, 2, 6, 4]
 * ```
 */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  const op = 'pixelShuffle';
  checkTensor(op, x);
  checkWhole(op, 'upscaleFactor', upscaleFactor, 1);
  const r = upscaleFactor;
  const [channels = 0, height = 0, width = 0] = x.shape.slice(-3);
  if (x.ndim < 3 || channels % (r * r) !== 0)
    throw new ShapeError(`${op}: ${showShape(x.shape)} must be of shape [..., C * ${r * r}, H, W]`);
  return compose(op, () => {
    const lead = x.shape.slice(0, -3);
    const apart = reshape(x, [...lead, channels / (r * r), r, r, height, width]);
    const order = [0, 3, 1, 4, 2].map((d) => lead.length + d);
    const moved = permute(apart, [...lead.map((_, d) => d), ...order]);
    return reshape(moved, [...lead, channels / (r * r), height * r, width * r]);
  });
}

/**
 * The inverse of `pixelShuffle`: [..., C, H * r, W * r] as [..., C * r * r, H, W] (`F.pixel_unshuffle`).
 *
 * @throws ShapeError when the sizes of the image do not divide by the factor.
 */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number): Tensor {
  const op = 'pixelUnshuffle';
  checkTensor(op, x);
  checkWhole(op, 'downscaleFactor', downscaleFactor, 1);
  const r = downscaleFactor;
  const [channels = 0, height = 0, width = 0] = x.shape.slice(-3);
  if (x.ndim < 3 || height % r !== 0 || width % r !== 0)
    throw new ShapeError(`${op}: ${showShape(x.shape)} must be of shape [..., C, H * ${r}, W * ${r}]`);
  return compose(op, () => {
    const lead = x.shape.slice(0, -3);
    const apart = reshape(x, [...lead, channels, height / r, r, width / r, r]);
    const order = [0, 2, 4, 1, 3].map((d) => lead.length + d);
    const moved = permute(apart, [...lead.map((_, d) => d), ...order]);
    return reshape(moved, [...lead, channels * r * r, height / r, width / r]);
  });
}

/** @internal */
export const samples = (): Samples => ({
  interpolate: {
    calls: [
      sample([[1, 2, 3, 4]], (x) => interpolate(x, { scaleFactor: 2 })),
      sample([[1, 2, 7]], (x) => interpolate(x, { size: 3 })),
      sample([[1, 2, 5]], (x) => interpolate(x, { size: 8, mode: 'nearest-exact' })),
      sample([[1, 2, 5]], (x) => interpolate(x, { size: 9, mode: 'linear' })),
      sample([[1, 2, 3, 4]], (x) => interpolate(x, { size: [6, 3], mode: 'bilinear' })),
      sample([[1, 1, 7, 4]], (x) => interpolate(x, { size: [3, 7], mode: 'bilinear', alignCorners: true })),
      sample([[1, 1, 4, 3]], (x) => interpolate(x, { scaleFactor: [1.7, 2.6], mode: 'bilinear' })),
      sample([[1, 1, 4, 3]], (x) => interpolate(x, { size: 1, mode: 'bilinear', alignCorners: true })),
      sample([[1, 1, 5, 4]], (x) => interpolate(x, { size: [3, 9], mode: 'bicubic' })),
      sample([[1, 1, 5, 4]], (x) => interpolate(x, { size: [8, 2], mode: 'bicubic', alignCorners: true })),
      sample([[1, 1, 2, 3, 2]], (x) => interpolate(x, { size: [3, 3, 4], mode: 'trilinear' })),
      sample([[1, 1, 5, 4]], (x) => interpolate(x, { size: [2, 3], mode: 'area' })),
    ],
  },
  'nn.functional.unfold': {
    calls: [
      sample([[1, 2, 5, 6]], (x) => im2col(x, 3)),
      sample([[2, 5, 6]], (x) => im2col(x, [2, 3], { stride: 2, padding: [1, 0], dilation: [2, 1] })),
    ],
  },
  'nn.functional.fold': {
    calls: [
      sample([[1, 8, 12]], (x) => col2im(x, [4, 5], 2)),
      sample([[12, 6]], (x) => col2im(x, [5, 6], [2, 3], { stride: 2, padding: [1, 0], dilation: [2, 1] })),
      sample([[0, 4, 6]], (x) => col2im(x, [4, 6], 2, { stride: 2 })),
    ],
  },
  pixelShuffle: { calls: [sample([[2, 9, 2, 3]], (x) => pixelShuffle(x, 3))] },
  pixelUnshuffle: { calls: [sample([[1, 2, 4, 6]], (x) => pixelUnshuffle(x, 2))] },
});
