import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

/** Ops that move or add up elements, and what is composed of them: checked by differences in float64, first and second order. */
const CASES: readonly { name: string; shapes: readonly (readonly number[])[]; fn: (...x: Tensor[]) => Tensor }[] = [
  { name: 'reshape', shapes: [[2, 3]], fn: (x) => x!.reshape([3, -1]).square() },
  { name: 'reshape of a transposed view', shapes: [[2, 3]], fn: (x) => x!.t().reshape([6]).square() },
  { name: 'permute', shapes: [[2, 3, 2]], fn: (x) => x!.permute([2, 0, 1]).square() },
  { name: 'expand', shapes: [[3, 1]], fn: (x) => x!.expand([2, 3, 4]).square() },
  { name: 'slice', shapes: [[5, 3]], fn: (x) => x!.slice(0, 1, 5, 2).square() },
  { name: 'slice of a slice', shapes: [[7]], fn: (x) => x!.slice(0, 1).slice(0, 0, 6, 3).square() },
  { name: 'select', shapes: [[3, 4]], fn: (x) => x!.select(1, -1).square() },
  { name: 'squeeze and unsqueeze', shapes: [[1, 3, 1]], fn: (x) => x!.squeeze().unsqueeze(1).square() },
  { name: 'split', shapes: [[5, 2]], fn: (x) => x!.split(2)[2]!.square() },
  { name: 'diagonal', shapes: [[2, 3, 4]], fn: (x) => x!.diagonal(1, 2, 0).square() },
  { name: 'unbind', shapes: [[2, 3]], fn: (x) => x!.unbind(1)[1]!.square() },
  { name: 'pad', shapes: [[2, 3]], fn: (x) => x!.pad([1, 2, 0, 1], { value: 3 }).square() },
  { name: 'negative pad', shapes: [[3, 4]], fn: (x) => x!.pad([-1, 1, 1, -1]).square() },
  {
    name: 'cat',
    shapes: [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    fn: (...x) => tl.cat(x, 1).square(),
  },
  {
    name: 'stack',
    shapes: [
      [2, 2],
      [2, 2],
    ],
    fn: (...x) => tl.stack(x, 1).square(),
  },
  {
    name: 'gather',
    shapes: [[3, 4]],
    fn: (x) =>
      tl
        .gather(
          x!,
          1,
          tl.tensor(
            [
              [0, 0, 3],
              [1, 2, 1],
            ],
            { dtype: 'int32' },
          ),
        )
        .square(),
  },
  {
    name: 'indexSelect',
    shapes: [[4, 3]],
    fn: (x) => x!.indexSelect(0, tl.tensor([3, 0, 3], { dtype: 'int32' })).square(),
  },
  { name: 'sum', shapes: [[2, 3, 2]], fn: (x) => x!.sum({ dim: [0, 2] }).square() },
  { name: 'mean', shapes: [[2, 3]], fn: (x) => x!.mean({ dim: 1, keepDim: true }).square() },
  { name: 'amax', shapes: [[2, 3]], fn: (x) => x!.amax({ dim: 1 }).square() },
  { name: 'min with indices', shapes: [[2, 3]], fn: (x) => x!.min({ dim: 0 }).values.square() },
  { name: 'var', shapes: [[3, 4]], fn: (x) => x!.var({ dim: 1 }).square() },
  { name: 'std', shapes: [[3, 4]], fn: (x) => x!.std({ dim: 0, correction: 0 }) },
  { name: 'logsumexp', shapes: [[3, 4]], fn: (x) => x!.logsumexp({ dim: 1 }).square() },
  { name: 'softmax', shapes: [[3, 4]], fn: (x) => x!.softmax(0).square() },
  { name: 'logSoftmax', shapes: [[3, 4]], fn: (x) => x!.logSoftmax(1).square() },
  {
    name: 'matmul',
    shapes: [
      [2, 3],
      [3, 4],
    ],
    fn: (a, b) => a!.matmul(b!).square(),
  },
  { name: 'matmul of vectors', shapes: [[3], [3]], fn: (a, b) => a!.matmul(b!).square() },
  { name: 'matrix times vector', shapes: [[2, 3], [3]], fn: (a, b) => a!.matmul(b!).square() },
  {
    name: 'batched matmul that broadcasts',
    shapes: [
      [2, 1, 2, 3],
      [3, 3, 2],
    ],
    fn: (a, b) => a!.matmul(b!).square(),
  },
  {
    name: 'batch times matrix',
    shapes: [
      [2, 2, 3],
      [3, 2],
    ],
    fn: (a, b) => a!.matmul(b!).square(),
  },
  { name: 'addmm', shapes: [[4], [2, 3], [3, 4]], fn: (c, a, b) => c!.addmm(a!, b!, { alpha: 0.5, beta: 2 }).square() },
  { name: 'linear', shapes: [[2, 3], [4, 3], [4]], fn: (x, w, b) => tl.linear(x!, w!, b!).square() },
  { name: 'outer', shapes: [[2], [3]], fn: (a, b) => a!.outer(b!).square() },
  { name: 'crossEntropy', shapes: [[3, 4]], fn: (x) => tl.crossEntropy(x!, tl.tensor([1, 3, 0], { dtype: 'int32' })) },
  {
    name: 'crossEntropy with everything',
    shapes: [[3, 4, 2]],
    fn: (x) =>
      tl.crossEntropy(
        x!,
        tl.tensor(
          [
            [1, 3],
            [-100, 0],
            [2, 2],
          ],
          { dtype: 'int32' },
        ),
        {
          labelSmoothing: 0.1,
          weight: tl.tensor([1, 0.5, 2, 1]),
        },
      ),
  },
  {
    name: 'crossEntropy of probabilities',
    shapes: [[2, 3]],
    fn: (x) =>
      tl.crossEntropy(
        x!,
        tl.tensor([
          [0.2, 0.3, 0.5],
          [1, 0, 0],
        ]),
      ),
  },
  {
    name: 'mseLoss',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    fn: (a, b) => tl.mseLoss(a!, b!),
  },
  {
    name: 'binaryCrossEntropyWithLogits',
    shapes: [[2, 3]],
    fn: (x) =>
      tl.binaryCrossEntropyWithLogits(
        x!,
        tl.tensor([
          [0, 1, 0.5],
          [1, 0, 0],
        ]),
        { posWeight: tl.tensor([1, 2, 3]) },
      ),
  },
];

/** Numbers without ties, away from zero. */
const values = (n: number, from: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + from) * 1.5 + 0.013 * i);
const inputsOn = (device: tl.Device, shapes: readonly (readonly number[])[], requiresGrad: boolean): Tensor[] =>
  shapes.map((shape, i) =>
    tl.tensor(
      values(
        shape.reduce((a, b) => a * b, 1),
        i,
      ),
      { shape, device, requiresGrad },
    ),
  );

