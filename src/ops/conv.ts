import { type DType, promote } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, sameShape, showShape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { result } from '../ir/expr.ts';
import { withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add } from './elementwise.ts';
import { narrowed } from './matmul.ts';
import { checkWhole, perDim } from './movement.ts';
import { checkOptions, compose, deviceOf, produce, readingBy, taped } from './record.ts';
import { floats } from './reductions.ts';
import { type Sample, type Samples, sample } from './samples.ts';
import { permute, reshape, slice, unsqueeze } from './structure.ts';
import { pad } from './windows.ts';

/*
 * Convolutions are products of matrices that are never made. The windows of an image are a view of it: their places and what lies
 * in each are dims with strides, and windows overlap. A matmul takes such a view as its operand, with several dims for rows,
 * columns and k.
 *
 * There are three of them, all bilinear: the correlation of images and kernels, and its gradients by either. Each is the gradient
 * of the others, so that there is every order, and none of them makes or saves anything larger than images, kernels or results;
 * what is around images as a border is made again where it is needed.
 */

/** Sizes and steps of a convolution, one for each dim of the image. */
interface Geometry {
  readonly groups: number;
  readonly image: Shape;
  readonly kernel: Shape;
  /** Windows of an image. */
  readonly places: Shape;
  /** Places from one window to the next, and from one element of a window to the next. */
  readonly stride: readonly number[];
  readonly dilation: readonly number[];
  /** Zeros before an image. */
  readonly before: readonly number[];
}

/** An operand of a product: its strides over the dims of the batch, of its rows or columns, and of k. */
interface Side {
  readonly of: Tensor;
  readonly batch: readonly number[];
  readonly lanes: readonly number[];
  readonly k: readonly number[];
  readonly offset?: number;
}

/** Sums of products, as a tensor of shape [...batch, ...m, ...n]. */
function product(op: string, batch: Shape, m: Shape, n: Shape, k: Shape, a: Side, b: Side): Tensor {
  const still = (dims: Shape): number[] => dims.map(() => 0);
  const shape = [...batch, ...m, ...n];
  const dtype: DType = promote(op, a.of.dtype, b.of.dtype);
  return produce(deviceOf(op, [a.of, b.of]), op, dtype, shape, {
    template: template('matmul', result(0, 'float32'), [], { rows: m.length, columns: n.length }),
    space: [...shape, ...k],
    inner: k.length,
    inputs: [
      readingBy(a.of, [...a.batch, ...a.lanes, ...still(n), ...a.k], a.offset),
      readingBy(b.of, [...b.batch, ...still(m), ...b.lanes, ...b.k], b.offset),
    ],
  });
}

/** With so many zeros before and after each dim of the image. */
function framed(x: Tensor, before: readonly number[], after: readonly number[]): Tensor {
  const sides = before.map((n, d) => [Math.max(0, n), Math.max(0, after[d]!)]);
  return sides.flat().some((n) => n > 0) ? pad(x, sides.reverse().flat()) : x;
}

/** The images with what windows need around them. */
function windowed(x: Tensor, { image, kernel, places, stride, dilation, before }: Geometry): Tensor {
  const reach = places.map((n, d) => (n - 1) * stride[d]! + (kernel[d]! - 1) * dilation[d]! + 1);
  return framed(
    x,
    before,
    reach.map((n, d) => n - before[d]! - image[d]!),
  );
}

const times = (strides: readonly number[], steps: readonly number[]): number[] => strides.map((s, d) => s * steps[d]!);

