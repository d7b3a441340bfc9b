import { FormatError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { type TensorOptions, tensor } from '../ops/creation.ts';
import { checkOptions, checkTensor, describe } from '../ops/record.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What red, green and blue add to the luma. */
const LUMA = [0.299, 0.587, 0.114];

/** Pixels row by row, four bytes each, as `ImageData` holds them. */
export interface Pixels {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A canvas of a page or a worker. */
interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: '2d'): { getImageData(x: number, y: number, width: number, height: number): Pixels } | null;
}

/** Options of `fromPixels`. */
export interface FromPixelsOptions extends TensorOptions {
  /** 1 for grey (the luma of ITU-R BT.601), 3 for red, green and blue (the default), 4 with opacity. */
  readonly channels?: 1 | 3 | 4 | undefined;
}

/**
 * An image as a tensor [channels, height, width] in [0, 1] (`torchvision.transforms.ToTensor`), from `ImageData`, from a canvas, or
 * from pixels of one's own.
 *
 * @throws FormatError for what is no image.
 * @example
 * ```ts
 * const grey = tl.data.fromPixels({ data: new Uint8Array(4 * 6), width: 3, height: 2 }, { channels: 1 }); // shape [1, 2, 3]
 * ```
 */
export function fromPixels(image: Pixels | Canvas, options: FromPixelsOptions = {}): Tensor {
  const op = 'fromPixels';
  checkOptions(op, options, ['channels', 'dtype', 'device', 'requiresGrad']);
  const { channels = 3, ...rest } = options;
  if (channels !== 1 && channels !== 3 && channels !== 4)
    throw new UnsupportedError(`${op}: channels is ${describe(channels)}; use 1, 3 or 4`);
  const { data, width, height } = pixelsOf(op, image);
  const places = width * height;
  const out = new Float32Array(channels * places);
  for (let i = 0; i < places; i++) {
    const pixel = data.subarray(4 * i, 4 * i + 4);
    if (channels === 1) out[i] = LUMA.reduce((sum, share, c) => sum + share * (pixel[c] ?? 0), 0) / 255;
    else for (let c = 0; c < channels; c++) out[c * places + i] = (pixel[c] ?? 0) / 255;
  }
  return tensor(out, { ...rest, shape: [channels, height, width] });
}

function pixelsOf(op: string, image: Pixels | Canvas): Pixels {
  const wrong = (): FormatError =>
    new FormatError(
      `${op}: ${describe(image)} is no image; give ImageData, a canvas, or { data, width, height } with four bytes a pixel`,
    );
  if (typeof image !== 'object' || image === null) throw wrong();
  if ('getContext' in image) {
    const context = image.getContext('2d');
    if (!context) throw new FormatError(`${op}: the canvas has no 2d context; it draws by another kind already`);
    return context.getImageData(0, 0, image.width, image.height);
  }
  const { data, width, height } = image;
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray) || !Number.isInteger(width)) throw wrong();
  if (data.length !== 4 * width * height)
    throw new FormatError(
      `${op}: ${data.length} bytes are not ${width} x ${height} pixels of four bytes, red, green, blue and opacity`,
    );
  return image;
}

/**
 * An image's pixels, four bytes each, from a tensor [height, width], or [channels, height, width] of 1, 3 or 4 channels, in [0, 1];
 * what lies outside is cut off, and NaN is black. `new ImageData(data, width, height)` shows them.
 *
 * @throws ShapeError for another shape.
 * @example
 * ```ts
 * const { data, width, height } = await tl.data.toPixels(tl.rand([3, 8, 8]));
 * ```
 */
export async function toPixels(
  image: Tensor,
): Promise<{ readonly data: Uint8ClampedArray<ArrayBuffer>; readonly width: number; readonly height: number }> {
  checkTensor('toPixels', image);
  const { shape } = image;
  const [height = 0, width = 0] = shape.slice(-2);
  const channels = shape.length === 2 ? 1 : shape[0];
  if (shape.length < 2 || shape.length > 3 || (channels !== 1 && channels !== 3 && channels !== 4))
    throw new ShapeError(
      `toPixels: ${showShape(shape)} is no image; give [height, width], or [channels, height, width] with 1, 3 or 4 channels`,
    );
  const values = await image.data();
  const places = width * height;
  const data = new Uint8ClampedArray(4 * places);
  for (let i = 0; i < places; i++)
    for (let c = 0; c < 4; c++) {
      const from = channels === 1 ? (c === 3 ? -1 : 0) : c < channels ? c : -1;
      data[4 * i + c] = from < 0 ? 255 : Number(values[from * places + i]) * 255;
    }
  return { data, width, height };
}
