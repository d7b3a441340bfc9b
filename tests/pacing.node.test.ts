import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { pace } from '../src/pacing.ts';

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

let now = 0;
let pauses: number[] = [];

// A clock that stands still but for pauses and `now`, so that the test does not depend on the machine.
beforeEach(() => {
  now = 1000;
  pauses = [];
  vi.spyOn(performance, 'now').mockImplementation(() => now);
  vi.spyOn(Atomics, 'wait').mockImplementation((...args: readonly unknown[]) => {
    const ms = args[3] as number;
    pauses.push(ms);
    now += ms;
    return 'timed-out';
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

it('does not pause in a short wait, nor without one', async () => {
  pace(after(5));
  now += 2;
  await after(15);
  now += 100;
  await turns(5);
  expect(pauses).toEqual([]);
});

it('pauses longer the longer the wait is, within a bound, and stops when the last wait ends', async () => {
  let end = (): void => {};
  pace(
    new Promise<void>((resolve) => {
      end = resolve;
    }),
  );
  now += 4;
  await turns(3);
  expect(pauses.length).toBeGreaterThan(0);
  expect(pauses[0]).toBe(4 / 32);
  for (const [i, pause] of pauses.entries()) if (i > 0) expect(pause).toBeGreaterThan(pauses[i - 1]!);
  now += 1000;
  await turns(3);
  expect(Math.max(...pauses)).toBe(0.5);

  // A wait that begins later is as new once the first has ended.
  let fail = (_: Error): void => {};
  const second = new Promise<void>((_, reject) => {
    fail = reject;
  });
  second.catch(() => {});
  pace(second);
  end();
  await turns(2);
  pauses = [];
  await turns(3);
  expect(pauses).toEqual([]);
  now += 8;
  await turns(3);
  expect(pauses[0]).toBe(8 / 32);

  fail(new Error('lost'));
  await turns(2);
  pauses = [];
  now += 1000;
  await turns(3);
  expect(pauses).toEqual([]);
});