/** [N, C, ...image] and [O, C / groups, ...kernel] to [N, O, ...places]. */
function correlation(x: Tensor, w: Tensor, geometry: Geometry): Tensor {
  const { groups, kernel, places, stride, dilation } = geometry;
  const [outputs, own] = [w.shape[0]! / groups, w.shape[1]!];
  const y = withGrad(false, () => {
    const windows = windowed(x, geometry);
    const [image, channel, ...along] = windows.view.strides as [number, number, ...number[]];
    const [output, input, ...inside] = w.view.strides as [number, number, ...number[]];
    const batch = [x.shape[0]!, groups];
    const sums = product(
      'convolution',
      batch,
      [outputs],
      places,
      [own, ...kernel],
      { of: w, batch: [0, outputs * output], lanes: [output], k: [input, ...inside] },
      {
        of: windows,
        batch: [image, own * channel],
        lanes: times(along, stride),
        k: [channel, ...times(along, dilation)],
      },
    );
    return reshape(sums, [x.shape[0]!, groups * outputs, ...places]);
  });
  return taped(
    'convolution',
    {
      gradient: (g, { inputs, needs }) => [
        needs[0] ? imageGradient(g, inputs[1]!, geometry) : null,
        needs[1] ? kernelGradient(inputs[0]!, g, geometry) : null,
      ],
      saves: 'inputs',
      narrow: true,
    },
    [x, w],
    y,
  );
}

/** The gradient of kernels [O, C / groups, ...kernel] from images [N, C, ...image] and that of the results, [N, O, ...places]. */
function kernelGradient(x: Tensor, g: Tensor, geometry: Geometry): Tensor {
  const { groups, kernel, places, stride, dilation } = geometry;
  const [own, outputs] = [x.shape[1]! / groups, g.shape[1]! / groups];
  const y = withGrad(false, () => {
    const windows = windowed(x, geometry);
    const [image, channel, ...along] = windows.view.strides as [number, number, ...number[]];
    const [one, output, ...across] = g.view.strides as [number, number, ...number[]];
    const sums = product(
      'convolution',
      [groups],
      [outputs],
      [own, ...kernel],
      [x.shape[0]!, ...places],
      { of: g, batch: [outputs * output], lanes: [output], k: [one, ...across] },
      {
        of: windows,
        batch: [own * channel],
        lanes: [channel, ...times(along, dilation)],
        k: [image, ...times(along, stride)],
      },
    );
    return reshape(sums, [groups * outputs, own, ...kernel]);
  });
  return taped(
    'convolution',
    {
      gradient: (h, { inputs, needs }) => [
        needs[0] ? imageGradient(inputs[1]!, h, geometry) : null,
        needs[1] ? correlation(inputs[0]!, h, geometry) : null,
      ],
      saves: 'inputs',
      narrow: true,
    },
    [x, g],
    y,
  );
}

/** Kernels with zeros between the elements of a dim, in place of the steps between them. */
function spread(w: Tensor, dim: number, by: number): Tensor {
  const n = w.shape[dim]!;
  const gaps = pad(unsqueeze(w, -1), [0, by - 1]);
  const order = gaps.shape.map((_, d) => d).slice(0, -1);
  order.splice(dim + 1, 0, w.ndim);
  const shape = w.shape.map((size, d) => (d === dim ? size * by : size));
  return slice(reshape(permute(gaps, order), shape), dim, 0, (n - 1) * by + 1);
}

/**
 * The gradient of images [N, C, ...image] from that of the results, [N, O, ...places], and kernels [O, C / groups, ...kernel]:
 * the transposed convolution. With a stride of s, element t * s + r of a kernel meets, at place q, element (q + t) * s + r of the
 * image. So r is a dim of the image, too, and what is left is a convolution in t without stride, of a turned kernel.
 */
