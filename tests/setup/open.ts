// Opens a device for a test through the public entry, and closes it with its memory checked.
import { expect } from 'vitest';
import * as tl from '../../src/index.ts';
import { provideGPU } from '../../src/init.ts';
import { gpu, type TestedDevice } from './devices.ts';

provideGPU(gpu);

export { tl };

/** A new default device of the given kind. */
export const open = (name: TestedDevice, options: Omit<tl.InitOptions, 'device'> = {}): Promise<tl.Device> =>
  tl.init({ device: name, ...options });

/** Tensors, bytes and buffers that are held now. */
export function held(device: tl.Device): { tensors: number; bytes: number; buffers: number } {
  const { tensors, bytes, buffers } = tl.memory(device);
  return { tensors, bytes, buffers };
}

/** Runs a test body and expects that it leaves no tensor, byte or buffer behind. */
export async function clean(device: tl.Device, body: () => Promise<void> | void): Promise<void> {
  const before = held(device);
  await body();
  device.engine.flush();
  expect(held(device)).toEqual(before);
}
