import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
type AnyOptimizer = tl.optim.Optimizer;
const { SGD, RMSprop, Adam } = tl.optim;

/** Every optimizer with options under which all of its state is there, and how many tensors of it a parameter has. */
const OPTIMIZERS: readonly (readonly [op: keyof typeof tl.optim, options: object, slots: number])[] = [
  ['SGD', { momentum: 0.9, dampening: 0.2, weightDecay: 0.01 }, 1],
  ['RMSprop', { centered: true, momentum: 0.9 }, 3],
  ['Adam', { amsgrad: true, weightDecay: 0.01 }, 3],
  ['AdamW', {}, 2],
  ['Adagrad', { lrDecay: 0.1, initialAccumulatorValue: 0.1 }, 1],
  ['Adadelta', { rho: 0.8, weightDecay: 0.01 }, 2],
  ['Adamax', { weightDecay: 0.01 }, 2],
  ['NAdam', { momentumDecay: 0.01, decoupledWeightDecay: true, weightDecay: 0.1 }, 2],
  // With this beta the rates become adaptive at the fifth step.
  ['RAdam', { betas: [0.9, 0.99], decoupledWeightDecay: true, weightDecay: 0.1 }, 2],
];

const make = (op: keyof typeof tl.optim, params: unknown, options: object): AnyOptimizer =>
  new (tl.optim[op] as unknown as new (p: unknown, o: object) => AnyOptimizer)(params, options);

const leaf = (data: tl.TensorData): Tensor => tl.tensor(data, { requiresGrad: true });