function imageGradient(g: Tensor, w: Tensor, geometry: Geometry): Tensor {
  const { groups, image, places, stride, before } = geometry;
  const [outputs, own] = [g.shape[1]! / groups, w.shape[1]!];
  const y = withGrad(false, () => {
    let kernels = w;
    const dilation = geometry.dilation.map((gap, d) => {
      // Elements of one r would be apart by different steps.
      if (stride[d] === 1 || gap === 1) return gap;
      kernels = spread(kernels, d + 2, gap);
      return 1;
    });
    const taps = stride.map((s, d) => Math.ceil(kernels.shape[d + 2]! / s));
    kernels = framed(
      kernels,
      taps.map(() => 0),
      taps.map((t, d) => t * stride[d]! - kernels.shape[d + 2]!),
    );
    // Elements of the image in terms of (q + t): the first one, and how many.
    const first = before.map((n, d) => Math.floor(n / stride[d]!));
    const count = image.map((n, d) => Math.floor((before[d]! + n - 1) / stride[d]!) - first[d]! + 1);
    const reach = taps.map((t, d) => (t - 1) * dilation[d]!);
    const low = reach.map((n, d) => n - first[d]!);
    const results = framed(
      g,
      low,
      count.map((n, d) => first[d]! + n - places[d]!),
    );
    const [one, output, ...across] = results.view.strides as [number, number, ...number[]];
    const [from, input, ...inside] = kernels.view.strides as [number, number, ...number[]];
    const steps = times(inside, stride);
    const n = g.shape[0]!;
    const sums = product(
      'convolution',
      [n, groups],
      [own, ...stride],
      count,
      [outputs, ...taps],
      {
        of: kernels,
        batch: [0, outputs * from],
        lanes: [input, ...inside],
        k: [from, ...steps.map((s) => -s)],
        offset: kernels.view.offset + steps.reduce((sum, s, d) => sum + s * (taps[d]! - 1), 0),
      },
      {
        of: results,
        batch: [one, outputs * output],
        lanes: across,
        k: [output, ...times(across, dilation)],
        offset: results.view.offset + across.reduce((sum, s, d) => sum + s * Math.max(0, -low[d]!), 0),
      },
    );
    // [N, groups, C / groups, ...r, ...(q + t)], with each r behind its q + t.
    const order = [0, 1, 2, ...stride.flatMap((_, d) => [3 + stride.length + d, 3 + d])];
    let out = reshape(permute(sums, order), [n, groups * own, ...times(count, stride)]);
    for (const [d, size] of image.entries()) {
      const start = before[d]! - first[d]! * stride[d]!;
      if (out.shape[d + 2] !== size) out = slice(out, d + 2, start, start + size);
    }
    return out;
  });
  return taped(
    'convolution',
    {
      gradient: (h, { inputs, needs }) => [
        needs[0] ? correlation(h, inputs[1]!, geometry) : null,
        needs[1] ? kernelGradient(h, inputs[0]!, geometry) : null,
      ],
      saves: 'inputs',
      narrow: true,
    },
    [g, w],
    y,
  );
}

/** Options of convolutions: one number for all dims of the image, or one for each. */
export interface ConvOptions {
  /** Places from one window to the next; 1 unless given. */
  readonly stride?: number | readonly number[] | undefined;
  /** Zeros at both sides; or 'valid' for none (the default), or 'same' for as many as keep the size. */
  readonly padding?: number | readonly number[] | 'valid' | 'same' | undefined;
  /** Places from one element of a window to the next; 1 unless given. */
  readonly dilation?: number | readonly number[] | undefined;
  /** Parts into which the channels are divided, each with weights of its own; 1 unless given. */
  readonly groups?: number | undefined;
}

/** Options of transposed convolutions: one number for all dims of the image, or one for each. */
export interface ConvTransposeOptions {
  /** Places from where one element of the input is spread to, to the next; 1 unless given. */
  readonly stride?: number | readonly number[] | undefined;
  /** What is cut off at both sides; 0 unless given. */
  readonly padding?: number | readonly number[] | undefined;
  /** What the last side gets in addition, to tell sizes apart that a convolution of that stride takes to the same; 0 unless given. */
  readonly outputPadding?: number | readonly number[] | undefined;
  /** Places from one element of a kernel to the next; 1 unless given. */
  readonly dilation?: number | readonly number[] | undefined;
  /** Parts into which the channels are divided, each with weights of its own; 1 unless given. */
  readonly groups?: number | undefined;
}

/** @internal What is added before and after each dim of the image; 'same' puts the odd one behind. */
export function borders(
  op: string,
  padding: number | readonly number[] | 'valid' | 'same',
  kernel: Shape,
  dilation: readonly number[],
): readonly (readonly [number, number])[] {
  if (padding === 'same')
    return kernel.map((k, d) => {
      const total = (k - 1) * dilation[d]!;
      return [total >> 1, total - (total >> 1)];
    });
  return perDim(op, 'padding', padding === 'valid' ? 0 : padding, kernel.length, 0).map((n) => [n, n]);
}

const SIZES = ['L', 'H, W', 'D, H, W'];

