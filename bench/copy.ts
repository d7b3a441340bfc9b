// What a device copies from buffer to buffer: the yardstick of work that is bound by memory.
import type { Contestant } from './harness.ts';
import { random } from './models.ts';

/** Random numbers that are written at once. */
const BLOCK = 2 ** 20;

/** Moves as many bytes as a workload does, half of them read and half of them written. */
export async function copier(gpu: GPU, moved: number): Promise<Contestant> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('there is no adapter');
  const { maxBufferSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize } });
  const size = Math.ceil(moved / 8) * 4;
  const [from, to] = [0, 1].map(() =>
    device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST }),
  ) as [GPUBuffer, GPUBuffer];
  const block = random(Math.min(BLOCK, size / 4), 1);
  for (let at = 0; at < size; at += 4 * BLOCK)
    device.queue.writeBuffer(from, at, block, 0, Math.min(BLOCK, (size - at) / 4));
  return {
    name: 'copy of as many bytes',
    device: 'webgpu',
    yardstick: true,
    once() {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, to, 0, size);
      device.queue.submit([encoder.finish()]);
    },
    async settle() {
      await device.queue.onSubmittedWorkDone();
      return 0;
    },
    dispose: () => device.destroy(),
  };
}
