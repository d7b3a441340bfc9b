// The library as the conformance cases see it: the public entry, where names may still be missing.
import * as tl from '../../src/index.ts';
import { provideGPU } from '../../src/init.ts';
import type { Device } from '../../src/tensor/device.ts';
import { gpu } from '../setup/devices.ts';

provideGPU(gpu);

export type { Device };
export { tl };
export type Tensor = tl.Tensor;

/** A name that the library does not have (yet): the case is skipped, and the name listed. */
export class Missing extends Error {
  override name = 'Missing';
}

type Callable = (...args: unknown[]) => unknown;
type Constructor = new (...args: unknown[]) => Record<string, unknown>;

function lookUp(path: string): unknown {
  let at: unknown = tl;
  for (const name of path.split('.')) at = (at as Record<string, unknown> | undefined)?.[name];
  return at;
}

/** A function by the first of the names, separated by `|`, that there is; in `nn.functional` and `linalg` too. */
export function find(names: string): Callable {
  for (const name of names.split('|')) {
    for (const path of [name, `nn.functional.${name}`, `linalg.${name}`]) {
      const found = lookUp(path);
      if (typeof found === 'function') return found as Callable;
    }
  }
  throw new Missing(names);
}

/** Makes an object of a class such as `optim.SGD`. */
export function construct(path: string, ...args: unknown[]): Record<string, unknown> {
  const found = lookUp(path);
  if (typeof found !== 'function') throw new Missing(path);
  return new (found as Constructor)(...args);
}

/** Calls a function of the library. */
export const call = (names: string, ...args: unknown[]): unknown => find(names)(...args);

/** The same, where a tensor comes back. */
export const op = (names: string, ...args: unknown[]): Tensor => call(names, ...args) as Tensor;
