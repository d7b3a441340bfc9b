// Exercises of well-known courses on machine learning, with the figures that they print or that follow by hand.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from './setup/devices.ts';
import { clean, open, tl } from './setup/open.ts';

type Tensor = tl.Tensor;
const { nn, optim } = tl;

describe.each(devices)('courses on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it('the cost of h(x) = w x on (1,1), (2,2), (3,3): J = 1/(2m) sum (w x - y)^2', async () => {
    await clean(device, async () => {
      const cost = async (w: number): Promise<string> => {
        const j = tl.tidy(() => {
          const x = tl.tensor([1, 2, 3]);
          return x
            .mul(w)
            .sub(x)
            .square()
            .sum()
            .div(2 * x.size);
        });
        const value = await j.item();
        j.dispose();
        return value.toFixed(2);
      };
      expect(await cost(1)).toBe('0.00');
      expect(await cost(0.5)).toBe('0.58');
      expect(await cost(0)).toBe('2.33');
    });
  });

  /*
   * One step of descent on h(x) = W x + b with an offset b for each sample: all errors are taken at the starting point W = 5,
   * b = 1, the rate is 0.01, and a sample's share of the gradient of J is error * x / m for W and error / m for its b, m = 4.
   */
  const descend = async (targets: readonly number[]): Promise<{ w: number; b: number[] }> => {
    const x = tl.tensor([1, 3, 6, 5]);
    const y = tl.tensor(targets);
    const w = tl.tensor(5, { requiresGrad: true });
    const b = tl.tensor([1, 1, 1, 1], { requiresGrad: true });
    const sgd = new optim.SGD([w, b], { lr: 0.01 });
    sgd.minimize(() => w.mul(x).add(b).sub(y).square().sum().div(8));
    const result = { w: await w.item(), b: Array.from(await b.data()) };
    for (const t of [x, y, w, b, sgd]) t.dispose();
    return result;
  };
  const close = (values: readonly number[]): unknown[] => values.map((v) => expect.closeTo(v, 5));

  it('one step of descent from W = 5, b = 1 on X = 1, 3, 6, 5', async () => {
    await clean(device, async () => {
      // Errors 2, 8, 17, 13.
      const step = await descend([4, 8, 14, 13]);
      expect(step.w).toBeCloseTo(4.5175, 5);
      expect(step.b).toEqual(close([0.995, 0.98, 0.9575, 0.9675]));
      // The figures W = 4.505 and b = 0.9825, … belong to a first error of 7, that is, to the target -1.
      const printed = await descend([-1, 8, 14, 13]);
      expect(printed.w).toBeCloseTo(4.505, 5);
      expect(printed.b).toEqual(close([0.9825, 0.98, 0.9575, 0.9675]));
    });
  });

  it('the line through ten points, by descent and in closed form', async () => {
    await clean(device, async () => {
      const xs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
      const ys = [1, 1, 2, 4, 5, 7, 8, 9, 10, 9];
      const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
      const [mx, my] = [mean(xs), mean(ys)];
      const slope = mean(xs.map((x, i) => (x - mx) * (ys[i]! - my))) / mean(xs.map((x) => (x - mx) ** 2));
      const intercept = my - slope * mx;
      expect([slope, intercept]).toEqual([expect.closeTo(92 / 82.5, 9), expect.closeTo(0.581818, 5)]);

      tl.manualSeed(1);
      using line = new nn.Linear(1, 1);
      using sgd = new optim.SGD(line.parameters(), { lr: 0.015, momentum: 0.9 });
      const x = tl.tensor(xs.map((v) => [v]));
      const y = tl.tensor(ys.map((v) => [v]));
      for (let i = 0; i < 400; i++) sgd.minimize(() => nn.functional.mseLoss(line.forward(x), y));
      expect(await line.weight.item()).toBeCloseTo(slope, 3);
      expect(await line.bias!.item()).toBeCloseTo(intercept, 3);
      x.dispose();
      y.dispose();
    });
  });

  describe('update lines by hand, on J = 3/2 (w - 2)^2', () => {
    const gradient = (w: number): number => 3 * (w - 2);

    const follow = async (
      make: (w: Tensor) => tl.optim.Optimizer,
      line: (w: number, t: number) => number,
    ): Promise<void> => {
      await clean(device, async () => {
        const w = tl.tensor(5, { requiresGrad: true });
        using optimizer = make(w);
        let byHand = 5;
        for (let t = 1; t <= 6; t++) {
          optimizer.minimize(() => w.sub(2).square().mul(1.5));
          byHand = line(byHand, t);
          expect(await w.item(), `step ${t}`).toBeCloseTo(byHand, 4);
        }
        w.dispose();
      });
    };

    it('momentum: v = beta v + dw; w -= alpha v', async () => {
      let v = 0;
      await follow(
        (w) => new optim.SGD([w], { lr: 0.05, momentum: 0.9 }),
        (w) => {
          v = 0.9 * v + gradient(w);
          return w - 0.05 * v;
        },
      );
    });

    it('RMSprop: s = beta s + (1 - beta) dw^2; w -= alpha dw / (sqrt(s) + eps)', async () => {
      let s = 0;
      await follow(
        (w) => new optim.RMSprop([w], { lr: 0.1, alpha: 0.9, eps: 1e-8 }),
        (w) => {
          const g = gradient(w);
          s = 0.9 * s + 0.1 * g * g;
          return w - (0.1 * g) / (Math.sqrt(s) + 1e-8);
        },
      );
    });

    it('Adam: both averages, corrected by 1 - beta^t', async () => {
      let m = 0;
      let v = 0;
      await follow(
        (w) => new optim.Adam([w], { lr: 0.1 }),
        (w, t) => {
          const g = gradient(w);
          m = 0.9 * m + 0.1 * g;
          v = 0.999 * v + 0.001 * g * g;
          return w - (0.1 * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8);
        },
      );
    });
  });

  it('XOR, which one layer cannot learn, by two', async () => {
    await clean(device, async () => {
      tl.manualSeed(3);
      using model = new nn.Sequential(new nn.Linear(2, 8), new nn.Tanh(), new nn.Linear(8, 1));
      using adam = new optim.Adam(model.parameters(), { lr: 0.05 });
      const x = tl.tensor([
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ]);
      const y = tl.tensor([[0], [1], [1], [0]]);
      const step = (): Tensor => adam.minimize(() => nn.functional.binaryCrossEntropyWithLogits(model.forward(x), y));
      let loss = step();
      for (let i = 0; i < 250; i++) loss = step();
      expect(await loss.item()).toBeLessThan(0.01);
      const answers = tl.tidy(() => tl.noGrad(() => model.forward(x).gt(0)));
      expect(await answers.toArray()).toEqual([[false], [true], [true], [false]]);
      for (const t of [x, y, answers]) t.dispose();
    });
  });
});
