// The rounds of the benchmarks: who agrees, who fails, and what is compared with what.
import { expect, test } from 'vitest';
import { type Contestant, race, summarise } from '../../bench/harness.ts';

const contestant = (name: string, values: readonly number[], rest: Partial<Contestant> = {}): Contestant => {
  let i = 0;
  return {
    name,
    device: 'cpu',
    once() {
      i++;
    },
    settle: async () => values[Math.min(i, values.length) - 1]!,
    ...rest,
  };
};

const LOSSES = [2.3, 2.2, 2.1, 2];
const options = { rounds: 3, sampleMs: 1 };

test('contestants that learn the same are timed in as many rounds', async () => {
  const figures = await race(
    {
      name: 'w',
      title: 'w',
      contestants: [
        () => contestant('a', LOSSES, { baseline: true }),
        () => contestant('b', [2.3001, 2.2001, 2.1001, 50]),
      ],
    },
    options,
  );
  expect(figures.map(({ contestant: name, rounds, error }) => ({ name, rounds, error }))).toEqual([
    { name: 'a', rounds: 3, error: undefined },
    { name: 'b', rounds: 3, error: undefined },
  ]);
});

test.each([
  ['begins elsewhere', [2.4, 2.2, 2.1], /^result 1 /],
  ['learns something else', [2.3, 2.2, 2.2], /^result 3 /],
  ['reads no number', [2.3, Number.NaN, 2.1], /^result 2 /],
])('a contestant that %s is an error, and the others go on', async (_, values, says) => {
  const makers = [() => contestant('a', LOSSES), () => contestant('b', values)];
  const figures = await race({ name: 'w', title: 'w', contestants: makers }, options);
  expect(figures.map(({ contestant: name, rounds }) => [name, rounds])).toEqual([
    ['a', 3],
    ['b', 0],
  ]);
  expect(figures[1]!.error).toMatch(says);
});

test('a yardstick reads what it likes', async () => {
  const makers = [() => contestant('a', LOSSES), () => contestant('copy', [0], { yardstick: true })];
  const figures = await race({ name: 'w', title: 'w', contestants: makers }, options);
  expect(figures.map(({ error }) => error)).toEqual([undefined, undefined]);
});

test('ratios and shares are of the same round and the same device', () => {
  const runner = (name: string, device: 'cpu' | 'webgpu', times: number[], rest: object = {}) => ({
    contestant: { name, device, ...rest },
    times,
    repeats: 1,
  });
  const figures = summarise({ name: 'w', bytes: 4e6 }, [
    runner('ours', 'webgpu', [2, 4, 8], { baseline: true }),
    runner('theirs', 'webgpu', [6, 12, 24]),
    runner('copy', 'webgpu', [1, 2, 4], { yardstick: true }),
    runner('elsewhere', 'cpu', [1, 1, 1]),
  ]);
  expect(figures.map(({ ratio, share, rate }) => ({ ratio, share, rate }))).toEqual([
    { ratio: 1, share: 0.5, rate: 1 },
    { ratio: 3, share: 1 / 6, rate: 1 / 3 },
    { ratio: null, share: 1, rate: 2 },
    { ratio: null, share: undefined, rate: 4 },
  ]);
});
