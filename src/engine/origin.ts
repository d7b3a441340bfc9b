/* Checked mode (`debug`): every operation remembers who called it. */

/** What `debug` sets: NaN and infinity are errors, only NaN is, or neither. */
export type CheckNumerics = boolean | 'nan';

let mode: CheckNumerics = false;

/** True in checked mode. */
export const checking = (): boolean => mode !== false;

/** What is checked now. */
export const currentChecks = (): CheckNumerics => mode;

/** Sets what is checked from now on. */
export function setChecks(next: CheckNumerics): void {
  mode = next;
}

/** The op that a value comes from, and the user's line that called it. */
export interface Origin {
  readonly op: string;
  readonly site: string | null;
}

/** The file and line of a frame, as V8 ("at fn (file:1:2)") and the others ("fn@file:1:2") write it. */
const placeIn = (frame: string): string | null => /([^\s()@]+:\d+:\d+)\)?$/.exec(frame)?.[1] ?? null;

function stack(): string[] {
  const limits = Error as { stackTraceLimit?: number };
  const before = limits.stackTraceLimit;
  limits.stackTraceLimit = 100;
  const frames = (new Error().stack ?? '').split('\n').flatMap((frame) => placeIn(frame) ?? []);
  if (before !== undefined) limits.stackTraceLimit = before;
  return frames;
}

/** The folder of the library: of this file in the sources, of its chunks in the package. */
const home = (own: string): string => own.replace(/[^/\\]*$/, '').replace(/([/\\])src[/\\]engine[/\\]$/, '$1src$1');

/** In checked mode, the first line on the stack that is not the library's; null where there is none, as in one bundle with it. */
export function userSite(): string | null {
  if (!checking()) return null;
  const frames = stack();
  const inside = home(frames[0] ?? '');
  return frames.find((place) => !place.startsWith(inside) && !/^(node|async|<anonymous>):?/.test(place)) ?? null;
}

let origin: Origin | null = null;

/** Runs a function whose operations come from the gradient of an op that was called before. */
export function during<T>(op: string, site: string | null, fn: () => T): T {
  if (!checking()) return fn();
  const before = origin;
  origin = { op: `the gradient of ${op}`, site };
  try {
    return fn();
  } finally {
    origin = before;
  }
}

/** Where an operation of that label comes from; null outside checked mode. */
export const originOf = (label: string): Origin | null =>
  checking() ? (origin ?? { op: label, site: userSite() }) : null;

/** An op with the line that called it, if that is known. */
export const showOrigin = ({ op, site }: Origin): string => (site ? `${op} (called at ${site})` : op);
