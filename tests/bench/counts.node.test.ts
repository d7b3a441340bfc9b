// What a training step asks of WebGPU: counts, which repeat exactly, on Dawn's null backend, which needs no adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countSteps, type LiveMemory, openNull, type StepCounts, watchMemory } from '../../bench/counts.ts';
import { MODELS } from '../../bench/training.ts';
import { bytesOf } from '../../src/core/dtype.ts';
import type { Node } from '../../src/engine/node.ts';
import type { Plan } from '../../src/engine/plan.ts';
import { open as openDevice, tl } from '../setup/open.ts';

const exactly = (n: number): object => ({ least: n, median: n, most: n });
const flat = ({ bytes, buffers, tensors }: LiveMemory): number[] =>
  [bytes, buffers, tensors].map((r) => r.most - r.least);

/** Dispatches of a step: a change that needs more says why. The gradients of a convolution with its few channels are rows in parts. */
const DISPATCHES: Readonly<Record<string, number>> = { MLP: 14, LeNet: 34, LSTM: 138, GPT: 91 };

/**
 * Bytes of all buffers on the device over those that have to exist at the same time. The LSTM joins what its 28 steps made in two
 * stages, and memory of single steps is too small for what comes then.
 */
const MEMORY: Readonly<Record<string, number>> = { MLP: 1.3, LeNet: 1.3, LSTM: 1.9, GPT: 1.3 };

/** Reads mean nothing on the null backend, so what the status word says is not looked at. */
const quiet = (of: Promise<unknown>): Promise<unknown> =>
  of.catch((error: unknown) => {
    if (!(error instanceof tl.IndexError)) throw error;
  });

/** Watches the flushes of a device: the bytes that the last one of several kernels could not do with fewer of. */
function watchNeed(device: object): () => number {
  const { engine } = device as { engine: { planFor(nodes: unknown, externals: readonly Node[]): Plan } };
  let needed = 0;
  const planFor = engine.planFor.bind(engine);
  engine.planFor = (nodes, externals) => {
    const plan = planFor(nodes, externals);
    const outside = externals.reduce((sum, { dtype, size }) => sum + bytesOf(dtype, size), 0);
    if (plan.steps.length > 4) needed = outside + plan.bytesNeeded;
    return plan;
  };
  return () => needed;
}

const runs = (['hardware', 'software'] as const).flatMap((variants) =>
  Object.entries(MODELS).map(([model, make]) => ({ variants, model, make })),
);

describe.each(runs)('a train step of the $model with the kernels for $variants', ({ variants, model, make }) => {
  let open: Awaited<ReturnType<typeof openNull>>;
  let counts: StepCounts;
  let needed: () => number;
  const [batch, steps] = model === 'GPT' ? [8, 300] : [64, 1000];
  beforeAll(async () => {
    open = await openNull(variants);
    needed = watchNeed(open.device);
    // As in most programs, the first steps are not waited for while their kernels are compiled.
    counts = await countSteps(open, make, { warmup: 60, steps: 60, batch });
  });
  afterAll(() => open.device.destroy());

  test('is one submit of one pass with few dispatches', () => {
    const { dispatches, passes, encoders, submits, copies } = counts.steps;
    expect(dispatches.most).toBeLessThanOrEqual(DISPATCHES[model]!);
    expect({ passes, encoders, submits, copies }).toEqual({
      passes: exactly(1),
      encoders: exactly(1),
      submits: exactly(1),
      copies: exactly(0),
    });
  });

  test('writes the batch, the labels and the params, and nothing else', () => {
    expect(counts.steps.writeBuffer).toEqual(exactly(3));
  });

  test('makes nothing once it has run a few times, with a new batch and a new rate each step', () => {
    const { bindGroups, buffers, pipelines, shaderModules } = counts.mean;
    expect({ bindGroups, buffers, pipelines, shaderModules }).toEqual({
      bindGroups: 0,
      buffers: 0,
      pipelines: 0,
      shaderModules: 0,
    });
  });

  test('takes little more memory than it needs at one time', () => {
    expect(needed()).toBeGreaterThan(0);
    expect(counts.bytes.peak / needed()).toBeLessThanOrEqual(MEMORY[model]!);
  });

  test('compiles everything in its first step', async () => {
    const first = await openNull(variants);
    const training = make();
    const { x, y } = training.upload(training.batches(1, batch)[0]!);
    await quiet(first.device.sync());
    const made: number[] = [];
    for (let i = 0; i < 4; i++) {
      const before = first.calls().pipelines;
      training.step(x, y);
      made.push(first.calls().pipelines - before);
    }
    await quiet(first.device.sync());
    for (const held of [training, x, y]) held.dispose();
    first.device.destroy();
    tl.setDefaultDevice(open.device);
    expect(made.slice(2)).toEqual([0, 0]);
    // The layers of an encoder begin as copies of one, which the first step may not overwrite.
    expect(made[1]).toBeLessThanOrEqual(model === 'GPT' ? 2 : 0);
    expect(made[0]).toBeGreaterThan(5);
  });

  test('needs one more submit to read the loss', () => {
    expect(counts.reads.submits).toEqual(exactly(2));
    expect(counts.reads.dispatches).toEqual(counts.steps.dispatches);
  });

  // It is the same plan's memory, whichever kernels compute it.
  if (variants === 'software')
    test(`needs no more memory after ${steps} steps`, async () => {
      expect(flat(await watchMemory(open.device, 'loop', make, { batch, steps }))).toEqual([0, 0, 0]);
    });
});

test('1,000 steps over a DataLoader need no more memory', async () => {
  const { device } = await openNull();
  expect(flat(await watchMemory(device, 'loader', MODELS.MLP))).toEqual([0, 0, 0]);
  device.destroy();
});

test.each(['LeNet', 'LSTM'] as const)(
  '1,000 steps of the %s on cpu need no more memory',
  { timeout: 120_000 },
  async (model) => {
    const device = await openDevice('cpu');
    const memory = await watchMemory(device, 'loop', MODELS[model], { batch: 2 });
    device.destroy();
    expect(flat(memory)).toEqual([0, 0, 0]);
    expect(memory.tensors.most).toBeGreaterThan(0);
  },
);
