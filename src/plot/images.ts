import { checkFlag, checkOptions, describe } from '../core/check.ts';
import { isFloating } from '../core/dtype.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { checkTensor } from '../ops/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { base64, png } from './png.ts';
import { Paint, type PlotOptions, px, titleOf, widthOf } from './svg.ts';

/** Options of `plotImages`. */
export interface PlotImagesOptions extends PlotOptions {
  /** A line below each image. */
  readonly labels?: readonly (string | number)[] | undefined;
  /** Images side by side; at most 8 unless given. */
  readonly columns?: number | undefined;
  /** Width of an image in pixels; 72 unless given. */
  readonly size?: number | undefined;
  /** The elements that are black and white. Unless given: 0 and 255 for integers, 0 and 1 for floats in between, else their extremes. */
  readonly range?: readonly [number, number] | undefined;
  /** Colours are the last dim, [N, H, W, C], as in pictures of a page. */
  readonly channelsLast?: boolean | undefined;
}

/** Images as [N, H, W] with the strides of their channels. */
function layout(op: string, shape: readonly number[], channelsLast: boolean) {
  if (shape.length === 2 || shape.length === 3) {
    const [n = 1, height = 0, width = 0] = shape.length === 2 ? [1, ...shape] : shape;
    return { n, height, width, channels: 1, pixel: 1, channel: 0 };
  }
  const [n = 0, a = 0, b = 0, c = 0] = shape;
  const [channels, height, width] = channelsLast ? [c, a, b] : [a, b, c];
  if (shape.length !== 4 || ![1, 3, 4].includes(channels))
    throw new ShapeError(
      `${op}: a tensor of shape ${showShape(shape)} holds no images; give [H, W], [N, H, W], or colours as [N, C, H, W] with 1, 3 or 4 channels (with channelsLast [N, H, W, C])`,
    );
  return { n, height, width, channels, pixel: channelsLast ? channels : 1, channel: channelsLast ? 1 : height * width };
}

/**
 * Draws images as an SVG, as text: grey ones from [H, W] or [N, H, W], coloured ones from [N, C, H, W] with red, green, blue and perhaps
 * alpha. NaN is left transparent.
 *
 * @throws ShapeError for a tensor of another shape.
 * @throws UnsupportedError for options whose values break their rule.
 * @example
 * ```ts
 * const svg = await tl.plotImages(tl.rand([6, 8, 8]), { labels: [0, 1, 2, 3, 4, 5] });
 * ```
 */
export async function plotImages(images: Tensor, options: PlotImagesOptions = {}): Promise<string> {
  const op = 'plotImages';
  checkTensor(op, images);
  checkOptions(op, options, ['labels', 'columns', 'size', 'range', 'channelsLast', 'theme', 'title']);
  checkFlag(op, 'channelsLast', options.channelsLast);
  const { size = 72, labels, title } = options;
  const { n, height, width, channels, pixel, channel } = layout(op, images.shape, options.channelsLast ?? false);
  const { columns = Math.max(1, Math.min(8, n)) } = options;
  if (images.size === 0)
    throw new ShapeError(`${op}: there are no pixels; the images have the shape ${showShape(images.shape)}`);
  if (!Number.isInteger(columns) || columns < 1)
    throw new UnsupportedError(`${op}: columns is ${describe(columns)}, but it must be a whole number of at least 1`);
  if (!(Number.isFinite(size) && size >= 1))
    throw new UnsupportedError(`${op}: size is ${describe(size)}, but it must be a number of at least 1`);
  if (labels !== undefined && (!Array.isArray(labels) || labels.length !== n))
    throw new UnsupportedError(`${op}: labels are ${describe(labels)}, but there must be ${n} of them, one an image`);
  const paint = new Paint(op, options.theme);
  const data = await images.data();
  const [low, high] = rangeOf(op, data, images, options.range);
  const byte = (v: number): number => Math.max(0, Math.min(255, Math.round((255 * (v - low)) / (high - low))));
  const tall = (size * height) / width;
  const gap = 10;
  const caption = labels ? 18 : 0;
  const across = Math.min(columns, n);
  // As wide as the longest label where that is wider than an image.
  const wide = Math.max(size, ...(labels ?? []).map((label) => widthOf(String(label), 11)));
  const total = across * (wide + gap) + gap;
  const head = titleOf(paint, title, total);
  const body = [...head.text];
  for (let i = 0; i < n; i++) {
    const rgba = new Uint8Array(4 * width * height);
    for (let p = 0; p < width * height; p++) {
      const at = i * channels * width * height + p * pixel;
      const part = (c: number): number => data[at + c * channel] ?? Number.NaN;
      const colour = channels === 1 ? [part(0), part(0), part(0)] : [part(0), part(1), part(2)];
      const alpha = channels === 4 ? byte(part(3)) : 255;
      rgba.set([...colour.map(byte), colour.some(Number.isNaN) ? 0 : alpha], 4 * p);
    }
    const x = gap + (i % across) * (wide + gap);
    const y = head.height + gap + Math.floor(i / across) * (tall + caption + gap);
    const href = `data:image/png;base64,${base64(await png(width, height, rgba))}`;
    body.push(
      `<image x="${px(x + (wide - size) / 2)}" y="${px(y)}" width="${px(size)}" height="${px(tall)}" preserveAspectRatio="none" image-rendering="pixelated" href="${href}"/>`,
    );
    if (labels)
      body.push(
        paint.text(x + wide / 2, y + tall + 13, String(labels[i]), 'soft', 'font-size="11" text-anchor="middle"'),
      );
  }
  const rows = Math.ceil(n / across);
  const whole = head.height + gap + rows * (tall + caption + gap);
  return paint.document(total, whole, title ?? `${n} images`, body);
}

/** What is black and what is white. */
function rangeOf(
  op: string,
  data: ArrayLike<number>,
  { dtype }: Tensor,
  given: readonly [number, number] | undefined,
): readonly [number, number] {
  if (given) {
    const [low, high] = given;
    if (!(Number.isFinite(low) && Number.isFinite(high) && low < high))
      throw new UnsupportedError(
        `${op}: range is [${given}], but it must be two finite numbers, the smaller one first`,
      );
    return given;
  }
  if (!isFloating(dtype)) return dtype === 'bool' ? [0, 1] : [0, 255];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; i++) {
    const v = data[i] ?? Number.NaN;
    if (!Number.isFinite(v)) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  if (low >= 0 && high <= 1) return [0, 1];
  return high > low ? [low, high] : [low - 1, low + 1];
}