/** What all convolutions check first. `outputs` says which dim of the weight divides into groups: that of the kernels, 0. */
function prepare(
  op: string,
  dims: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  options: ConvOptions | ConvTransposeOptions,
  transposed: boolean,
): { shapes: string; stride: readonly number[]; dilation: readonly number[]; groups: number; kernel: Shape } {
  const tensors = [input, weight, ...(bias === null || bias === undefined ? [] : [bias])];
  deviceOf(op, tensors);
  for (const t of tensors) floats(op, t);
  const { groups = 1 } = options;
  const stride = perDim(op, 'stride', options.stride === undefined ? 1 : options.stride, dims, 1);
  const dilation = perDim(op, 'dilation', options.dilation === undefined ? 1 : options.dilation, dims, 1);
  checkWhole(op, 'groups', groups, 1);
  const shapes = `images ${showShape(input.shape)} and kernels ${showShape(weight.shape)}`;
  const sizes = SIZES[dims - 1]!;
  if ((input.ndim !== dims + 2 && input.ndim !== dims + 1) || weight.ndim !== dims + 2)
    throw new ShapeError(
      `${op}: ${shapes} must be of shape [N, C, ${sizes}] or [C, ${sizes}] and [${transposed ? 'C, O / groups' : 'O, C / groups'}, ${sizes.replaceAll(/\w/g, 'k$&')}]`,
    );
  const channels = input.shape.at(-dims - 1)!;
  const [first, second, ...kernel] = weight.shape as [number, number, ...number[]];
  const outputs = transposed ? second * groups : first;
  if (channels !== (transposed ? first : second * groups) || first % groups !== 0)
    throw new ShapeError(
      `${op}: ${shapes} do not fit with ${groups} groups: there must be ${transposed ? first : second * groups} channels, and ${transposed ? 'channels' : 'outputs'} that divide by ${groups}`,
    );
  if (bias && !sameShape(bias.shape, [outputs]))
    throw new ShapeError(`${op}: bias ${showShape(bias.shape)} must be of shape [${outputs}], one for each output`);
  return { shapes, stride, dilation, groups, kernel };
}

/** Of a batch, or of one image; and the bias, of one element for each channel. */
function finish(dims: number, input: Tensor, bias: Tensor | null | undefined, of: (images: Tensor) => Tensor): Tensor {
  const single = input.ndim === dims + 1;
  const sums = of(single ? reshape(input, [1, ...input.shape]) : input);
  const biased = bias ? add(sums, reshape(bias, [bias.shape[0]!, ...new Array<number>(dims).fill(1)])) : sums;
  return single ? reshape(biased, biased.shape.slice(1)) : biased;
}

function conv(
  op: string,
  dims: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  options: ConvOptions,
): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'dilation', 'groups']);
  const { shapes, stride, dilation, groups, kernel } = prepare(op, dims, input, weight, bias, options, false);
  const { padding = 0 } = options;
  const image = input.shape.slice(-dims);
  const reach = kernel.map((k, d) => (k - 1) * dilation[d]! + 1);
  if (padding === 'same' && stride.some((s) => s !== 1))
    throw new UnsupportedError(`${op}: padding 'same' goes with stride 1 only, got ${showShape(stride)}`);
  const sides = borders(op, padding, kernel, dilation);
  const before = sides.map(([first]) => first);
  const padded = image.map((n, d) => n + sides[d]![0] + sides[d]![1]);
  if (padded.some((n, d) => reach[d]! > n || kernel[d] === 0))
    throw new ShapeError(
      `${op}: ${shapes} do not fit: a kernel takes ${showShape(reach)} of ${showShape(padded)} places`,
    );
  const places = padded.map((n, d) => Math.floor((n - reach[d]!) / stride[d]!) + 1);
  const geometry = { groups, image, kernel, places, stride, dilation, before };
  return compose(op, () =>
    finish(dims, narrowed(input), bias && narrowed(bias), (images) => correlation(images, narrowed(weight), geometry)),
  );
}

