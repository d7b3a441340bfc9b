import { FormatError, UnsupportedError } from '../core/errors.ts';
import { checkOptions, describe } from '../ops/record.ts';

/** A file: its bytes, or what hands them out, such as a `Blob`, a `File` or the response of `fetch`. Plain or gzip. */
export type Source =
  | ArrayBuffer
  | Uint8Array
  | {
      /** All bytes. */
      arrayBuffer(): Promise<ArrayBuffer>;
    };

/** Options of the readers of files. */
export interface ReadOptions {
  /** The most bytes that a gzip file may hold; 2 GiB unless given. More is an error, so that a small file cannot fill the memory. */
  readonly maxBytes?: number | undefined;
}

const LIMIT = 2 ** 31;

/** The bytes of a source as they are. */
async function bytesOf(op: string, source: Source): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  const response = source as { ok?: unknown; status?: unknown; arrayBuffer?: unknown } | null;
  if (typeof response !== 'object' || typeof response?.arrayBuffer !== 'function')
    throw new FormatError(
      `${op}: ${describe(source)} is no file; give its bytes as an ArrayBuffer or a Uint8Array, a Blob, or the response of fetch`,
    );
  if (response.ok === false)
    throw new FormatError(`${op}: the response has the status ${String(response.status)}; look at the address`);
  return new Uint8Array(await (source as { arrayBuffer(): Promise<ArrayBuffer> }).arrayBuffer());
}

/** What a gzip file holds, chunk by chunk, up to a limit. */
async function inflate(op: string, packed: Uint8Array, limit: number): Promise<Uint8Array> {
  const reader = new Blob([packed as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream('gzip'))
    .getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw new FormatError(`${op}: the gzip file is damaged or cut off: ${(error as Error).message}`);
    });
    if (done) break;
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new FormatError(`${op}: the gzip file holds more than ${limit} bytes; raise maxBytes if it should`);
    }
    chunks.push(value);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

/** @internal The bytes of a file, unpacked where they are gzip. */
export async function readBytes(op: string, source: Source, options: ReadOptions = {}): Promise<Uint8Array> {
  checkOptions(op, options, ['maxBytes']);
  const { maxBytes = LIMIT } = options;
  if (!Number.isInteger(maxBytes) || maxBytes < 1)
    throw new UnsupportedError(`${op}: maxBytes is ${describe(maxBytes)}, but it must be a whole number of at least 1`);
  const bytes = await bytesOf(op, source);
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? inflate(op, bytes, maxBytes) : bytes;
}

/**
 * The text of a file in UTF-8, plain or gzip, for `readCsv`.
 *
 * @throws FormatError for a gzip file that is damaged, and for bytes that are no UTF-8.
 * @example
 * ```ts
 * const table = tl.data.readCsv(await tl.data.readText(await fetch('/iris.csv.gz')));
 * ```
 */
export async function readText(source: Source, options: ReadOptions = {}): Promise<string> {
  const bytes = await readBytes('readText', source, options);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError('readText: the file is no text in UTF-8; decode it with a TextDecoder of its encoding');
  }
}
