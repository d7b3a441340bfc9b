// Mixed precision: autocast where there is float16 (the reference, and WebGPU with shader-f16), GradScaler everywhere.
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { halfRound } from '../../src/core/float16.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn, optim } = tl;
const F = nn.functional;
const { autocast, GradScaler } = nn.amp;

const opened = new Map<string, tl.Device>();
for (const name of devices) opened.set(name, await open(name));
afterAll(() => {
  for (const device of opened.values()) device.destroy();
});

/** Numbers that float16 rounds. */
const A = Array.from({ length: 6 }, (_, i) => 0.1 * (i + 1) - 0.25);
const B = Array.from({ length: 12 }, (_, i) => Math.sin(i + 1));
const leaf = (data: tl.TensorData, shape?: readonly number[]): Tensor =>
  tl.tensor(data, { requiresGrad: true, ...(shape && { shape }) });
const a = (): Tensor => tl.tensor(A, { shape: [2, 3] });
const b = (): Tensor => tl.tensor(B, { shape: [3, 4] });
const half = (n = 4): Tensor => tl.tensor([0.5, 1, 1.5, 2].slice(0, n), { dtype: 'float16' });

/** Its dtype and elements. */
async function read(x: Tensor): Promise<{ dtype: string; values: number[] }> {
  const out = { dtype: x.dtype, values: Array.from(await x.numbers('test')) };
  x.dispose();
  return out;
}

/** The product of A and B after rounding, in double precision. */
const rounded = (bias = 0): number[] => {
  const [x, y] = [A.map(halfRound), B.map(halfRound)];
  return Array.from({ length: 8 }, (_, at) => {
    const [i, j] = [Math.floor(at / 4), at % 4];
    return halfRound(x[3 * i]! * y[j]! + x[3 * i + 1]! * y[4 + j]! + x[3 * i + 2]! * y[8 + j]! + bias);
  });
};

