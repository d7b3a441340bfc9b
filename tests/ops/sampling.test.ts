import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

describe.each(devices)('sampling on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const numbers = async (fn: () => tl.Tensor): Promise<number[]> => {
    using out = tl.tidy(fn);
    return [...(await out.data())] as number[];
  };
  const counts = (places: readonly number[], n: number): number[] => {
    const out = new Array<number>(n).fill(0);
    for (const i of places) out[i]!++;
    return out;
  };
  /** How far counts are from what is expected, as the chi-squared sum. */
  const chi = (got: readonly number[], weights: readonly number[]): number => {
    const total = weights.reduce((a, b) => a + b, 0);
    const draws = got.reduce((a, b) => a + b, 0);
    return got.reduce((sum, c, i) => {
      const want = (draws * weights[i]!) / total;
      return want === 0 ? sum + (c === 0 ? 0 : Infinity) : sum + (c - want) ** 2 / want;
    }, 0);
  };

  it('randperm orders each number once, anew each time, and the same for the same seed', () =>
    clean(device, async () => {
      tl.manualSeed(5);
      const first = await numbers(() => tl.randperm(1000));
      const second = await numbers(() => tl.randperm(1000));
      tl.manualSeed(5);
      expect(await numbers(() => tl.randperm(1000))).toEqual(first);
      expect([...first].sort((a, b) => a - b)).toEqual([...first.keys()]);
      expect(second).not.toEqual(first);
      expect(first).not.toEqual([...first.keys()]);
      // The same on every device.
      expect(first.slice(0, 6)).toEqual([632, 430, 8, 826, 554, 934]);
      expect(await numbers(() => tl.randperm(0))).toEqual([]);
      expect(await numbers(() => tl.randperm(1))).toEqual([0]);
      using floats = tl.randperm(3, { dtype: 'float32', requiresGrad: true });
      expect([floats.dtype, floats.requiresGrad]).toEqual(['float32', true]);
      for (const n of [-1, 1.5, Number.NaN, 2 ** 31])
        expect(() => tl.randperm(n)).toThrow(
          `randperm: n is number ${n}, but it must be a whole number from 0 to 2^31 - 1`,
        );
    }));

  it('bernoulli draws 1 as often as the probability says', () =>
    clean(device, async () => {
      tl.manualSeed(1);
      const draws = await numbers(() => tl.bernoulli(tl.full([4000], 0.3)));
      expect(new Set(draws)).toEqual(new Set([0, 1]));
      expect(chi(counts(draws, 2), [0.7, 0.3])).toBeLessThan(10.8);
      expect(await numbers(() => tl.bernoulli(tl.tensor([0, 1, 0, 1])))).toEqual([0, 1, 0, 1]);
    }));

  it('multinomial draws in proportion to the weights, with replacement', () =>
    clean(device, async () => {
      tl.manualSeed(2);
      const weights = [1, 0, 3, 4];
      const places = await numbers(() => tl.multinomial(tl.tensor(weights), 4000, { replacement: true }));
      // 0.1 % of three degrees of freedom.
      expect(chi(counts(places, 4), weights)).toBeLessThan(16.3);
    }));

  it('multinomial without replacement draws none twice, the heavy ones first', () =>
    clean(device, async () => {
      tl.manualSeed(3);
      const rows = 1500;
      const weights = [1, 2, 0, 5];
      const places = await numbers(() => tl.multinomial(tl.tensor(weights).expand([rows, 4]), 3));
      const firsts: number[] = [];
      for (let i = 0; i < rows; i++) {
        const row = places.slice(3 * i, 3 * i + 3);
        expect([...row].sort()).toEqual([0, 1, 3]);
        firsts.push(row[0]!);
      }
      expect(chi(counts(firsts, 4), weights)).toBeLessThan(16.3);
      using one = tl.tidy(() => tl.multinomial(tl.tensor([0, 0, 7]), 1));
      expect([one.shape, one.dtype, await one.item()]).toEqual([[1], 'int32', 2]);
      using half = tl.tidy(() => tl.multinomial(tl.eye(2).flip([0]), 1));
      expect(await half.toArray()).toEqual([[1], [0]]);
    }));

  it('multinomial refuses what cannot be drawn', () =>
    clean(device, async () => {
      const bad = async (weights: number[], count: number, replacement = false): Promise<void> => {
        using out = tl.tidy(() => tl.multinomial(tl.tensor(weights), count, { replacement }));
        await expect(out.data()).rejects.toThrow(
          /^multinomial: weights are negative or not finite, or fewer of them are above 0 than there are draws/,
        );
        await expect(out.data()).resolves.toHaveLength(count);
      };
      await bad([0, 0, 1], 2);
      await bad([0, 0], 3, true);
      await bad([1, -1, 2], 1);
      await bad([1, Number.NaN], 1, true);
      await bad([1, Number.POSITIVE_INFINITY], 1);
      using x = tl.ones([3]);
      using whole = tl.ones([3], { dtype: 'int32' });
      using cube = tl.ones([1, 1, 3]);
      expect(() => tl.multinomial(x, 4)).toThrow('multinomial: 4 different ones of 3 categories cannot be drawn');
      expect(() => tl.multinomial(x, 0)).toThrow(
        'multinomial: count is number 0, but it must be a whole number of at least 1',
      );
      expect(() => tl.multinomial(whole, 1)).toThrow(tl.DTypeError);
      expect(() => tl.multinomial(cube, 1)).toThrow('multinomial: weights of [1, 1, 3] must be [categories]');
    }));
});
