import { FormatError } from '../core/errors.ts';
import { type ReadOptions, readBytes, type Source } from './bytes.ts';
import type { HostRows } from './dataset.ts';

const SIDE = 32;
const PIXELS = 3 * SIDE * SIDE;
const CLASSES = 10;

/** Images and their labels on the host. */
export interface LabelledImages {
  /** Bytes of shape [n, 3, 32, 32], from 0 to 255. */
  readonly x: HostRows & { readonly data: Uint8Array };
  /** The class of each image, from 0 to 9. */
  readonly y: Int32Array;
}

/**
 * Reads a file of CIFAR-10 in its binary version, plain or gzip (Krizhevsky, "Learning multiple layers of features from tiny images",
 * 2009): for each image a label and 3 x 32 x 32 bytes, red, green and blue.
 *
 * @throws FormatError for a file that does not hold whole images, and for a label above 9.
 * @example
 * ```ts
 * const { x, y } = await tl.data.readCifar10(await fetch('/data_batch_1.bin'));
 * const set = new tl.data.TensorDataset(x, y);
 * ```
 */
export async function readCifar10(source: Source, options: ReadOptions = {}): Promise<LabelledImages> {
  const bytes = await readBytes('readCifar10', source, options);
  const n = bytes.length / (1 + PIXELS);
  if (!Number.isInteger(n) || n === 0)
    throw new FormatError(
      `readCifar10: ${bytes.length} bytes are no whole number of images of ${1 + PIXELS}; the file is cut off, or not of the binary version`,
    );
  const data = new Uint8Array(n * PIXELS);
  const y = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const at = i * (1 + PIXELS);
    const label = bytes[at] ?? 0;
    if (label >= CLASSES)
      throw new FormatError(
        `readCifar10: image ${i} has the label ${label}; there are the classes 0 to ${CLASSES - 1}`,
      );
    y[i] = label;
    data.set(bytes.subarray(at + 1, at + 1 + PIXELS), i * PIXELS);
  }
  return { x: { data, shape: [n, 3, SIDE, SIDE] }, y };
}