describe.each(devices)('on %s', (name) => {
  const device = opened.get(name)!;
  const halves = device.backend.halves;
  beforeEach(() => {
    tl.setDefaultDevice(device);
  });

  describe.skipIf(!halves)('autocast with float16', () => {
    it.each<[string, () => Tensor]>([
      ['matmul', () => a().matmul(b())],
      ['a product of batches', () => a().unsqueeze(0).matmul(b().unsqueeze(0)).squeeze(0)],
      ['bmm', () => tl.bmm(a().unsqueeze(0), b().unsqueeze(0)).squeeze(0)],
      ['einsum', () => tl.einsum('ij,jk->ik', a(), b())],
      ['linear', () => F.linear(a(), b().t())],
      [
        'a convolution of single pixels',
        () => F.conv2d(a().reshape([2, 3, 1, 1]), b().t().reshape([4, 3, 1, 1])).reshape([2, 4]),
      ],
    ])('%s takes float32 as float16, and gives float16', async (_, run) => {
      await clean(device, async () => {
        const { dtype, values } = await read(tl.tidy(() => autocast(run)));
        expect(dtype).toBe('float16');
        for (const [i, want] of rounded().entries()) expect(Math.abs(values[i]! - want)).toBeLessThanOrEqual(2 ** -10);
      });
    });

    it('linear and addmm add a bias of float32, too', async () => {
      await clean(device, async () => {
        for (const run of [
          () => F.linear(a(), b().t(), tl.full([4], 0.25)),
          () => tl.addmm(tl.full([4], 0.25), a(), b()),
        ]) {
          const { dtype, values } = await read(tl.tidy(() => autocast(run)));
          expect(dtype).toBe('float16');
          for (const [i, want] of rounded(0.25).entries())
            expect(Math.abs(values[i]! - want)).toBeLessThanOrEqual(2 ** -10);
        }
      });
    });

    it('sums are in float32: the addends are rounded, the sum once', async () => {
      await clean(device, async () => {
        // 2048 + 1 is no number of float16: added up there, the ones would be lost.
        const x = (): Tensor => tl.cat([tl.full([1, 1], 2048), tl.ones([1, 512])], 1);
        const { values } = await read(tl.tidy(() => autocast(() => x().matmul(tl.ones([513, 1])))));
        expect(values).toEqual([2560]);
      });
    });

    it.each<[string, (x: Tensor) => Tensor]>([
      ['sum', (x) => x.sum()],
      ['prod', (x) => x.prod()],
      ['mean', (x) => x.mean()],
      ['var', (x) => x.var()],
      ['norm', (x) => x.norm()],
      ['cumsum', (x) => x.cumsum(0)],
      ['logsumexp', (x) => x.logsumexp()],
      ['softmax', (x) => x.softmax(0)],
      ['logSoftmax', (x) => x.logSoftmax(0)],
      ['layerNorm', (x) => F.layerNorm(x, 4)],
      ['layerNorm with a weight of float32', (x) => F.layerNorm(x, 4, { weight: tl.ones([4]) })],
      ['exp', (x) => x.exp()],
      ['log', (x) => x.log()],
      ['pow', (x) => x.pow(3)],
      ['pow of a fraction', (x) => x.pow(2.5)],
      ['square', (x) => x.square()],
      ['rsqrt', (x) => x.rsqrt()],
      ['softplus', (x) => F.softplus(x)],
      ['mseLoss', (x) => F.mseLoss(x, x.mul(0.5))],
      ['crossEntropy', (x) => F.crossEntropy(x, tl.tensor(1, { dtype: 'int32' }))],
      ['binaryCrossEntropyWithLogits', (x) => F.binaryCrossEntropyWithLogits(x, x.mul(0.25))],
      ['cosineEmbeddingLoss', (x) => F.cosineEmbeddingLoss(x, x.mul(2), tl.tensor(1))],
    ])('%s of float16 gives float32, and what it gives for those numbers as float32', async (_, run) => {
      await clean(device, async () => {
        const got = await read(tl.tidy(() => autocast(() => run(half()))));
        const want = await read(tl.tidy(() => run(half().to('float32'))));
        expect(got.dtype).toBe('float32');
        for (const [i, v] of want.values.entries()) expect(got.values[i]).toBeCloseTo(v, 5);
        expect((await read(tl.tidy(() => run(half().to('float32')).to('float16')))).dtype).toBe('float16');
      });
    });

    it('other ops keep the dtype they are given', async () => {
      await clean(device, () => {
        tl.tidy(() =>
          autocast(() => {
            for (const run of [
              (x: Tensor) => x.relu(),
              (x: Tensor) => x.mul(2),
              (x: Tensor) => x.add(x),
              (x: Tensor) => x.amax(),
              (x: Tensor) => x.reshape([2, 2]),
            ]) {
              expect(run(half()).dtype).toBe('float16');
              expect(run(half().to('float32')).dtype).toBe('float32');
            }
            expect(half().add(tl.ones([4])).dtype).toBe('float32');
          }),
        );
      });
    });

    it('sums do not overflow as they would in float16', async () => {
      await clean(device, async () => {
        const x = (): Tensor => tl.full([4], 30000, { dtype: 'float16' });
        expect((await read(tl.tidy(() => x().sum()))).values).toEqual([Number.POSITIVE_INFINITY]);
        const { values } = await read(
          tl.tidy(() => autocast(() => tl.stack([x().sum(), x().exp().gt(0).sum().to('float32')]))),
        );
        expect(values[0]).toBeCloseTo(4 * halfRound(30000), 0);
      });
    });

    it('factorisations and solvers stay in float32', async () => {
      await clean(device, async () => {
        const system = (): Tensor =>
          tl.tensor([
            [4.001, 1],
            [1, 3.003],
          ]);
        const solved = (): Tensor => tl.lstsq(system(), tl.tensor([[1], [2.001]]));
        const [got, want] = [await read(tl.tidy(() => autocast(solved))), await read(tl.tidy(solved))];
        expect(got).toEqual(want);
      });
    });

    it('can be switched off inside, and is off outside and after an exception', async () => {
      await clean(device, () => {
        tl.tidy(() => {
          const run = (): string => a().matmul(b()).dtype;
          expect(run()).toBe('float32');
          expect(autocast(run)).toBe('float16');
          expect(autocast(run, { enabled: false })).toBe('float32');
          expect(autocast(() => [autocast(run, { enabled: false }), run()])).toEqual(['float32', 'float16']);
          expect(() =>
            autocast(() => {
              throw new Error('stop');
            }),
          ).toThrow('stop');
          expect(run()).toBe('float32');
        });
      });
    });

    it('parameters have gradients of float32, close to those in float32, and through checkpoint the same', async () => {
      await clean(device, async () => {
        const gradients = async (how: (f: () => Tensor) => Tensor): Promise<number[][]> => {
          const [w, v] = [leaf(B, [3, 4]), leaf(B.slice(0, 8), [4, 2])];
          const grads = tl.tidy(() => {
            const loss = how(() => a().matmul(w).tanh().matmul(v).square().mean());
            expect(loss.dtype).toBe('float32');
            return tl.grad([loss], [w, v]);
          });
          expect(grads.map((g) => g.dtype)).toEqual(['float32', 'float32']);
          const out = await Promise.all(grads.map(async (g) => (await read(g)).values));
          for (const t of [w, v]) t.dispose();
          return out;
        };
        const full = await gradients((f) => f());
        const mixed = await gradients((f) => autocast(f));
        const again = await gradients((f) => autocast(() => tl.checkpoint(f)));
        full.forEach((list, k) => {
          list.forEach((v, i) => {
            expect(Math.abs(mixed[k]![i]! - v)).toBeLessThan(2e-3);
          });
        });
        expect(mixed).not.toEqual(full);
        expect(again).toEqual(mixed);
      });
    });

    it('trains with a scaler close to float32, one flush a step, without new plans', async () => {
      await clean(device, async () => {
        const x = tl.tensor(
          Array.from({ length: 48 }, (_, i) => Math.sin(1.7 * i)),
          { shape: [16, 3] },
        );
        const y = tl.tensor(
          Array.from({ length: 16 }, (_, i) => i % 3),
          { dtype: 'int32' },
        );
        const train = async (mixed: boolean): Promise<number[]> => {
          tl.manualSeed(4);
          const model = new nn.Sequential(new nn.Linear(3, 8), new nn.ReLU(), new nn.Linear(8, 3));
          using adam = new optim.Adam(model.parameters(), { lr: 0.02 });
          using scaler = new GradScaler({ enabled: mixed });
          const losses: number[] = [];
          const { counters } = device.engine;
          for (let i = 0; i < 25; i++) {
            const before = { ...counters };
            const loss = adam.minimize(() => autocast(() => F.crossEntropy(model.forward(x), y), { enabled: mixed }), {
              scaler,
              clipGradNorm: 5,
            });
            expect(counters.flushes - before.flushes).toBe(1);
            if (i >= 3) expect(counters.plans - before.plans, `plans of step ${i}`).toBe(0);
            losses.push(await loss.item());
          }
          expect(model.parameters().map((p) => p.dtype)).toEqual(new Array(4).fill('float32'));
          model.dispose();
          return losses;
        };
        const [full, mixed] = [await train(false), await train(true)];
        for (const [i, loss] of full.entries()) expect(Math.abs(mixed[i]! - loss), `loss ${i}`).toBeLessThan(0.01);
        expect(full.at(-1)!).toBeLessThan(full[0]! - 0.02);
        x.dispose();
        y.dispose();
      });
    });
  });

  it.skipIf(halves)('autocast changes nothing where there is no float16', async () => {
    await clean(device, async () => {
      const run = (): Tensor => F.crossEntropy(a().matmul(b()), tl.tensor([0, 3], { dtype: 'int32' }));
      expect(await read(tl.tidy(() => autocast(run)))).toEqual(await read(tl.tidy(run)));
    });
  });

  it('autocast refuses what it cannot do', async () => {
    await clean(device, () => {
      expect(() => autocast((async () => 1) as never)).toThrow(/autocast: the function returned a promise/);
      expect(() => autocast(3 as never)).toThrow(/autocast: expected a function, got number 3/);
      expect(() => autocast(() => 1, { dtype: 'float16' } as never)).toThrow(
        /there is no option dtype; it takes enabled/,
      );
      expect(() => autocast(() => 1, { enabled: 1 as never })).toThrow(
        /enabled is number 1, but it must be true or false/,
      );
    });
  });

  describe('GradScaler', () => {
    const good = [1, -2, 0.5];
    const bad = [1, Number.POSITIVE_INFINITY, 0.5];

    /** A step whose gradient is given. */
    const step = (
      optimizer: tl.optim.Optimizer,
      w: Tensor,
      g: readonly number[],
      scaler: tl.nn.amp.GradScaler,
    ): Tensor => optimizer.minimize(() => w.mul(tl.tensor(g)).sum(), { scaler });

    const OPTIMIZERS: readonly (readonly [name: string, make: (w: Tensor) => tl.optim.Optimizer])[] = [
      ['SGD', (w) => new optim.SGD([w], { lr: 0.1 })],
      ['SGD with momentum', (w) => new optim.SGD([w], { lr: 0.1, momentum: 0.9, dampening: 0.5 })],
      ['RMSprop', (w) => new optim.RMSprop([w], { lr: 0.1, centered: true, momentum: 0.9 })],
      ['Adam', (w) => new optim.Adam([w], { lr: 0.1, amsgrad: true })],
      ['AdamW', (w) => new optim.AdamW([w], { lr: 0.1 })],
      ['Adagrad', (w) => new optim.Adagrad([w], { lr: 0.1, lrDecay: 0.5 })],
      ['Adadelta', (w) => new optim.Adadelta([w])],
      ['Adamax', (w) => new optim.Adamax([w], { lr: 0.1 })],
      ['NAdam', (w) => new optim.NAdam([w], { lr: 0.1, momentumDecay: 0.1 })],
      ['RAdam', (w) => new optim.RAdam([w], { lr: 0.1, betas: [0.9, 0.99] })],
    ];

    it.each(OPTIMIZERS)('%s leaves out steps whose gradients are not finite, to the bit', async (_, make) => {
      await clean(device, async () => {
        const run = async (gradients: readonly (readonly number[])[]): Promise<unknown> => {
          const w = leaf([1, 2, 3]);
          using optimizer = make(w);
          using scaler = new GradScaler({ initScale: 1024 });
          for (const g of gradients) step(optimizer, w, g, scaler);
          const { state } = optimizer.stateDict();
          const numbers = await Promise.all(
            Object.entries(state[0] ?? {}).map(async ([key, v]) => [
              key,
              typeof v === 'number' ? v : Array.from(await v.data()),
            ]),
          );
          const values = Array.from(await w.data());
          w.dispose();
          return { values, numbers };
        };
        const six = [good, good, good, good, good, good];
        const without = await run(six);
        // At the start, in the middle and twice.
        expect(await run([bad, ...six.slice(0, 3), bad, bad, ...six.slice(3), bad])).toEqual(without);
      });
    });

    it.each(OPTIMIZERS)('%s steps as it does without one', async (_, make) => {
      await clean(device, async () => {
        const [v, w] = [leaf([1, 2, 3]), leaf([1, 2, 3])];
        using plain = make(v);
        using scaled = make(w);
        using scaler = new GradScaler();
        for (let i = 0; i < 12; i++) {
          plain.minimize(() => v.sub(tl.tensor(good)).square().sum());
          scaled.minimize(() => w.sub(tl.tensor(good)).square().sum(), { scaler });
        }
        const [got, want] = [await w.data(), await v.data()];
        for (const [i, x] of want.entries()) expect(Math.abs(got[i]! - x)).toBeLessThan(2e-5);
        for (const t of [v, w]) t.dispose();
      });
    });

    it('the scale falls after a bad step, and grows after enough good ones', async () => {
      await clean(device, async () => {
        const w = leaf([1, 2, 3]);
        using sgd = new optim.SGD([w], { lr: 0 });
        using scaler = new GradScaler({ initScale: 64, growthInterval: 3, growthFactor: 4, backoffFactor: 0.25 });
        expect(await scaler.getScale()).toBe(64);
        const scales: number[] = [];
        for (const g of [good, good, good, good, bad, good, bad, good, good, good, good]) {
          step(sgd, w, g, scaler);
          scales.push(await scaler.getScale());
        }
        expect(scales).toEqual([64, 64, 256, 256, 64, 64, 16, 16, 16, 64, 64]);
        w.dispose();
      });
    });

    it('makes no new plan with time, nor with a bad step, and never waits', async () => {
      await clean(device, async () => {
        const [v, w] = [leaf([1, 2, 3]), leaf([[1], [2]])];
        using adam = new optim.NAdam([v, w], { lr: 0.01 });
        using scaler = new GradScaler({ growthInterval: 4 });
        const { counters } = device.engine;
        for (let i = 0; i < 30; i++) {
          const before = { ...counters };
          const x = tl.tensor(i % 7 === 5 ? bad : good);
          adam.minimize(() => v.mul(x).sum().add(w.square().sum()), { scaler, clipGradNorm: 1 });
          x.dispose();
          expect(counters.flushes - before.flushes).toBe(1);
          if (i >= 2) expect(counters.plans - before.plans, `plans of step ${i}`).toBe(0);
        }
        await device.sync();
        for (const t of [v, w]) t.dispose();
      });
    });

    it('parameters that are updated together share their counts, and go apart when they are not', async () => {
      await clean(device, async () => {
        const [v, w] = [leaf([1]), leaf([2])];
        using adam = new optim.Adam([v, w], { lr: 0.1 });
        using scaler = new GradScaler();
        const both = (): Tensor => adam.minimize(() => v.square().sum().add(w.square().sum()), { scaler });
        const counts = (): tl.optim.ParameterState[string][] => [0, 1].map((i) => adam.stateDict().state[i]!.step!);
        const read = (): Promise<number[]> => Promise.all(counts().map((x) => (x as Tensor).item()));
        both();
        both();
        expect(counts()[0]).toBe(counts()[1]);
        adam.minimize(() => v.square().sum(), { scaler });
        expect(await read()).toEqual([3, 2]);
        both();
        adam.minimize(() => v.square().sum().add(w.mul(Number.POSITIVE_INFINITY).sum()), { scaler });
        expect(await read()).toEqual([4, 3]);
        // Without a scaler the device goes on counting.
        adam.minimize(() => w.square().sum());
        expect(await read()).toEqual([4, 4]);
        for (const t of [v, w]) t.dispose();
      });
    });

    it('by hand: scale, backward, unscale_, clip, step, update', async () => {
      await clean(device, async () => {
        const [v, w] = [leaf([1, 2]), leaf([1, 2])];
        using a = new optim.Adam([v], { lr: 0.1 });
        using b = new optim.Adam([w], { lr: 0.1 });
        using scaler = new GradScaler({ initScale: 256 });
        for (const [i, x] of [tl.tensor([3, 4]), tl.tensor([Number.NaN, 1]), tl.tensor([3, 4])].entries()) {
          if (i !== 1) a.minimize(() => v.mul(x).sum(), { clipGradNorm: 1 });
          tl.tidy(() => scaler.scale(w.mul(x).sum()).backward());
          if (i === 0) expect(await w.grad!.toArray()).toEqual([768, 1024]);
          scaler.unscale_(b);
          const norm = nn.utils.clipGradNorm([w], 1);
          if (i === 0) {
            expect(await norm.item()).toBe(5);
            expect(await w.grad!.toArray()).toEqual([expect.closeTo(0.6, 5), expect.closeTo(0.8, 5)]);
          }
          scaler.step(b);
          scaler.update();
          b.zeroGrad();
          for (const t of [x, norm]) t.dispose();
        }
        expect(await scaler.getScale()).toBe(128);
        const want = await v.data();
        expect(await w.toArray()).toEqual(Array.from(want, (x) => expect.closeTo(x, 5)));
        for (const t of [v, w]) t.dispose();
      });
    });

    it('one scaler for two optimizers: a bad gradient of one leaves the other its step, and lowers the scale once', async () => {
      await clean(device, async () => {
        const [v, w] = [leaf([1]), leaf([1])];
        using a = new optim.SGD([v], { lr: 1 });
        using b = new optim.SGD([w], { lr: 1 });
        using scaler = new GradScaler({ initScale: 8 });
        tl.tidy(() => {
          scaler.scale(v.mul(0.5).sum().add(w.mul(Number.POSITIVE_INFINITY).sum())).backward();
        });
        scaler.step(a);
        scaler.step(b);
        scaler.update();
        expect([await v.item(), await w.item(), await scaler.getScale()]).toEqual([0.5, 1, 4]);
        for (const t of [v, w]) t.dispose();
      });
    });

    it('a resumed run equals the uninterrupted one', async () => {
      await clean(device, async () => {
        const list = [good, bad, good, good, bad, good, good];
        const options = { initScale: 64, growthInterval: 2 };
        const a = leaf([1, 2, 3]);
        using whole = new optim.NAdam([a], { lr: 0.1 });
        using all = new GradScaler(options);
        for (const g of list) step(whole, a, g, all);

        const b = leaf([1, 2, 3]);
        using first = new optim.NAdam([b], { lr: 0.1 });
        using before = new GradScaler(options);
        for (const g of list.slice(0, 3)) step(first, b, g, before);
        const c = leaf(await b.data());
        using second = new optim.NAdam([c], { lr: 0.1 });
        using after = new GradScaler();
        second.loadStateDict(first.stateDict());
        after.loadStateDict(before.stateDict());
        expect(await after.getScale()).toBe(await before.getScale());
        for (const g of list.slice(3)) step(second, c, g, after);
        expect(await c.data()).toEqual(await a.data());
        expect(await after.getScale()).toBe(await all.getScale());
        // A dict of numbers, as from a file.
        using fresh = new GradScaler();
        fresh.loadStateDict({ ...after.stateDict(), scale: 32, growthTracker: 1 });
        step(second, c, good, fresh);
        expect(await fresh.getScale()).toBe(64);
        for (const t of [a, b, c]) t.dispose();
      });
    });

    it('after a flush that the device refused, scale and counts are as before', async () => {
      await clean(device, async () => {
        const w = leaf([1, 2, 3]);
        using adam = new optim.Adam([w], { lr: 0.1 });
        using scaler = new GradScaler({ initScale: 64 });
        const refused = (): void => {
          const { backend } = device;
          const submit = backend.submit;
          backend.submit = () => {
            throw new tl.OutOfMemoryError('no memory left');
          };
          try {
            expect(() => step(adam, w, bad, scaler)).toThrow('no memory left');
          } finally {
            backend.submit = submit;
          }
        };
        const count = async (): Promise<number> => (adam.stateDict().state[0]!.step as Tensor).item();
        refused();
        step(adam, w, good, scaler);
        expect([await scaler.getScale(), await count()]).toEqual([64, 1]);
        refused();
        step(adam, w, good, scaler);
        expect([await scaler.getScale(), await count()]).toEqual([64, 2]);
        w.dispose();
      });
    });

    it('switched off it does nothing', async () => {
      await clean(device, async () => {
        const w = leaf([1]);
        using sgd = new optim.SGD([w], { lr: 1 });
        using scaler = new GradScaler({ enabled: false });
        const loss = tl.tidy(() => w.mul(0.5).sum());
        expect(scaler.scale(loss)).toBe(loss);
        loss.backward();
        scaler.unscale_(sgd);
        scaler.step(sgd);
        scaler.update();
        expect([await w.item(), await scaler.getScale()]).toEqual([0.5, 1]);
        for (const t of [w, loss]) t.dispose();
      });
    });

    it.skipIf(!halves)('small gradients of float16 survive by the scale', async () => {
      await clean(device, async () => {
        const w = leaf([[1]]);
        using sgd = new optim.SGD([w], { lr: 1 });
        using scaler = new GradScaler();
        const tiny = (s?: tl.nn.amp.GradScaler): Tensor =>
          sgd.minimize(
            () =>
              autocast(() =>
                w
                  .matmul(tl.ones([1, 1]))
                  .sum()
                  .mul(2 ** -26),
              ),
            { ...(s && { scaler: s }), keepGrads: true },
          );
        tiny();
        expect(await w.grad!.item()).toBe(0);
        tiny(scaler);
        expect(await w.grad!.item()).toBe(2 ** -26);
        w.dispose();
      });
    });

    it.each<[string, (w: Tensor, sgd: tl.optim.SGD) => unknown, RegExp]>([
      [
        'an unknown option',
        () => new GradScaler({ scale: 2 } as never),
        /GradScaler: there is no option scale; it takes initScale/,
      ],
      [
        'a scale of 0',
        () => new GradScaler({ initScale: 0 }),
        /initScale is number 0, but it must be a finite number above 0/,
      ],
      ['a scale that does not grow', () => new GradScaler({ growthFactor: 1 }), /growthFactor is number 1/],
      ['a scale that does not fall', () => new GradScaler({ backoffFactor: 1 }), /backoffFactor is number 1/],
      ['no interval', () => new GradScaler({ growthInterval: 0 }), /growthInterval is number 0/],
      [
        'a loss that is a number',
        () => new GradScaler().scale(1 as never),
        /GradScaler.scale: expected a tensor, got number 1/,
      ],
      ['no optimizer', () => new GradScaler().step({} as never), /GradScaler.step: an object is no optimizer/],
      [
        'no gradients',
        (_, sgd) => new GradScaler().unscale_(sgd),
        /GradScaler.unscale_: no parameter has a gradient; call scaler.scale\(loss\).backward\(\) first/,
      ],
      ['an update before a step', () => new GradScaler().update(), /there was no step since the last update\(\)/],
      [
        'a state that is none',
        () => new GradScaler().loadStateDict({ ...new GradScaler().stateDict(), scale: 'big' as never }),
        /loadStateDict: scale is string big, but it must be a number or a scalar tensor/,
      ],
    ])('refuses %s', async (_, act, message) => {
      await clean(device, () => {
        const w = leaf([1]);
        using sgd = new optim.SGD([w], { lr: 1 });
        expect(() => act(w, sgd)).toThrow(tl.UnsupportedError);
        expect(() => act(w, sgd)).toThrow(message);
        w.dispose();
      });
    });

    it('refuses to scale back or to step twice', async () => {
      await clean(device, () => {
        const w = leaf([1]);
        using sgd = new optim.SGD([w], { lr: 1 });
        using scaler = new GradScaler();
        w.grad = tl.ones([1]);
        scaler.unscale_(sgd);
        expect(() => scaler.unscale_(sgd)).toThrow(/the gradients of this optimizer are scaled back already/);
        scaler.step(sgd);
        expect(() => scaler.step(sgd)).toThrow(/this optimizer has stepped already; call update\(\)/);
        scaler.update();
        scaler.step(sgd);
        w.dispose();
      });
    });
  });
});