function convTranspose(
  op: string,
  dims: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null | undefined,
  options: ConvTransposeOptions,
): Tensor {
  checkOptions(op, options, ['stride', 'padding', 'outputPadding', 'dilation', 'groups']);
  const { shapes, stride, dilation, groups, kernel } = prepare(op, dims, input, weight, bias, options, true);
  const before = perDim(op, 'padding', options.padding ?? 0, dims, 0);
  const extra = perDim(op, 'outputPadding', options.outputPadding ?? 0, dims, 0);
  const places = input.shape.slice(-dims);
  for (const [d, n] of extra.entries())
    if (n >= Math.max(stride[d]!, dilation[d]!))
      throw new ShapeError(
        `${op}: outputPadding ${showShape(extra)} must be less than the stride ${showShape(stride)} or the dilation ${showShape(dilation)}; more would only be zeros`,
      );
  const image = places.map(
    (n, d) => (n - 1) * stride[d]! - 2 * before[d]! + (kernel[d]! - 1) * dilation[d]! + 1 + extra[d]!,
  );
  if (image.some((n, d) => n < 1 || places[d] === 0 || kernel[d] === 0))
    throw new ShapeError(`${op}: ${shapes} do not fit: the result would be of size ${showShape(image)}`);
  const geometry = { groups, image, kernel, places, stride, dilation, before };
  return compose(op, () => finish(dims, input, bias, (results) => imageGradient(results, weight, geometry)));
}

/**
 * Cross-correlation of sequences [N, C, L] (or one, [C, L]) with kernels [O, C / groups, kL], and a bias [O] (`F.conv1d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.conv1d(tl.rand([1, 3, 8]), tl.rand([4, 3, 3]), null, { padding: 1 }); // [1, 4, 8]
 * ```
 */
export function conv1d(input: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  return conv('conv1d', 1, input, weight, bias, options);
}

/**
 * Cross-correlation of images [N, C, H, W] (or one, [C, H, W]) with kernels [O, C / groups, kH, kW], and a bias [O]
 * (`F.conv2d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.conv2d(tl.rand([1, 3, 8, 8]), tl.rand([4, 3, 3, 3]), null, { padding: 1 }); // [1, 4, 8, 8]
 * ```
 */
export function conv2d(input: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  return conv('conv2d', 2, input, weight, bias, options);
}

/**
 * Cross-correlation of volumes [N, C, D, H, W] (or one, [C, D, H, W]) with kernels [O, C / groups, kD, kH, kW], and a bias [O]
 * (`F.conv3d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.conv3d(tl.rand([1, 2, 4, 8, 8]), tl.rand([4, 2, 3, 3, 3]), null, { padding: 'same' }); // [1, 4, 4, 8, 8]
 * ```
 */
export function conv3d(input: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  return conv('conv3d', 3, input, weight, bias, options);
}

/**
 * The transpose of `conv1d`, as which its gradient comes: sequences [N, C, L] (or one, [C, L]) and kernels [C, O / groups, kL] to
 * [N, O, (L - 1) * stride - 2 * padding + (kL - 1) * dilation + 1 + outputPadding] (`F.conv_transpose1d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.convTranspose1d(tl.rand([1, 3, 8]), tl.rand([3, 4, 2]), null, { stride: 2 }); // [1, 4, 16]
 * ```
 */
export function convTranspose1d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('convTranspose1d', 1, input, weight, bias, options);
}

/**
 * The transpose of `conv2d`: images [N, C, H, W] (or one, [C, H, W]) and kernels [C, O / groups, kH, kW] to [N, O, …], each size as
 * in `convTranspose1d` (`F.conv_transpose2d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.convTranspose2d(tl.rand([1, 3, 8, 8]), tl.rand([3, 4, 2, 2]), null, { stride: 2 }); // [1, 4, 16, 16]
 * ```
 */
export function convTranspose2d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('convTranspose2d', 2, input, weight, bias, options);
}

/**
 * The transpose of `conv3d`: volumes [N, C, D, H, W] (or one, [C, D, H, W]) and kernels [C, O / groups, kD, kH, kW] to [N, O, …],
 * each size as in `convTranspose1d` (`F.conv_transpose3d`).
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 */
export function convTranspose3d(
  input: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvTransposeOptions = {},
): Tensor {
  return convTranspose('convTranspose3d', 3, input, weight, bias, options);
}

