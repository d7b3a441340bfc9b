import { DeviceError } from '../core/errors.ts';

/** @internal What callbacks need of a file system. */
export interface Files {
  /** Writes a file anew. */
  write(path: string, text: string): Promise<void>;
  /** Adds to a file, which is made where there is none. */
  append(path: string, text: string): Promise<void>;
}

let provided: Files | null = null;

/** @internal Where files are: the Node entry says so, and a page has none. */
export function provideFiles(files: Files): void {
  provided = files;
}

/** @internal */
export function filesFor(op: string, path: string): Files {
  if (!provided)
    throw new DeviceError(
      `${op}: there are no files here to write ${path} to; pass a function or a stream, or run it in Node`,
    );
  return provided;
}
