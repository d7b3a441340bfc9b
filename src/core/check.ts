import { UnsupportedError } from './errors.ts';

/** A value in an error message. */
export function describe(x: unknown): string {
  if (x === null || x === undefined) return String(x);
  if (Array.isArray(x)) return 'an array';
  if (typeof x === 'function') return 'a function';
  if (typeof x !== 'object') return `${typeof x} ${String(x)}`;
  const { name } = (Object.getPrototypeOf(x)?.constructor ?? Object) as { name?: string };
  return !name || name === 'Object' ? 'an object' : `a ${name}`;
}

/** An UnsupportedError for options that an op does not have, and for flags among them that are neither true nor false. */
export function checkOptions(
  op: string,
  options: unknown,
  names: readonly string[],
  flags: readonly string[] = [],
): void {
  const all = [...names, ...flags];
  if (describe(options) !== 'an object')
    throw new UnsupportedError(`${op}: options are an object such as { ${all[0]}: … }, got ${describe(options)}`);
  for (const name of Object.keys(options as object))
    if (!all.includes(name))
      throw new UnsupportedError(`${op}: there is no option ${name}; it takes ${all.join(', ') || 'none'}`);
  for (const name of flags) checkFlag(op, name, (options as Readonly<Record<string, unknown>>)[name]);
}

/** An UnsupportedError for what is neither true nor false, nor left out. */
export function checkFlag(op: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean')
    throw new UnsupportedError(`${op}: ${name} is ${describe(value)}, but it must be true or false`);
}

/** An UnsupportedError for what cannot be called. */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function')
    throw new UnsupportedError(`${op}: expected a function, got ${describe(fn)}; pass one, such as () => …`);
}

/**
 * What a function must give that cannot be async: anything but a promise. Stands beside its type in a signature.
 *
 * @inline
 */
export type Synchronous<T> = [T] extends [never]
  ? unknown
  : [T] extends [PromiseLike<unknown>]
    ? 'this function cannot be async: await outside it'
    : unknown;

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
