import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { checkWhole } from './movement.ts';
import { checkOptions, compose, describe, deviceOf } from './record.ts';
import { floats } from './reductions.ts';
import { type Samples, sample } from './samples.ts';
import { permute, reshape, slice, transpose } from './structure.ts';
import { pad, unfold } from './windows.ts';

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

/** A number for both dims of an image. */
function pairOf(op: string, name: string, value: number | readonly number[], least: number): readonly number[] {
  const pair = typeof value === 'number' ? [value, value] : value;
  if (!Array.isArray(pair) || pair.length !== 2)
    throw new ShapeError(`${op}: ${name} is ${describe(value)}, but it must be a number or one for each of the 2 dims`);
  for (const n of pair) checkWhole(op, name, n, least);
  return pair;
}

/**
 * Cross-correlation of images [N, C, H, W] (or one, [C, H, W]) with kernels [O, C / groups, kH, kW], and a bias [O], as in
 * `F.conv2d`.
 *
 * @throws ShapeError when the shapes or options do not fit together.
 * @throws DTypeError for integers and bools.
 * @example
 * ```ts
 * const y = tl.nn.functional.conv2d(tl.rand([1, 3, 8, 8]), tl.rand([4, 3, 3, 3]), null, { padding: 1 }); // [1, 4, 8, 8]
 * ```
 */
export function conv2d(input: Tensor, weight: Tensor, bias?: Tensor | null, options: ConvOptions = {}): Tensor {
  const op = 'conv2d';
  checkOptions(op, options, ['stride', 'padding', 'dilation', 'groups']);
  const given = [input, weight, ...(bias === null || bias === undefined ? [] : [bias])];
  deviceOf(op, given);
  for (const t of given) floats(op, t);
  const { padding = 0, groups = 1 } = options;
  const stride = pairOf(op, 'stride', options.stride === undefined ? 1 : options.stride, 1);
  const dilation = pairOf(op, 'dilation', options.dilation === undefined ? 1 : options.dilation, 1);
  checkWhole(op, 'groups', groups, 1);
  const shapes = `images ${showShape(input.shape)} and kernels ${showShape(weight.shape)}`;
  if ((input.ndim !== 4 && input.ndim !== 3) || weight.ndim !== 4)
    throw new ShapeError(`${op}: ${shapes} must be of shape [N, C, H, W] or [C, H, W] and [O, C / groups, kH, kW]`);
  const [outputs, own, ...kernel] = weight.shape as [number, number, number, number];
  const [channels, ...image] = input.shape.slice(-3) as [number, number, number];
  if (channels !== own * groups || outputs % groups !== 0)
    throw new ShapeError(
      `${op}: ${shapes} do not fit with ${groups} groups: there must be ${own * groups} channels, and outputs that divide by ${groups}`,
    );
  if (bias && !sameShape(bias.shape, [outputs]))
    throw new ShapeError(`${op}: bias ${showShape(bias.shape)} must be of shape [${outputs}], one for each output`);
  const reach = kernel.map((k, d) => (k - 1) * dilation[d]! + 1);
  if (padding === 'same' && stride.some((s) => s !== 1))
    throw new UnsupportedError(`${op}: padding 'same' goes with stride 1 only, got ${showShape(stride)}`);
  const sides =
    padding === 'same'
      ? reach.map((r) => [(r - 1) >> 1, r >> 1])
      : pairOf(op, 'padding', padding === 'valid' ? 0 : padding, 0).map((p) => [p, p]);
  const padded = image.map((n, d) => n + sides[d]![0]! + sides[d]![1]!);
  if (padded.some((n, d) => reach[d]! > n || kernel[d] === 0))
    throw new ShapeError(
      `${op}: ${shapes} do not fit: a kernel takes ${showShape(reach)} of ${showShape(padded)} places`,
    );
  return compose(op, () => {
    const images = input.ndim === 3 ? reshape(input, [1, ...input.shape]) : input;
    const border = [...sides].reverse().flat();
    let windows = border.some((n) => n > 0) ? pad(images, border) : images;
    for (const [d, gap] of dilation.entries()) {
      windows = unfold(windows, d + 2, reach[d]!, stride[d]!);
      if (gap > 1) windows = slice(windows, -1, 0, undefined, gap);
    }
    const [batch, , height, width] = windows.shape as [number, number, number, number, number, number];
    const places = batch * height * width;
    const size = own * kernel[0]! * kernel[1]!;
    // One matrix a group: a row for each window, a column for each of its elements.
    const divided = reshape(windows, [batch, groups, own, height, width, ...kernel]);
    const rows = reshape(permute(divided, [1, 0, 3, 4, 2, 5, 6]), [groups, places, size]);
    const columns = transpose(reshape(weight, [groups, outputs / groups, size]), 1, 2);
    const product = matmul(rows, columns);
    const sum = bias ? add(product, reshape(bias, [groups, 1, outputs / groups])) : product;
    const apart = permute(reshape(sum, [groups, batch, height, width, outputs / groups]), [1, 0, 4, 2, 3]);
    return reshape(apart, [...input.shape.slice(0, -3), outputs, height, width]);
  });
}

/** @internal */
export const samples = (): Samples => ({
  conv2d: {
    calls: [
      sample([[2, 3, 5, 4], [4, 3, 3, 2], [4]], (x, w, b) => conv2d(x, w, b)),
      sample(
        [
          [1, 4, 7, 6],
          [6, 2, 3, 3],
        ],
        (x, w) => conv2d(x, w, null, { stride: 2, padding: 1, groups: 2 }),
      ),
      sample(
        [
          [1, 2, 6, 7],
          [2, 2, 3, 2],
        ],
        (x, w) => conv2d(x, w, null, { dilation: [1, 3], padding: [1, 2] }),
      ),
      sample([[2, 4, 5], [2, 1, 2, 4], [2]], (x, w, b) => conv2d(x, w, b, { padding: 'same', groups: 2 })),
      sample(
        [
          [0, 2, 3, 3],
          [2, 2, 2, 2],
        ],
        (x, w) => conv2d(x, w),
      ),
    ],
  },
});
