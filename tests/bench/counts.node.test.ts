// What a training step asks of WebGPU: counts, which repeat exactly, on Dawn's null backend, which needs no adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { countSteps, type LiveMemory, openNull, type StepCounts, watchMemory } from '../../bench/counts.ts';

const exactly = (n: number): object => ({ least: n, median: n, most: n });
const flat = ({ bytes, buffers, tensors }: LiveMemory): number[] =>
  [bytes, buffers, tensors].map((r) => r.most - r.least);

describe.each(['hardware', 'software'] as const)('an MLP train step with the kernels for %s', (variants) => {
  let open: Awaited<ReturnType<typeof openNull>>;
  let counts: StepCounts;
  beforeAll(async () => {
    open = await openNull(variants);
    counts = await countSteps(open);
  });
  afterAll(() => open.device.destroy());

  test('is one submit of one pass with few dispatches', () => {
    const { dispatches, passes, encoders, submits, copies } = counts.steps;
    expect(dispatches.most).toBeLessThanOrEqual(24);
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

  test('needs no more memory after 1,000 steps', async () => {
    expect(flat(await watchMemory(open.device, 'loop'))).toEqual([0, 0, 0]);
  });

  test('needs no more memory after 1,000 steps over a DataLoader', async () => {
    expect(flat(await watchMemory(open.device, 'loader'))).toEqual([0, 0, 0]);
  });
});
