import { expect, it } from 'vitest';
import { onDevices, tl } from '../setup/open.ts';

const { nn, optim } = tl;
const F = nn.functional;

const x = { data: Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)), shape: [8, 3] };
const y = Int32Array.from({ length: 8 }, (_, i) => i % 3);

/** With everything that a step changes: weights, running statistics, an optimizer with state, and random numbers. */
function build(): { model: tl.nn.Module; optimizer: tl.optim.Adam; [Symbol.dispose](): void } {
  tl.manualSeed(3);
  const model = new nn.Sequential(new nn.Linear(3, 5), new nn.BatchNorm1d(5), new nn.Dropout(0.3), new nn.Linear(5, 3));
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.05 });
  model.compile({ optimizer, loss: F.crossEntropy, metrics: ['accuracy'] });
  return {
    model,
    optimizer,
    [Symbol.dispose]() {
      optimizer.dispose();
      model.dispose();
    },
  };
}

onDevices('warmup', (clean) => {
  const dataOf = async (dict: Readonly<Record<string, unknown>>): Promise<unknown> =>
    Promise.all(
      Object.entries(dict).map(async ([name, v]) => [name, v instanceof tl.Tensor ? await v.toArray() : v] as const),
    );
  const stateOf = async ({ model, optimizer }: ReturnType<typeof build>): Promise<unknown> => [
    await dataOf(model.stateDict()),
    await Promise.all(Object.values(optimizer.stateDict().state).map(dataOf)),
    model.modules().map((m) => m.training),
  ];
  const run = async (warm: (made: ReturnType<typeof build>) => Promise<void>): Promise<unknown> => {
    using made = build();
    // Their random numbers are not part of the first step then, in which they may be rounded once less.
    await Promise.all(made.model.parameters().map((p) => p.data()));
    await warm(made);
    const first = await made.model.trainOnBatch(x, y);
    await warm(made);
    const second = await made.model.trainOnBatch(x, y);
    return [first, second, await stateOf(made)];
  };

  it('changes nothing: training goes on to the bit as without it', () =>
    clean(async () => {
      const without = await run(async () => undefined);
      expect(await run(({ model }) => model.warmup(x, y))).toEqual(without);
      expect(await run(({ model }) => model.warmup(x))).toEqual(without);
    }));

  it('leaves modes and state as they are, also after an error', () =>
    clean(async () => {
      using made = build();
      await made.model.trainOnBatch(x, y);
      made.model.eval();
      const before = await stateOf(made);
      await made.model.warmup(x, y);
      expect(await stateOf(made)).toEqual(before);
      await expect(made.model.warmup(x, y.slice(1))).rejects.toThrow(/warmup: x has 8 samples and y has 7/);
      expect(await stateOf(made)).toEqual(before);
      await expect(made.model.warmup([[1, 2]])).rejects.toThrow(tl.ShapeError);
      expect(await stateOf(made)).toEqual(before);
    }));

  it('leaves nothing to be planned, and so to be compiled, for batches of that size', () =>
    clean(async (device) => {
      using made = build();
      await made.model.warmup(x, y);
      const { plans } = device.engine.counters;
      await made.model.trainOnBatch(x, y);
      await made.model.trainOnBatch(x, y);
      await made.model.testOnBatch(x, y);
      const out = await made.model.predictOnBatch(x);
      await device.sync();
      out.dispose();
      expect(device.engine.counters.plans).toBe(plans);
    }));

  it('needs compile for targets, and only for them', () =>
    clean(async () => {
      const model = new nn.Linear(3, 2);
      await model.warmup(x);
      await expect(model.warmup(x, y)).rejects.toThrow(/warmup: the module has no optimizer and loss yet/);
      model.dispose();
    }));
});