describe.each(devices)('optimizers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it('minimize gives the loss from before the update, and sets no grad', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2]);
      using sgd = new SGD([w], { lr: 0.1 });
      const loss = sgd.minimize(() => w.square().sum());
      expect(await loss.item()).toBe(5);
      expect(loss.requiresGrad).toBe(false);
      expect(w.grad).toBe(null);
      expect(await w.toArray()).toEqual([expect.closeTo(0.8, 6), expect.closeTo(1.6, 6)]);
      w.dispose();
    });
  });

  it('minimize leaves gradients where they are asked for', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2]);
      const unused = leaf([3]);
      using sgd = new SGD([w, unused], { lr: 0.1 });
      sgd.minimize(() => w.square().sum(), { keepGrads: true });
      sgd.minimize(() => w.mul(3).sum(), { keepGrads: true });
      expect(await w.grad!.toArray()).toEqual([3, 3]);
      expect(unused.grad).toBe(null);
      w.dispose();
      unused.dispose();
    });
  });

  it('skips parameters that the loss does not depend on, as PyTorch skips those without a gradient', async () => {
    await clean(device, async () => {
      const used = leaf([1]);
      const unused = leaf([1]);
      using adam = new Adam([used, unused], { lr: 0.1, weightDecay: 0.5 });
      adam.minimize(() => used.square().sum());
      expect(await unused.item()).toBe(1);
      expect(Object.keys(adam.stateDict().state)).toEqual(['0']);
      used.dispose();
      unused.dispose();
    });
  });

  it('the loss lives until the next minimize, unless it is kept or made in a scope', async () => {
    await clean(device, async () => {
      const w = leaf([1]);
      using sgd = new SGD([w], { lr: 0.1 });
      const step = (): Tensor => sgd.minimize(() => w.square().sum());
      const first = step();
      const kept = tl.keep(step());
      expect(first.disposed).toBe(true);
      await expect(first.item()).rejects.toThrow(
        /by the next minimize\(\) of its optimizer; read it before, or call keep\(\)/,
      );
      step();
      expect(await kept.item()).toBeCloseTo(0.64, 5);
      kept.dispose();
      const both = tl.tidy(() => [step(), step()] as const);
      expect(both[0].disposed).toBe(false);
      for (const loss of both) loss.dispose();
      w.dispose();
    });
  });

  it('a loop that disposes nothing keeps its memory, over 200 steps', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2, 3]);
      using adam = new Adam([w], { lr: 0.01 });
      const x = tl.tensor([0.5, -1, 2]);
      const step = (): Tensor => adam.minimize(() => w.mul(x).sub(1).square().mean());
      for (let i = 0; i < 3; i++) step();
      await device.sync();
      const before = held(device);
      let loss = step();
      for (let i = 0; i < 200; i++) loss = step();
      expect(await loss.item()).toBeLessThan(10);
      expect(held(device)).toEqual(before);
      w.dispose();
      x.dispose();
    });
  });

  it.each(OPTIMIZERS)('%s makes no new plan after the second step, also when the rate changes', async (op, options) => {
    await clean(device, async () => {
      const w = leaf([[1, 2, 3]]);
      const b = leaf([0]);
      using optimizer = make(op, [w, b], { lr: 0.01, ...options });
      const schedule = new tl.optim.ExponentialLR(optimizer, { gamma: 0.9 });
      const { counters } = device.engine;
      let launches = 0;
      for (let i = 0; i < 30; i++) {
        const before = { ...counters };
        const x = tl.tensor([[i, 1, -i]]);
        const loss = optimizer.minimize(() => w.mul(x).sum().add(b.sum()).square());
        schedule.step();
        x.dispose();
        expect(counters.flushes - before.flushes, `flushes of step ${i}`).toBe(1);
        if (i >= 2) {
          expect(counters.plans - before.plans, `plans of step ${i}`).toBe(0);
          expect(counters.planHits - before.planHits).toBe(1);
          if (i > 2) expect(counters.launches - before.launches).toBe(launches);
          launches = counters.launches - before.launches;
        }
        if (i % 10 === 9) expect(await loss.item()).toBeGreaterThan(0);
      }
      w.dispose();
      b.dispose();
    });
  });

  it.each(OPTIMIZERS)('%s updates a parameter and its state in one kernel, in place', async (op, options, slots) => {
    await clean(device, async () => {
      const w = leaf(Float32Array.from({ length: 4096 }, (_, i) => i / 4096));
      using optimizer = make(op, [w], options);
      const step = (): void => {
        w.grad = tl.ones([4096]);
        optimizer.step();
      };
      for (let i = 0; i < 2; i++) {
        step();
        await device.sync();
      }
      step();
      const plan = tl.explain(w);
      expect(plan).toMatch(/^1 kernels?/);
      expect(plan).toContain(`${slots + 1} in place`);
      const { launches } = device.engine.counters;
      await device.sync();
      expect(device.engine.counters.launches - launches).toBe(1);
      w.dispose();
    });
  });

  it.each(OPTIMIZERS)('%s goes on to the bit from a state dict taken in the middle', async (op, options) => {
    await clean(device, async () => {
      const start = [0.5, -1, 2, 0];
      const goal = tl.tensor([1, 2, 3, 0]);
      const run = (optimizer: AnyOptimizer, w: Tensor, schedule: tl.optim.LRScheduler, steps: number): void => {
        for (let i = 0; i < steps; i++) {
          optimizer.minimize(() => w.sub(goal).square().sum());
          schedule.step();
        }
      };
      const scheduled = (optimizer: AnyOptimizer): tl.optim.LRScheduler =>
        new tl.optim.CosineAnnealingLR(optimizer, { tMax: 20 });
      const a = leaf(start);
      using whole = make(op, [a], { lr: 0.05, ...options });
      run(whole, a, scheduled(whole), 12);

      const b = leaf(start);
      using first = make(op, [b], { lr: 0.05, ...options });
      const before = scheduled(first);
      run(first, b, before, 7);
      const c = leaf(await b.data());
      using second = make(op, [c], { lr: 1 });
      const after = scheduled(second);
      second.loadStateDict(first.stateDict());
      after.loadStateDict(before.stateDict());
      // What was handed out belongs to its optimizer: neither changes the other.
      run(first, b, before, 2);
      run(second, c, after, 5);
      run(first, b, before, 3);
      expect(await c.data()).toEqual(await a.data());
      expect(await b.data()).toEqual(await a.data());
      const numbers = async (optimizer: AnyOptimizer): Promise<string> => JSON.stringify(await states(optimizer));
      expect(await numbers(second)).toBe(await numbers(whole));
      for (const t of [a, b, c, goal]) t.dispose();
    });
  });

  it('groups have options of their own, and share the defaults', async () => {
    await clean(device, async () => {
      const [v, w] = [leaf([1, 1]), leaf([1])];
      using adam = new tl.optim.AdamW(
        [
          { params: [v], weightDecay: 0.5 },
          { params: [w], lr: 0 },
        ],
        { lr: 0.1 },
      );
      expect(adam.paramGroups.map(({ lr, weightDecay }) => [lr, weightDecay])).toEqual([
        [0.1, 0.5],
        [0, 0.01],
      ]);
      adam.minimize(() => v.sum().add(w.sum()));
      // The decay, and the first step of Adam, which is the rate.
      expect(await v.toArray()).toEqual([0.85, 0.85].map((x) => expect.closeTo(x, 5)));
      expect(await w.toArray()).toEqual([1]);
      v.dispose();
      w.dispose();
    });
  });

  it('maximize goes up', async () => {
    for (const [op, options] of OPTIMIZERS)
      await clean(device, async () => {
        const w = leaf([1]);
        using optimizer = make(op, [w], { lr: 0.01, ...options, weightDecay: 0, maximize: true });
        optimizer.minimize(() => w.mul(3).sum());
        expect(await w.item(), op).toBeGreaterThan(1);
        w.dispose();
      });
  });

  it('centered RMSprop bears equal gradients', async () => {
    await clean(device, async () => {
      const w = leaf([1]);
      using rms = new RMSprop([w], { lr: 0, alpha: 0, centered: true });
      for (let i = 0; i < 3; i++) rms.minimize(() => w.mul(0.1).sum());
      expect(await w.item()).toBe(1);
      w.dispose();
    });
  });

  it.each<[string, tl.optim.MinimizeOptions, (ps: Tensor[]) => void]>([
    ['the norm', { clipGradNorm: 1 }, (ps) => tl.nn.utils.clipGradNorm(ps, 1).dispose()],
    [
      'the largest magnitude',
      { clipGradNorm: { maxNorm: 1, normType: Number.POSITIVE_INFINITY } },
      (ps) => tl.nn.utils.clipGradNorm(ps, 1, { normType: Number.POSITIVE_INFINITY }).dispose(),
    ],
    ['single elements', { clipGradValue: 0.5 }, (ps) => tl.nn.utils.clipGradValue(ps, 0.5)],
    [
      'both, the norm first',
      { clipGradNorm: 1, clipGradValue: 0.5 },
      (ps) => {
        tl.nn.utils.clipGradNorm(ps, 1).dispose();
        tl.nn.utils.clipGradValue(ps, 0.5);
      },
    ],
  ])('minimize clips %s as it is done by hand, in the same flush', async (_, options, clip) => {
    await clean(device, async () => {
      const at = (): Tensor[] => [leaf([1, -2, 3]), leaf([[0.5], [4]])];
      const loss = ([v, w]: Tensor[]): Tensor => v!.square().sum().add(w!.square().sum());
      const [one, two] = [at(), at()];
      using a = new SGD(one, { lr: 0.1 });
      using b = new SGD(two, { lr: 0.1 });
      for (let i = 0; i < 2; i++) {
        const { flushes } = device.engine.counters;
        a.minimize(() => loss(one), { ...options, keepGrads: true });
        expect(device.engine.counters.flushes - flushes).toBe(1);
        tl.tidy(() => loss(two).backward());
        clip(two);
        for (const [k, p] of two.entries()) expect(await one[k]!.grad!.data()).toEqual(await p.grad!.data());
        b.step();
        b.zeroGrad();
        for (const [k, p] of two.entries()) expect(await one[k]!.data()).toEqual(await p.data());
      }
      for (const p of [...one, ...two]) p.dispose();
    });
  });

  it('a step that fails changes nothing', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2]);
      const v = leaf([3]);
      using adam = new Adam([w, v], { lr: 0.1 });
      const good = (): Tensor => adam.minimize(() => w.square().sum().add(v.square().sum()));
      good();
      await device.sync();
      const before = [await w.data(), await v.data(), JSON.stringify(await states(adam))];
      const memory = held(device);
      const expectUnchanged = async (): Promise<void> => {
        expect([await w.data(), await v.data(), JSON.stringify(await states(adam))]).toEqual(before);
        expect(held(device)).toEqual(memory);
      };
      // In the user's function.
      expect(() =>
        adam.minimize(() => {
          w.square().sum();
          throw new Error('NaN in the loss');
        }),
      ).toThrow('NaN in the loss');
      await expectUnchanged();
      expect(() => adam.minimize(() => tl.mul(w, tl.ones([3])))).toThrow(tl.ShapeError);
      expect(() => adam.minimize(() => w.square())).toThrow(/no scalar/);
      expect(() => adam.minimize(() => tl.ones([]))).toThrow(tl.UnsupportedError);
      expect(() => adam.minimize(() => 3 as unknown as Tensor)).toThrow(/it must return the loss/);
      expect(() => adam.minimize((async () => w.sum()) as unknown as () => Tensor)).toThrow(/returned a promise/);
      await expectUnchanged();
      // In the update of the second parameter.
      w.grad = tl.tensor([1, 1]);
      const [wide, gone] = [tl.tensor([1, 1, 1]), tl.tensor([1])];
      expect(() => {
        v.grad = wide;
      }).toThrow(/grad: a gradient of shape \[3\] does not fit a tensor of shape \[1\]/);
      v.grad = gone;
      for (const t of [wide, gone]) t.dispose();
      expect(() => adam.step()).toThrow(/Adam.step: a tensor of shape \[1\] was disposed/);
      adam.zeroGrad();
      await expectUnchanged();
      (adam.paramGroups[0] as { lr: number }).lr = Number.NaN;
      expect(good).toThrow(/lr is number NaN, but it must be a finite number of at least 0/);
      adam.lr = 0.1;
      await expectUnchanged();
      w.dispose();
      v.dispose();
      expect(good).toThrow(tl.DisposedError);
    });
  });

  it('a state dict goes on where it was taken, and a wrong one changes nothing', async () => {
    await clean(device, async () => {
      const start = [0.5, -1, 2];
      const step = (o: AnyOptimizer, w: Tensor): Tensor =>
        o.minimize(() =>
          w
            .sub(tl.tensor([1, 2, 3]))
            .square()
            .sum(),
        );
      const a = leaf(start);
      using whole = new Adam([a], { lr: 0.1, amsgrad: true });
      for (let i = 0; i < 6; i++) step(whole, a);

      const b = leaf(start);
      using first = new Adam([b], { lr: 0.1, amsgrad: true });
      for (let i = 0; i < 3; i++) step(first, b);
      using second = new Adam([b], { lr: 0.5, amsgrad: true });
      second.loadStateDict(first.stateDict());
      expect(second.lr).toBe(0.1);
      for (let i = 0; i < 3; i++) step(second, b);
      expect(await b.data()).toEqual(await a.data());
      // What was handed out is not touched.
      expect((first.stateDict().state[0] as { step: number }).step).toBe(3);

      const memory = held(device);
      const { state, paramGroups } = second.stateDict();
      expect(() => second.loadStateDict({ state, paramGroups: [] })).toThrow(tl.UnsupportedError);
      tl.tidy(() => {
        const wrong = { state: { 0: { step: 3, expAvg: tl.zeros([3, 1]) } }, paramGroups };
        expect(() => second.loadStateDict(wrong)).toThrow(tl.ShapeError);
      });
      expect(() => second.loadStateDict({ state, paramGroups: [{ ...paramGroups[0]!, lr: -1 }] })).toThrow(
        /lr is number -1/,
      );
      expect((second.stateDict().state[0] as { step: number }).step).toBe(6);
      expect(held(device)).toEqual(memory);
      a.dispose();
      b.dispose();
    });
  });

  it('in a failed flush, state that was made in it is made anew', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2]);
      using adam = new Adam([w], { lr: 0.1 });
      const { backend } = device;
      const submit = backend.submit;
      backend.submit = () => {
        throw new tl.OutOfMemoryError('no memory left');
      };
      try {
        expect(() => adam.minimize(() => w.square().sum())).toThrow('no memory left');
      } finally {
        backend.submit = submit;
      }
      const loss = adam.minimize(() => w.square().sum());
      expect(await loss.item()).toBe(5);
      // The first step of Adam moves by the rate.
      expect(await w.toArray()).toEqual([expect.closeTo(0.9, 5), expect.closeTo(1.9, 5)]);
      expect((adam.stateDict().state[0] as { step: number }).step).toBe(1);
      w.dispose();
    });
  });

  it('a step that the device refuses afterwards did not happen', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2]);
      using adam = new Adam([w], { lr: 0.1 });
      const step = (): Tensor => adam.minimize(() => w.square().sum());
      const steps = (): number => (adam.stateDict().state[0] as { step: number }).step;
      const { backend } = device;
      const submit = backend.submit;
      const refused = async (): Promise<void> => {
        // As WebGPU does: what was written to buffers stays, the commands are void.
        backend.submit = async ({ uploads }) => {
          await submit.call(backend, { uploads, launches: [] });
          throw new tl.OutOfMemoryError('no memory left');
        };
        try {
          const loss = step();
          await new Promise((resolve) => setTimeout(resolve));
          await expect(loss.item()).rejects.toThrow('no memory left');
        } finally {
          backend.submit = submit;
        }
      };
      await refused();
      step();
      expect(await w.toArray()).toEqual([expect.closeTo(0.9, 5), expect.closeTo(1.9, 5)]);
      const before = JSON.stringify(await states(adam));
      await refused();
      expect(await w.toArray()).toEqual([expect.closeTo(0.9, 5), expect.closeTo(1.9, 5)]);
      expect(JSON.stringify(await states(adam))).toBe(before);
      expect(steps()).toBe(1);
      step();
      expect(steps()).toBe(2);
      expect(await w.toArray()).toEqual([expect.closeTo(0.8, 3), expect.closeTo(1.8, 3)]);
      w.dispose();
      await device.sync();
    });
  });

  it.skipIf(inBrowser)('losses that were taken back are not freed again by the collector', async () => {
    await clean(device, async () => {
      const w = leaf([1, 2, 3]);
      using sgd = new SGD([w], { lr: 0.01 });
      const step = (): Tensor => sgd.minimize(() => w.square().sum());
      step();
      await device.sync();
      const before = held(device);
      for (let i = 0; i < 50; i++) step();
      const { gc } = globalThis as { gc?: () => void };
      for (let i = 0; i < 3; i++) {
        gc?.();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await device.sync();
      expect(held(device)).toEqual(before);
      expect(await step().item()).toBeGreaterThan(0);
      w.dispose();
    });
  });

  it('runs with fusion off to the same losses', async () => {
    const run = async (on: tl.Device): Promise<number[]> => {
      const losses: number[] = [];
      await clean(on, async () => {
        const options = { device: on };
        const w = tl.tensor([[0.1, -0.2, 0.3]], { ...options, requiresGrad: true });
        const x = tl.tensor([[1], [2], [-1]], options);
        using rms = new RMSprop([w], { lr: 0.01, momentum: 0.9, centered: true });
        for (let i = 0; i < 20; i++)
          losses.push(await rms.minimize(() => w.matmul(x).tanh().sub(0.5).square().sum()).item());
        w.dispose();
        x.dispose();
      });
      return losses;
    };
    const fused = await run(device);
    const unfused = await tl.device(name, { fusion: false });
    try {
      const plain = await run(unfused);
      fused.forEach((loss, i) => {
        expect(Math.abs(loss - plain[i]!)).toBeLessThanOrEqual(1e-6 + 1e-4 * Math.abs(plain[i]!));
      });
    } finally {
      unfused.destroy();
    }
  });
});

