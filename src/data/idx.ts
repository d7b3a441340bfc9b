import { FormatError } from '../core/errors.ts';
import { showShape, sizeOf } from '../core/shape.ts';
import { type ReadOptions, readBytes, type Source } from './bytes.ts';
import type { HostRows, TypedRows } from './dataset.ts';

type Maker = (n: number) => TypedRows;

/** Element types by their code: bytes an element, an array for them, and how one is read (big-endian). */
const TYPES: Readonly<Record<number, readonly [size: number, make: Maker, read: (v: DataView, at: number) => number]>> =
  {
    8: [1, (n) => new Uint8Array(n), (v, at) => v.getUint8(at)],
    9: [1, (n) => new Int8Array(n), (v, at) => v.getInt8(at)],
    11: [2, (n) => new Int16Array(n), (v, at) => v.getInt16(at)],
    12: [4, (n) => new Int32Array(n), (v, at) => v.getInt32(at)],
    13: [4, (n) => new Float32Array(n), (v, at) => v.getFloat32(at)],
    14: [8, (n) => new Float64Array(n), (v, at) => v.getFloat64(at)],
  };

/**
 * Reads an IDX file, plain or gzip: what MNIST and its kin come in (yann.lecun.com/exdb/mnist). The elements stay on the host, as
 * they are in the file, for a dataset, `fit` or `tensor(data, { shape })`.
 *
 * @throws FormatError for what is no IDX file, and one that holds fewer or more bytes than its header says.
 * @example
 * ```ts
 * const images = await tl.data.readIdx(await fetch('/train-images-idx3-ubyte.gz')); // shape [60000, 28, 28]
 * ```
 */
export async function readIdx(source: Source, options: ReadOptions = {}): Promise<HostRows> {
  const bytes = await readBytes('readIdx', source, options);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const known = bytes.length >= 4 && bytes[0] === 0 && bytes[1] === 0 ? TYPES[bytes[2] ?? 0] : undefined;
  if (!known)
    throw new FormatError(
      `readIdx: the file starts with the bytes ${Array.from(bytes.subarray(0, 4)).join(', ') || '(none)'}; an IDX file starts with 0, 0, a type (8, 9, 11 to 14) and the number of dims`,
    );
  const dims = bytes[3] ?? 0;
  const start = 4 + 4 * dims;
  if (dims === 0 || bytes.length < start)
    throw new FormatError(`readIdx: ${bytes.length} bytes are too few for a header of ${dims} dims`);
  const shape = Array.from({ length: dims }, (_, d) => view.getUint32(4 + 4 * d));
  const [size, make, read] = known;
  const count = sizeOf(shape);
  if (bytes.length - start !== count * size)
    throw new FormatError(
      `readIdx: the header says ${showShape(shape)} elements of ${size} bytes, which are ${count * size}, but ${bytes.length - start} follow; the file is cut off or damaged`,
    );
  const data = make(count);
  if (size === 1) data.set(bytes.subarray(start));
  else for (let i = 0; i < count; i++) data[i] = read(view, start + i * size);
  return { data, shape };
}
