// What a training step asks of WebGPU: counts, which repeat exactly, on Dawn's null backend, which needs no adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countSteps, type LiveMemory, openNull, type StepCounts, watchMemory } from '../../bench/counts.ts';
import { MODELS } from '../../bench/training.ts';
import { open as openDevice } from '../setup/open.ts';

const exactly = (n: number): object => ({ least: n, median: n, most: n });
const flat = ({ bytes, buffers, tensors }: LiveMemory): number[] =>
  [bytes, buffers, tensors].map((r) => r.most - r.least);

/** Dispatches of a step: a change that needs more says why. The gradients of a convolution with its few channels are rows in parts. */
const DISPATCHES: Readonly<Record<string, number>> = { MLP: 14, LeNet: 34, LSTM: 143, GPT: 108 };

const runs = (['hardware', 'software'] as const).flatMap((variants) =>
  Object.entries(MODELS).map(([model, make]) => ({ variants, model, make })),
);

describe.each(runs)('a train step of the $model with the kernels for $variants', ({ variants, model, make }) => {
  let open: Awaited<ReturnType<typeof openNull>>;
  let counts: StepCounts;
  const [batch, steps] = model === 'GPT' ? [8, 300] : [64, 1000];
  beforeAll(async () => {
    open = await openNull(variants);
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