/** All numbers of an optimizer's state. */
async function states(optimizer: AnyOptimizer): Promise<unknown[]> {
  const { state } = optimizer.stateDict();
  return Promise.all(
    Object.values(state).flatMap((s) =>
      Object.entries(s).map(async ([name, v]) => [name, typeof v === 'number' ? v : Array.from(await v.data())]),
    ),
  );
}

describe('options of optimizers', () => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open('cpu');
  });
  afterAll(() => {
    device.destroy();
  });

  const w = (): Tensor => tl.tensor([1], { requiresGrad: true });

  it.each<[string, (w: Tensor) => unknown, RegExp]>([
    [
      'an unknown option',
      (p) => new Adam([p], { rate: 1 } as object),
      /Adam: there is no option rate; it takes lr, betas/,
    ],
    [
      'a negative rate',
      (p) => new Adam([p], { lr: -1 }),
      /Adam: lr is number -1, but it must be a finite number of at least 0/,
    ],
    [
      'a beta of 1',
      (p) => new Adam([p], { betas: [0.9, 1] }),
      /betas\[1\] is number 1, but it must be at least 0 and less than 1/,
    ],
    [
      'one beta',
      (p) => new Adam([p], { betas: [0.9] as unknown as [number, number] }),
      /betas is an array, but it must be a pair/,
    ],
    ['a negative eps', (p) => new Adam([p], { eps: -1e-8 }), /eps/],
    ['an alpha of 1', (p) => new RMSprop([p], { alpha: 1 }), /RMSprop: alpha is number 1/],
    ['a negative momentum', (p) => new RMSprop([p], { momentum: -1 }), /momentum/],
    ['a rate that is text', (p) => new SGD([p], { lr: '0.1' as unknown as number }), /SGD: lr is string 0.1/],
    ['nesterov without momentum', (p) => new SGD([p], { nesterov: true }), /nesterov needs a momentum above 0/],
    [
      'nesterov with dampening',
      (p) => new SGD([p], { nesterov: true, momentum: 0.9, dampening: 0.1 }),
      /dampening of 0/,
    ],
    [
      'nesterov that is a number',
      (p) => new SGD([p], { nesterov: 1 as unknown as boolean }),
      /nesterov is number 1, but it must be true or false/,
    ],
    ['a negative weight decay', (p) => new SGD([p], { weightDecay: -1 }), /weightDecay/],
    ['a beta of AdamW above 1', (p) => new tl.optim.AdamW([p], { betas: [2, 0.9] }), /AdamW: betas\[0\] is number 2/],
    [
      'a negative decay of the rate',
      (p) => new tl.optim.Adagrad([p], { lrDecay: -1 }),
      /Adagrad: lrDecay is number -1/,
    ],
    [
      'a rho above 1',
      (p) => new tl.optim.Adadelta([p], { rho: 2 }),
      /Adadelta: rho is number 2, but it must be a number from 0 to 1/,
    ],
    ['a negative eps of Adamax', (p) => new tl.optim.Adamax([p], { eps: -1 }), /Adamax: eps is number -1/],
    [
      'a momentum decay that is NaN',
      (p) => new tl.optim.NAdam([p], { momentumDecay: Number.NaN }),
      /momentumDecay is number NaN/,
    ],
    [
      'a flag that is none',
      (p) => new tl.optim.RAdam([p], { decoupledWeightDecay: 'yes' as never }),
      /RAdam: decoupledWeightDecay is string yes, but it must be true or false/,
    ],
    [
      'a step that is no number',
      (p) => {
        const adam = new Adam([p]);
        adam.loadStateDict({ state: { 0: { step: 'one' as never } }, paramGroups: adam.stateDict().paramGroups });
      },
      /the step of parameter 0 is string one, but it must be a whole number of at least 0/,
    ],
    [
      'a negative limit of the norm',
      (p) => new SGD([p]).minimize(() => p.sum(), { clipGradNorm: -1 }),
      /minimize: maxNorm is number -1, but it must be a number of at least 0/,
    ],
    [
      'a limit that is no number',
      (p) => new SGD([p]).minimize(() => p.sum(), { clipGradValue: '1' as never }),
      /minimize: clipValue is string 1/,
    ],
    [
      'options of a norm that it has not',
      (p) => new SGD([p]).minimize(() => p.sum(), { clipGradNorm: { maxNorm: 1, p: 2 } as never }),
      /minimize: there is no option p; it takes normType, errorIfNonfinite/,
    ],
    ['no parameters', () => new SGD([]), /SGD: the list of parameters is empty/],
    ['a parameter twice', (p) => new SGD([p, p]), /is given twice/],
    ['a parameter in two groups', (p) => new SGD([{ params: [p] }, { params: [p] }]), /is given twice/],
    [
      'a group with an unknown option',
      (p) => new SGD([{ params: [p], rate: 1 } as { params: Tensor[] }]),
      /there is no option rate/,
    ],
    ['a group with a bad value', (p) => new SGD([{ params: [p], lr: -1 }]), /lr is number -1/],
    [
      'something that is no parameter',
      (p) => new SGD([{ params: [p, 3 as unknown as Tensor] }]),
      /a parameter is number 3/,
    ],
    ['something that is no group', () => new SGD([3] as unknown as Tensor[]), /neither a tensor nor a group/],
    [
      'an option of minimize',
      (p) => new SGD([p]).minimize(() => p.sum(), { keep: true } as object),
      /minimize: there is no option keep/,
    ],
  ])('refuses %s', (_, act, message) => {
    const p = w();
    expect(() => act(p)).toThrow(tl.UnsupportedError);
    expect(() => act(p)).toThrow(message);
    p.dispose();
  });

  it('refuses what is no leaf, and disposed parameters', () => {
    const p = w();
    tl.tidy(() => {
      expect(() => new SGD([p.mul(2)])).toThrow(/is the result of an op; only leaves can be optimized/);
    });
    p.dispose();
    expect(() => new SGD([p])).toThrow(tl.DisposedError);
  });

  it('groups have options of their own, and defaults', () => {
    const [a, b] = [w(), w()];
    const sgd = new SGD([{ params: [a] }, { params: [b], lr: 0.01, momentum: 0.5 }], { lr: 0.1 });
    expect(sgd.paramGroups.map(({ lr, momentum }) => [lr, momentum])).toEqual([
      [0.1, 0],
      [0.01, 0.5],
    ]);
    sgd.lr = 1;
    expect(sgd.paramGroups.map((g) => g.lr)).toEqual([1, 1]);
    expect(sgd.lr).toBe(1);
    expect(() => {
      sgd.lr = -1;
    }).toThrow(/lr is number -1/);
    a.dispose();
    b.dispose();
  });
});
