// What attention over long sequences holds at most, forward and backward: bytes, which repeat exactly.
import { describe, expect, it } from 'vitest';
import { withBlocksOf } from '../../src/ops/attention.ts';
import { devices } from '../setup/devices.ts';
import { open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
type Call = (q: Tensor, k: Tensor, v: Tensor) => Tensor;
const F = tl.nn.functional;
const WIDTH = 64;

/** Bytes of queries, keys and values together. */
const given = (length: number, heads: number): number => 3 * 4 * heads * WIDTH * length;

const calls: readonly (readonly [name: string, call: Call])[] = [
  ['all keys', (q, k, v) => F.scaledDotProductAttention(q, k, v)],
  ['keys before the query', (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true })],
  [
    'keys of a mask, with dropout',
    (q, k, v) => F.scaledDotProductAttention(q, k, v, { attnMask: mask(k), dropoutP: 0.1 }),
  ],
];
const mask = (k: Tensor): Tensor => tl.arange(k.shape.at(-2)!).lt(k.shape.at(-2)! - 3);

/** Bytes above the inputs at most, in one scope. */
async function peak(device: tl.Device, length: number, heads: number, call: Call, training: boolean): Promise<number> {
  const inputs = [1, 2, 3].map(() => tl.tidy(() => tl.rand([1, heads, length, WIDTH])));
  const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
  for (const t of inputs) t.requiresGrad = training;
  device.engine.flush();
  const before = tl.memory(device).bytes;
  const out = tl.tidy(() => {
    const y = call(q, k, v);
    return training ? tl.grad([y.square().sum()], inputs) : [y];
  });
  await device.sync();
  const { peakBytes } = tl.memory(device);
  for (const t of [...inputs, ...out]) t.dispose();
  return peakBytes - before;
}

/** A few blocks of scores, and what is as large as the inputs: no multiple of the square of the length. */
const most = (block: number, length: number, heads: number): number => 3 * block + 4 * given(length, heads);

describe.each([true, false])('attention that is trained: %s', (training) => {
  it.each(calls)('to %s holds memory in proportion to the length on cpu', async (_, call) => {
    for (const length of [1024, 2048]) {
      const device = await open('cpu');
      const bytes = await peak(device, length, 4, call, training);
      device.destroy();
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThan(most(2 ** 22, length, 4));
    }
  });
});

it.runIf(devices.includes('webgpu')).each(calls.slice(1))(
  'attention that is trained, to %s, does so on webgpu, in smaller blocks',
  async (_, call) => {
    for (const length of [512, 1024]) {
      const device = await open('webgpu');
      const bytes = await withBlocksOf(64, () => peak(device, length, 1, call, true));
      device.destroy();
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThan(most(4 * 64 * length, length, 1));
    }
  },
);
