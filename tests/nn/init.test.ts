import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

const { init } = tl.nn;

/** Mean and standard deviation. */
function moments(values: ArrayLike<number>): [mean: number, std: number] {
  const list = Array.from(values);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  return [mean, Math.sqrt(list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length)];
}

describe.each(devices)('initialisers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it('truncNormal_ draws from the middle of the distribution only', async () => {
    await clean(device, async () => {
      tl.manualSeed(5);
      const w = tl.zeros([100, 100]);
      expect(init.truncNormal_(w)).toBe(w);
      const values = await w.data();
      expect(Math.min(...values)).toBeGreaterThanOrEqual(-2);
      expect(Math.max(...values)).toBeLessThanOrEqual(2);
      const [mean, std] = moments(values);
      // 1 - 2 * 2 * density(2) / (2 * distribution(2) - 1), under the root.
      expect(mean).toBeCloseTo(0, 1);
      expect(std).toBeGreaterThan(0.8796 - 0.02);
      expect(std).toBeLessThan(0.8796 + 0.02);
      // Quartiles of the truncated distribution.
      const sorted = Float32Array.from(values).sort();
      for (const [share, want] of [
        [0.25, -0.6399],
        [0.5, 0],
        [0.9, 1.1739],
      ] as const)
        expect(Math.abs(sorted[share * 10000]! - want)).toBeLessThan(0.05);
      w.dispose();
    });
  });

  it('truncNormal_ follows its mean, its deviation and one open end', async () => {
    await clean(device, async () => {
      tl.manualSeed(6);
      const w = tl.zeros([5000]);
      init.truncNormal_(w, { mean: 3, std: 0.5, a: 3, b: Number.POSITIVE_INFINITY });
      const values = await w.data();
      expect(Math.min(...values)).toBeGreaterThanOrEqual(3);
      expect(values.every(Number.isFinite)).toBe(true);
      // Of half a normal distribution.
      expect(moments(values)[0]).toBeCloseTo(3 + 0.5 * Math.sqrt(2 / Math.PI), 1);
      w.dispose();
    });
  });

  it.each([
    [[3, 5], 1],
    [[5, 3], 2],
    [[4, 4], 1],
    [[2, 3, 2, 2], 0.5],
  ] as const)('orthogonal_ of shape %j', async (shape, gain) => {
    await clean(device, async () => {
      tl.manualSeed(7);
      const w = tl.zeros(shape);
      expect(init.orthogonal_(w, gain)).toBe(w);
      const products = tl.tidy(() => {
        const m = w.reshape([shape[0], -1]);
        return m.shape[0]! <= m.shape[1]! ? m.matmul(m.t()) : m.t().matmul(m);
      });
      const n = products.shape[0]!;
      const want = Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? gain ** 2 : 0));
      expect(Array.from(await products.data())).toEqual(want.map((v) => expect.closeTo(v, 4)));
      w.dispose();
      products.dispose();
    });
  });

  it('orthogonal_ prefers no direction', async () => {
    await clean(device, async () => {
      tl.manualSeed(8);
      const signs: number[] = [];
      const w = tl.zeros([2, 2]);
      for (let i = 0; i < 40; i++) signs.push(Math.sign((await init.orthogonal_(w).data())[0]!));
      expect(Math.abs(signs.reduce((a, b) => a + b, 0))).toBeLessThan(25);
      w.dispose();
    });
  });

  it('parameters are initialised unrecorded, and empty ones stay', async () => {
    await clean(device, () => {
      const layer = new tl.nn.Linear(3, 4);
      for (const set of [init.orthogonal_, init.truncNormal_]) {
        set(layer.weight);
        expect(layer.weight.isLeaf && layer.weight.requiresGrad).toBe(true);
      }
      const empty = tl.zeros([0, 3]);
      expect(init.orthogonal_(empty)).toBe(empty);
      layer.dispose();
      empty.dispose();
    });
  });

  it('refuses what it cannot do', () => {
    tl.tidy(() => {
      const w = tl.zeros([3]);
      expect(() => init.orthogonal_(w)).toThrow(tl.ShapeError);
      expect(() => init.orthogonal_(w)).toThrow(/orthogonal_: the tensor of shape \[3\] is no matrix/);
      for (const options of [{ a: 1, b: 1 }, { std: 0 }, { mean: Number.NaN }]) {
        expect(() => init.truncNormal_(w, options)).toThrow(tl.UnsupportedError);
        expect(() => init.truncNormal_(w, options)).toThrow(
          /are no truncated normal distribution; std must be above 0/,
        );
      }
      expect(() => init.truncNormal_(w, { low: 1 } as never)).toThrow(/there is no option low/);
    });
  });
});
