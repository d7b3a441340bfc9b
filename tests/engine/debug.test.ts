import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

/** The line of this file that calls it, `by` lines further down. */
function here(by = 0): string {
  const frame = new Error().stack?.split('\n').find((f) => f.includes('debug.test') && !f.includes('here'));
  return `debug\\.test\\.ts\\S*:${Number(/:(\d+):\d+\)?$/.exec(frame ?? '')?.[1]) + by}:`;
}

/** The elements of a tensor that nobody needs afterwards. */
async function take(fn: () => tl.Tensor): Promise<number[]> {
  using x = tl.tidy(fn);
  return [...(await x.data())];
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('there was no error');
}

describe.each(devices)('checked mode on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });
  afterEach(() => {
    tl.debug({ checkNumerics: false });
  });

  it('is off at first, and gives what was', () => {
    expect(tl.debug({})).toEqual({ checkNumerics: false });
    expect(tl.debug({ checkNumerics: 'nan' })).toEqual({ checkNumerics: false });
    expect(tl.debug({ checkNumerics: true })).toEqual({ checkNumerics: 'nan' });
    expect(() => tl.debug({ checkNumerics: 1 as never })).toThrow(/debug: checkNumerics is number 1, but it must be/);
    expect(() => tl.debug({ checkNumeric: true } as never)).toThrow(tl.UnsupportedError);
  });

  it('names the op and the line of the first NaN in a chain', () =>
    clean(device, async () => {
      tl.debug({ checkNumerics: true });
      const x = tl.tensor([1, -1, 2]);
      let line = '';
      const y = tl.tidy(() => {
        const doubled = x.mul(2);
        line = here(1);
        const logs = doubled.log();
        return logs.add(1).sum();
      });
      const error = await failure(y.item());
      expect(error).toBeInstanceOf(tl.NumericsError);
      expect(error.message).toMatch(
        new RegExp(`^log \\(called at \\S*${line}\\d+\\): the result of shape \\[3\\] has NaN in it`),
      );
      expect(error.message).toMatch(/its inputs were all finite/);
      // Reported once; what is recorded later says that its input was bad.
      expect(await y.item()).toBeNaN();
      const again = await failure(take(() => y.mul(2)));
      expect(again.message).toMatch(/^mul \(called at .*an input was not finite already, the value of sum \(called at/);
      const good = tl.tidy(() => x.abs().log());
      expect((await good.data())[2]).toBeCloseTo(Math.LN2, 5);
      for (const t of [x, y, good]) t.dispose();
    }));

  it.each([
    [
      'division by zero',
      () =>
        tl
          .tensor([1])
          .div(tl.tensor([0]))
          .add(1),
      /^div .*infinity.*all finite/,
    ],
    ['0 / 0', () => tl.tensor([0]).div(tl.tensor([0])), /^div .*NaN/],
    ['overflow of float32', () => tl.tensor([3e38]).sub(-3e38).mul(0), /^sub .*infinity.*all finite/],
    ['overflow in a sum', () => tl.full([3], 3e38).sum(), /^sum .*infinity/],
    [
      'overflow in a product of matrices',
      () => tl.full([2, 2], 3e30).matmul(tl.full([2, 2], 3e30)),
      /^matmul .*shape \[2, 2\] has infinity/,
    ],
    [
      'a composed op',
      () => tl.tensor([[Number.NaN, 1]]).softmax(1),
      /^softmax .*not finite already, the value of tensor/,
    ],
    ['a number', () => tl.tensor([1]).mul(Infinity), /^mul .*infinity.*a number that it was given is not finite/],
    [
      'data',
      () =>
        tl
          .tensor([1, -Infinity])
          .relu6()
          .add(tl.tensor([Infinity])),
      /^add .*not finite already, the value of tensor \(called at/,
    ],
    [
      'a filled tensor',
      () => tl.full([2], -Infinity).mul(2),
      /^mul .*not finite already, the value of full \(called at/,
    ],
  ])('finds %s', (_, make, says) =>
    clean(device, async () => {
      tl.debug({ checkNumerics: true });
      const x = tl.tidy(make);
      const error = await failure(device.sync());
      expect(error).toBeInstanceOf(tl.NumericsError);
      expect(error.message).toMatch(says);
      expect(error.message).toMatch(/debug\.test\.ts/);
      await device.sync();
      x.dispose();
    }),
  );

  it('finds what the gradient of an op makes, with the line that called the op', () =>
    clean(device, async () => {
      tl.debug({ checkNumerics: true });
      const x = tl.tensor([4, 0], { requiresGrad: true });
      let line = '';
      const loss = tl.tidy(() => {
        line = here(1);
        const roots = x.sqrt();
        return roots.mul(3).sum();
      });
      expect(await loss.item()).toBe(6);
      loss.backward();
      const error = await failure(x.grad!.data());
      expect(error.message).toMatch(
        new RegExp(
          `^the gradient of sqrt \\(called at \\S*${line}\\d+\\): the result of shape \\[2\\] has infinity in it`,
        ),
      );
      expect(error.message).toMatch(/all finite/);
      for (const t of [x, loss]) t.dispose();
    }));

  it('finds it in a training step, and leaves the next one right', () =>
    clean(device, async () => {
      tl.debug({ checkNumerics: true });
      const w = tl.tensor([1, 2], { requiresGrad: true });
      const sgd = new tl.optim.SGD([w], { lr: 0.5, momentum: 0.9 });
      const loss = sgd.minimize(() => w.square().sum());
      expect(await loss.item()).toBe(5);
      const bad = sgd.minimize(() => w.log().sum());
      expect((await failure(bad.item())).message).toMatch(/^log .*infinity/);
      sgd.dispose();
      expect(await take(() => tl.tensor([1, 2]).mul(3))).toEqual([3, 6]);
      w.dispose();
    }));

  it('lets good programs be, with the same values', () =>
    clean(device, async () => {
      const run = async (): Promise<number[]> => {
        const w = tl.tensor(
          [
            [0.5, -0.25],
            [0.125, 1],
          ],
          { requiresGrad: true },
        );
        const adam = new tl.optim.Adam([w], { lr: 0.1 });
        const losses: number[] = [];
        for (let i = 0; i < 3; i++) {
          const loss = adam.minimize(() =>
            tl.crossEntropy(tl.ones([4, 2]).matmul(w), tl.tensor([0, 1, 1, 0], { dtype: 'int32' })),
          );
          losses.push(await loss.item());
        }
        // Saturated, masked and empty values are all fine inside composed ops.
        const extreme = tl.tensor([1000, -1000, 0]);
        for (const op of ['sigmoid', 'logSigmoid', 'softplus', 'gelu', 'elu', 'tanh', 'silu', 'mish'] as const)
          await take(() => extreme[op]());
        await take(() => extreme.softmax(0));
        await take(() => extreme.logsumexp());
        await take(() => tl.zeros([0, 2]).mul(2));
        extreme.dispose();
        adam.dispose();
        w.dispose();
        return losses;
      };
      const plain = await run();
      tl.debug({ checkNumerics: true });
      const checked = await run();
      checked.forEach((x, i) => {
        expect(x).toBeCloseTo(plain[i]!, 6);
      });
      tl.debug({ checkNumerics: false });
      expect(await run()).toEqual(plain);
    }));

  it("allows infinities with 'nan'", () =>
    clean(device, async () => {
      tl.debug({ checkNumerics: 'nan' });
      const masked = tl.tidy(() => tl.where(tl.tensor([true, false]), tl.tensor([1, 2]), -Infinity).softmax(0));
      expect([...(await masked.data())]).toEqual([1, 0]);
      const x = tl.tidy(() => tl.tensor([0]).log());
      expect([...(await x.data())]).toEqual([-Infinity]);
      const y = tl.tidy(() => x.sub(x));
      expect((await failure(y.data())).message).toMatch(/^sub .*NaN.*its inputs were all free of NaN/);
      for (const t of [masked, x, y]) t.dispose();
    }));

  it('knows of values from before it was on', () =>
    clean(device, async () => {
      const x = tl.tidy(() => tl.tensor([0]).log());
      const y = tl.tidy(() => tl.tensor([1]).exp());
      await device.sync();
      tl.debug({ checkNumerics: true });
      const z = tl.tidy(() => y.add(x));
      expect((await failure(device.sync())).message).toMatch(/^add .*not finite already, the value of log:?/);
      const w = tl.tidy(() => y.mul(3e38));
      expect((await failure(device.sync())).message).toMatch(/^mul .*all finite/);
      for (const t of [x, y, z, w]) t.dispose();
    }));

  it('reports once, the first of several flushes', () =>
    clean(device, async () => {
      tl.debug({ checkNumerics: true });
      const a = tl.tidy(() => tl.tensor([0]).log());
      const b = tl.tidy(() => tl.tensor([-1]).sqrt());
      expect((await failure(device.sync())).message).toMatch(/^log/);
      await device.sync();
      expect(await b.item()).toBeNaN();
      for (const t of [a, b]) t.dispose();
    }));

  it('reports in synchronous reads', () =>
    clean(device, () => {
      if (name === 'webgpu') return;
      tl.debug({ checkNumerics: true });
      const a = tl.tidy(() => tl.tensor([0]).log());
      expect(() => a.dataSync()).toThrow(/^log .*infinity/);
      expect([...a.dataSync()]).toEqual([-Infinity]);
      a.dispose();
    }));

  it('adds the line to an index out of range', () =>
    clean(device, async () => {
      const pick = (): tl.Tensor => tl.tidy(() => tl.ones([2]).indexSelect(0, tl.tensor([5], { dtype: 'int32' })));
      const before = pick();
      expect((await failure(before.data())).message).toMatch(/^indexSelect: an index or label is out of range/);
      tl.debug({ checkNumerics: true });
      const line = here(1);
      const x = tl.tidy(() => tl.ones([2]).indexSelect(0, tl.tensor([5], { dtype: 'int32' })));
      const error = await failure(x.data());
      expect(error).toBeInstanceOf(tl.IndexError);
      expect(error.message).toMatch(
        new RegExp(`^indexSelect \\(called at \\S*${line}\\d+\\): an index or label is out of range`),
      );
      for (const t of [before, x]) t.dispose();
    }));
});
