import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import adamCases from '../fixtures/optim/adam.json' with { type: 'json' };
import rmspropCases from '../fixtures/optim/rmsprop.json' with { type: 'json' };
import sgdCases from '../fixtures/optim/sgd.json' with { type: 'json' };
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
interface Values {
  readonly shape: number[];
  readonly data: number[];
}
interface Case {
  readonly name: string;
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, Values>>;
  readonly grads: readonly Readonly<Record<string, Values>>[];
  readonly expected: readonly Readonly<Record<string, Values>>[];
  readonly rtol: number;
  readonly atol: number;
}

const CASES = [...sgdCases, ...rmspropCases, ...adamCases] as unknown as readonly Case[];
const { SGD, RMSprop, Adam } = tl.optim;

const camel = (args: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(args).map(([name, v]) => [name.replace(/_(.)/g, (_, c: string) => c.toUpperCase()), v]),
  );

type AnyOptimizer = tl.optim.Optimizer;
const make = (op: string, params: unknown, options: object): AnyOptimizer =>
  new (({ SGD, RMSprop, Adam })[op] as unknown as new (p: unknown, o: object) => AnyOptimizer)(params, options);

const leaf = (data: tl.TensorData): Tensor => tl.tensor(data, { requiresGrad: true });

describe.each(devices)('optimizers on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it.each(CASES)(
    "PyTorch's parameters after each step: $name",
    async ({ op, args, params, grads, expected, rtol, atol }) => {
      await clean(device, async () => {
        using scope = tl.scope();
        const leaves = Object.fromEntries(
          Object.entries(params).map(([key, { data, shape }]) => [
            key,
            scope.track(tl.tensor(data, { shape, requiresGrad: true })),
          ]),
        );
        const { param_groups: groups, ...rest } = args;
        const list = groups
          ? (groups as { params: string[] }[]).map(({ params: names, ...own }) => ({
              ...camel(own),
              params: names.map((n) => leaves[n]!),
            }))
          : Object.values(leaves);
        const optimizer = make(op, list, camel(rest));
        for (const [k, g] of grads.entries()) {
          for (const [key, { data, shape }] of Object.entries(g)) leaves[key]!.grad = tl.tensor(data, { shape });
          optimizer.step();
          for (const [key, { data }] of Object.entries(expected[k]!)) {
            const got = await leaves[key]!.data();
            data.forEach((want, i) => {
              expect(
                Math.abs(got[i]! - want),
                `${key}[${i}] after step ${k + 1}: ${got[i]} for ${want}`,
              ).toBeLessThanOrEqual(atol + rtol * Math.abs(want));
            });
          }
        }
        optimizer.dispose();
      });
    },
  );

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

  it('the third step has a cached plan, also when the rate changes', async () => {
    await clean(device, async () => {
      const w = leaf([[1, 2, 3]]);
      const b = leaf([0]);
      using adam = new Adam([w, b], { lr: 0.01 });
      const schedule = new tl.optim.ExponentialLR(adam, { gamma: 0.9 });
      const { counters } = device.engine;
      let launches = 0;
      for (let i = 0; i < 10; i++) {
        const before = { ...counters };
        const x = tl.tensor([[i, 1, -i]]);
        const loss = adam.minimize(() => w.mul(x).sum().add(b.sum()).square());
        schedule.step();
        x.dispose();
        expect(counters.flushes - before.flushes, `flushes of step ${i}`).toBe(1);
        if (i >= 2) {
          expect(counters.plans - before.plans, `plans of step ${i}`).toBe(0);
          expect(counters.planHits - before.planHits).toBe(1);
          if (i > 2) expect(counters.launches - before.launches).toBe(launches);
          launches = counters.launches - before.launches;
        }
        expect(await loss.item()).toBeGreaterThan(0);
      }
      w.dispose();
      b.dispose();
    });
  });

  it.each([
    ['SGD with momentum', 'SGD', { momentum: 0.9 }, 1],
    ['RMSprop', 'RMSprop', { centered: true, momentum: 0.9 }, 3],
    ['Adam', 'Adam', { amsgrad: true }, 3],
  ] as const)('%s updates a parameter and its state in one kernel, in place', async (_, op, options, slots) => {
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