describe.skipIf(inBrowser)('gradients in float64', () => {
  let exact: tl.Device;
  beforeAll(async () => {
    exact = await open('reference', { precision: 'float64' });
  });
  afterAll(() => {
    exact.destroy();
  });

  it.each(CASES)('$name: first and second order', async ({ shapes, fn }) => {
    tl.setDefaultDevice(exact);
    using scope = tl.scope();
    const inputs = inputsOn(exact, shapes, false).map((x) => scope.track(x));
    await tl.gradcheck(fn, inputs);
    // The gradient of a weighted sum of first gradients.
    await tl.gradcheck((...x) => {
      const leaves = x.map((t) => {
        if (!t.requiresGrad) t.requiresGrad = true;
        return t;
      });
      const gradients = tl.grad([fn(...leaves).sum()], leaves, { createGraph: true, allowUnused: true });
      return gradients.map((g) => g.square().sum()).reduce((a, b) => a.add(b));
    }, inputs);
  });
});

describe.each(devices)('autograd on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it.each(CASES)('$name: value and gradient agree with float64, fused and not', async ({ shapes, fn }) => {
    const exact = await tl.device('reference', { precision: 'float64' });
    const run = async (on: tl.Device): Promise<number[][]> => {
      tl.setDefaultDevice(on);
      const inputs = inputsOn(on, shapes, true);
      const [value, grads] = tl.tidy(() => {
        const out = fn(...inputs);
        return [out.detach(), tl.grad([out.sum()], inputs)] as const;
      });
      const all = await Promise.all([value, ...grads].map(async (t) => Array.from(await t.data())));
      for (const t of [...inputs, value, ...grads]) t.dispose();
      return all;
    };
    const want = await run(exact);
    exact.destroy();
    for (const fusion of [true, false]) {
      device.engine.fusion = fusion;
      const got = await run(device);
      device.engine.fusion = true;
      expect(got.map((g) => g.length)).toEqual(want.map((g) => g.length));
      got.flat().forEach((v, i) => {
        expect(Math.abs(v - want.flat()[i]!)).toBeLessThanOrEqual(2e-5 + 2e-5 * Math.abs(want.flat()[i]!));
      });
    }
  });

  it('accumulates into .grad, and zeroes by null', async () => {
    await clean(device, async () => {
      const w = tl.tensor([1, 2], { requiresGrad: true });
      for (let i = 0; i < 2; i++) tl.tidy(() => w.mul(3).sum().backward());
      expect(await w.grad!.toArray()).toEqual([6, 6]);
      w.grad = null;
      expect(w.grad).toBeNull();
      w.dispose();
    });
  });

  it('uses a tensor twice, and through two paths', async () => {
    await clean(device, async () => {
      const x = tl.tensor([2, 3], { requiresGrad: true });
      tl.tidy(() => x.mul(x).add(x.mul(4)).sum().backward());
      expect(await x.grad!.toArray()).toEqual([8, 10]);
      x.dispose();
    });
  });

  it('third order', async () => {
    await clean(device, async () => {
      const x = tl.tensor(2, { requiresGrad: true });
      const third = tl.tidy(() => {
        let y: Tensor = x.mul(x).mul(x).mul(x);
        for (let i = 0; i < 3; i++) y = tl.grad([y], [x], { createGraph: true })[0]!;
        return y.detach();
      });
      expect(await third.item()).toBe(48);
      x.dispose();
      third.dispose();
    });
  });

  it('refuses a second pass unless the graph is retained', () =>
    clean(device, () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      tl.tidy(() => {
        const y = x.square().sum();
        y.backward({ retainGraph: true });
        y.backward();
        expect(() => y.backward()).toThrow(/backward: the graph through .* was used before.*retainGraph/);
      });
      x.dispose();
    }));

  it('noGrad, detach, retainGrad and hooks', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const seen: number[] = [];
      const y = tl.tidy(() => {
        expect(tl.noGrad(() => x.mul(2)).requiresGrad).toBe(false);
        expect(x.mul(2).detach().requiresGrad).toBe(false);
        const twice = x.mul(2);
        expect([twice.isLeaf, x.isLeaf, twice.requiresGrad]).toEqual([false, true, true]);
        twice.retainGrad();
        const remove = x.registerHook((g) => {
          seen.push(g.size);
          return g.mul(10);
        });
        twice.square().sum().backward();
        remove();
        return twice;
      });
      expect(seen).toEqual([2]);
      expect(await y.grad?.toArray()).toEqual([4, 8]);
      expect(await x.grad?.toArray()).toEqual([80, 160]);
      x.dispose();
      y.dispose();
    });
  });

  it('an update under noGrad after the forward pass does not change its gradients', async () => {
    await clean(device, async () => {
      const w = tl.tensor([3], { requiresGrad: true });
      const loss = tl.tidy(() => w.square().sum());
      tl.noGrad(() => w.assign_(100));
      loss.backward();
      expect(await w.grad?.toArray()).toEqual([6]);
      expect(await w.toArray()).toEqual([100]);
      w.dispose();
      loss.dispose();
    });
  });

  it('in-place updates of results are differentiated, of leaves refused', async () => {
    await clean(device, async () => {
      const w = tl.tensor([1, 2], { requiresGrad: true });
      tl.tidy(() => {
        const y = w.mul(2);
        y.mul_(w);
        y.sum().backward();
        expect(() => w.add_(1)).toThrow(
          /assign_: the tensor is a leaf that requires a gradient; update it inside noGrad/,
        );
      });
      expect(await w.grad!.toArray()).toEqual([4, 8]);
      w.dispose();
    });
  });

  it('grad of functions', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2, 3]);
      const [d] = tl.tidy(() => tl.grad((a: Tensor) => a.square().mul(a).sum())(x));
      expect(await d!.toArray()).toEqual([3, 12, 27]);
      expect(x.requiresGrad).toBe(false);
      const { value, grads } = tl.tidy(() => tl.valueAndGrad((a: Tensor, b: Tensor) => a.mul(b).sum())(x, x));
      expect(await value.item()).toBe(14);
      expect(await grads[1]!.toArray()).toEqual([1, 2, 3]);
      for (const t of [x, d!, value, ...grads]) t.dispose();
    });
  });

  it('gradcheck finds a wrong gradient', async () => {
    using x = tl.tensor([0.5, -1]);
    await tl.gradcheck((a) => a.square(), [x]);
    await expect(tl.gradcheck((a) => a.square().detach().mul(a).div(a.detach()), [x])).rejects.toThrow(
      /gradcheck: input 0 of shape \[2\], element 0/,
    );
    x.dispose();
  });
});