type Call<O> = (input: Tensor, weight: Tensor, bias?: Tensor | null, options?: O) => Tensor;

/** Of an image, kernels and, where there is a third shape, a bias. */
const sampled = <O>(call: Call<O>, shapes: readonly Shape[], options?: O): Sample =>
  sample(shapes, (x, w, b) => call(x!, w!, b ?? null, options));

/** @internal */
export const samples = (): Samples => ({
  conv1d: {
    calls: [
      sampled(conv1d, [[2, 3, 9], [4, 3, 3], [4]]),
      sampled(
        conv1d,
        [
          [1, 2, 11],
          [4, 1, 3],
        ],
        { stride: 3, padding: 2, dilation: 2, groups: 2 },
      ),
      sampled(conv1d, [[2, 8], [3, 2, 4], [3]], { padding: 'same' }),
    ],
  },
  conv2d: {
    calls: [
      sampled(conv2d, [[2, 3, 5, 4], [4, 3, 3, 2], [4]]),
      sampled(
        conv2d,
        [
          [1, 4, 7, 6],
          [6, 2, 3, 3],
        ],
        { stride: 2, padding: 1, groups: 2 },
      ),
      sampled(
        conv2d,
        [
          [1, 2, 6, 7],
          [2, 2, 3, 2],
        ],
        { dilation: [1, 3], padding: [1, 2] },
      ),
      sampled(
        conv2d,
        [
          [1, 2, 9, 8],
          [2, 2, 2, 3],
        ],
        { stride: [2, 3], dilation: [3, 2], padding: [2, 1] },
      ),
      sampled(conv2d, [[2, 4, 5], [2, 1, 2, 4], [2]], { padding: 'same', groups: 2 }),
      sampled(
        conv2d,
        [
          [2, 5, 4, 5],
          [3, 5, 1, 1],
        ],
        { stride: [1, 2] },
      ),
      sampled(conv2d, [
        [0, 2, 3, 3],
        [2, 2, 2, 2],
      ]),
    ],
  },
  conv3d: {
    calls: [
      sampled(conv3d, [[1, 2, 3, 4, 3], [2, 2, 2, 3, 2], [2]], { padding: [0, 1, 1] }),
      sampled(
        conv3d,
        [
          [1, 2, 4, 3, 5],
          [2, 1, 2, 2, 2],
        ],
        { stride: [2, 1, 3], groups: 2 },
      ),
    ],
  },
  convTranspose1d: {
    calls: [
      sampled(convTranspose1d, [[2, 3, 5], [3, 4, 3], [4]]),
      sampled(
        convTranspose1d,
        [
          [1, 4, 5],
          [4, 1, 4],
        ],
        { stride: 3, padding: 2, outputPadding: 2, groups: 2 },
      ),
      sampled(
        convTranspose1d,
        [
          [2, 6],
          [2, 3, 3],
        ],
        { stride: 2, dilation: 3, padding: 1, outputPadding: 1 },
      ),
    ],
  },
  convTranspose2d: {
    calls: [
      sampled(convTranspose2d, [[2, 3, 3, 4], [3, 2, 2, 3], [2]]),
      sampled(
        convTranspose2d,
        [
          [1, 2, 3, 3],
          [2, 3, 3, 4],
        ],
        { stride: 2, padding: 1, outputPadding: [1, 0] },
      ),
      sampled(
        convTranspose2d,
        [
          [2, 3, 2],
          [2, 2, 2, 2],
        ],
        { stride: [2, 3] },
      ),
      sampled(
        convTranspose2d,
        [
          [1, 2, 2, 3],
          [2, 2, 3, 2],
        ],
        { padding: [2, 0], dilation: [2, 1] },
      ),
      sampled(
        convTranspose2d,
        [
          [0, 2, 3, 3],
          [2, 2, 2, 2],
        ],
        { stride: 2 },
      ),
    ],
  },
  convTranspose3d: {
    calls: [
      sampled(convTranspose3d, [[1, 2, 2, 3, 2], [2, 2, 2, 1, 3], [2]], { stride: [2, 1, 2], padding: [0, 0, 1] }),
    ],
  },
});
