// Clipped gradients are compared with PyTorch's in tests/conformance, and clipping in `minimize` is tested in tests/optim.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, refuses, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { utils } = tl.nn;

/** Leaves with the given gradients. */
const leaves = (...gradients: (number[] | null)[]): Tensor[] =>
  gradients.map((g) => {
    const p = tl.zeros([g?.length ?? 1], { requiresGrad: true });
    if (g) p.grad = tl.tensor(g);
    return p;
  });
const end = (tensors: readonly Tensor[]): void => {
  for (const t of tensors) t.dispose();
};

describe.each(devices)('utils on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it.each([
    [1, 8],
    [2, Math.sqrt(26)],
    [3, 92 ** (1 / 3)],
    [Number.POSITIVE_INFINITY, 4],
  ])('clipGradNorm of order %d over all gradients', async (normType, want) => {
    await clean(device, async () => {
      const ps = leaves([3, -1], null, [4], []);
      const total = utils.clipGradNorm(ps, 2, { normType });
      expect(await total.item()).toBeCloseTo(want, 5);
      const scale = 2 / (want + 1e-6);
      expect(await ps[0]!.grad!.toArray()).toEqual([3 * scale, -scale].map((v) => expect.closeTo(v, 5)));
      expect(await ps[2]!.grad!.toArray()).toEqual([expect.closeTo(4 * scale, 5)]);
      expect(ps[1]!.grad).toBe(null);
      end([...ps, total]);
    });
  });

  it('clipGradNorm changes the gradients themselves, and leaves small ones to the bit', async () => {
    await clean(device, async () => {
      const [p] = leaves([0.1, 0.2]) as [Tensor];
      const { grad } = p;
      const total = utils.clipGradNorm(p, 1);
      expect(p.grad).toBe(grad);
      expect(await grad!.data()).toEqual(new Float32Array([0.1, 0.2]));
      utils.clipGradValue(p, 0.15);
      expect(await grad!.data()).toEqual(new Float32Array([0.1, 0.15]));
      end([p, total]);
    });
  });

  it('clipGradNorm of nothing is 0', async () => {
    await clean(device, async () => {
      for (const ps of [[], leaves(null)]) {
        const total = utils.clipGradNorm(ps, 1);
        expect(await total.item()).toBe(0);
        utils.clipGradValue(ps, 1);
        end([...ps, total]);
      }
    });
  });

  it('a norm that is not finite makes NaN of the gradients, or with errorIfNonfinite an error that leaves them', async () => {
    await clean(device, async () => {
      const ps = leaves([1, Number.POSITIVE_INFINITY], [2]);
      const total = utils.clipGradNorm(ps, 1, { errorIfNonfinite: true });
      const error = await total.item().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(tl.NumericsError);
      expect(String(error)).toMatch(
        /clipGradNorm: the norm is NaN or infinite, because gradients are; lower the learning rate/,
      );
      expect(await ps[1]!.grad!.toArray()).toEqual([2]);
      const again = utils.clipGradNorm(ps, 1);
      expect(await again.item()).toBe(Number.POSITIVE_INFINITY);
      expect(await ps[0]!.grad!.toArray()).toEqual([0, Number.NaN]);
      end([...ps, total, again]);
    });
  });

  it('in minimize the error comes with the next await, and the step did not go wrong', async () => {
    await clean(device, async () => {
      const w = tl.tensor([1, 2], { requiresGrad: true });
      using sgd = new tl.optim.SGD([w], { lr: 1 });
      const x = tl.tensor([Number.POSITIVE_INFINITY, 1]);
      const loss = sgd.minimize(() => w.mul(x).sum(), { clipGradNorm: { maxNorm: 1, errorIfNonfinite: true } });
      await expect(loss.item()).rejects.toThrow(/clipGradNorm: the norm is NaN or infinite/);
      end([w, x]);
    });
  });

  it('the number of kernels grows by one for each gradient, and by few for the rest', async () => {
    await clean(device, async () => {
      const launchesOf = async (n: number): Promise<number> => {
        const ps = leaves(...Array.from({ length: n }, (_, i) => [i, i + 1]));
        await device.sync();
        const { launches } = device.engine.counters;
        const total = utils.clipGradNorm(ps, 1);
        await device.sync();
        const used = device.engine.counters.launches - launches;
        end([...ps, total]);
        return used;
      };
      const [few, many] = [await launchesOf(4), await launchesOf(24)];
      // A norm and a new value for each.
      expect((many - few) / 20).toBeLessThanOrEqual(2.25);
    });
  });

  it('parameters become a vector and come back', async () => {
    await clean(device, async () => {
      const model = new tl.nn.Sequential(new tl.nn.Linear(3, 2), new tl.nn.Linear(2, 1));
      const before = await Promise.all(model.parameters().map((p) => p.data()));
      const vector = utils.parametersToVector(model.parameters());
      expect(vector.shape).toEqual([11]);
      expect(Array.from(await vector.data())).toEqual(before.flatMap((d) => Array.from(d)));
      const twice = tl.tidy(() => vector.detach().mul(2));
      utils.vectorToParameters(twice, model.parameters());
      const after = await Promise.all(model.parameters().map((p) => p.data()));
      expect(after).toEqual(before.map((d) => (d as Float32Array).map((v) => 2 * v)));
      expect(model.parameters().every((p) => p.isLeaf && p.requiresGrad)).toBe(true);
      tl.tidy(() => vector.square().sum().backward());
      expect(await model.parameters()[1]!.grad!.data()).toEqual((before[1] as Float32Array).map((v) => 2 * v));
      end([vector, twice]);
      model.dispose();
    });
  });

  it.each<[string, (p: Tensor) => unknown, new (...args: never[]) => Error, RegExp]>([
    [
      'clipGradNorm of a module',
      () => utils.clipGradNorm(new tl.nn.ReLU() as never, 1),
      tl.UnsupportedError,
      /clipGradNorm: the parameters are a ReLU; pass model.parameters\(\), or a list/,
    ],
    [
      'clipGradNorm of numbers',
      () => utils.clipGradNorm([1] as never, 1),
      tl.UnsupportedError,
      /clipGradNorm: expected a tensor, got number 1/,
    ],
    [
      'clipGradNorm without a limit',
      (p) => utils.clipGradNorm([p], undefined as never),
      tl.UnsupportedError,
      /maxNorm is undefined, but it must be a number of at least 0/,
    ],
    [
      'clipGradNorm of an order that is NaN',
      (p) => utils.clipGradNorm([p], 1, { normType: Number.NaN }),
      tl.UnsupportedError,
      /normType is number NaN, but it must be the order of a norm/,
    ],
    [
      'clipGradNorm with a flag that is none',
      (p) => utils.clipGradNorm([p], 1, { errorIfNonfinite: 1 as never }),
      tl.UnsupportedError,
      /errorIfNonfinite is number 1, but it must be true or false/,
    ],
    [
      'clipGradValue of a negative limit',
      (p) => utils.clipGradValue([p], -1),
      tl.UnsupportedError,
      /clipGradValue: clipValue is number -1/,
    ],
    [
      'parametersToVector of nothing',
      () => utils.parametersToVector([]),
      tl.UnsupportedError,
      /parametersToVector: there are no parameters/,
    ],
    [
      'vectorToParameters of a short vector',
      (p) => utils.vectorToParameters(tl.zeros([1]), [p]),
      tl.ShapeError,
      /the vector is of shape \[1\], but the parameters have 2 elements; it must be of shape \[2\]/,
    ],
    [
      'vectorToParameters of a matrix',
      (p) => utils.vectorToParameters(tl.zeros([1, 2]), [p]),
      tl.ShapeError,
      /the vector is of shape \[1, 2\]/,
    ],
  ])('%s is an error', async (_, run, error, says) => {
    await clean(device, () => {
      tl.tidy(() => {
        const p = tl.zeros([2], { requiresGrad: true });
        refuses(() => run(p), error, says);
      });
    });
  });
});
