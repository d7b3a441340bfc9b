import { DTypeError } from './errors.ts';

let seed: readonly [number, number] = [0, 0];
let calls = 0;

/**
 * Restarts the random stream. The same seed gives the same integer and uniform bits on every device.
 *
 * @throws DTypeError unless the seed is a whole number from 0 to 2^53 - 1.
 */
export function manualSeed(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new DTypeError(`manualSeed: ${value} is no seed; use a whole number from 0 to 2^53 - 1`);
  seed = [value >>> 0, Math.floor(value / 2 ** 32)];
  calls = 0;
}

/**
 * The key of the next random op: it takes its place in the stream when it is called, so that dropping or fusing one never
 * changes another.
 */
export const nextStream = (): number[] => [seed[0], seed[1], calls++];

/** Where the stream stands: a resumed run goes on from here. */
export interface RandomState {
  readonly seed: readonly [number, number];
  readonly calls: number;
}
export const randomState = (): RandomState => ({ seed, calls });
export function setRandomState(state: RandomState): void {
  seed = state.seed;
  calls = state.calls;
}

/** What runs functions with the stream as it is now, and then puts it back to where it stood. */
export function replaying(): <T>(again: () => T) => T {
  const start = randomState();
  return (again) => {
    const now = randomState();
    setRandomState(start);
    try {
      return again();
    } finally {
      setRandomState(now);
    }
  };
}

/** A generator on the host for shuffles and splits, on the same stream: floats in [0, 1). */
export function hostRandom(): () => number {
  const [a, b, c] = nextStream();
  // splitmix32 from a mix of the key.
  let state =
    (Math.imul(a! ^ 0x9e3779b9, 0x85ebca6b) ^
      Math.imul(b! + 0x7f4a7c15, 0xc2b2ae35) ^
      Math.imul(c! + 1, 0x27d4eb2f)) >>>
    0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
