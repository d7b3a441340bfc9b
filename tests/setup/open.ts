// Opens a device for a test through the public entry, and closes it with its memory checked.
import { afterAll, beforeAll, describe, expect } from 'vitest';
import * as tl from '../../src/index.ts';
import { provideGPU } from '../../src/init.ts';
import { devices, gpu, type TestedDevice } from './devices.ts';

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

/** A call that must fail: what is wrong with it, the call, and its error. */
export type Refusal = readonly [name: string, run: () => unknown, error: new (...args: never[]) => Error, says: RegExp];

/** Expects that a call fails with an error; what it made before is disposed. */
export function refuses(run: () => unknown, error: Refusal[2], says: RegExp): void {
  const failed = (): void => {
    tl.tidy(() => void run());
  };
  expect(failed).toThrow(error);
  expect(failed).toThrow(says);
}

/** Runs a test body on the device of its suite, as `clean` does. */
export type Clean = (body: (device: tl.Device) => Promise<void> | void) => Promise<void>;

/** A suite on each tested device, which is the default device there. */
export function onDevices(title: string, suite: (clean: Clean, name: TestedDevice) => void): void {
  describe.each(devices)(`${title} on %s`, (name) => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open(name);
    });
    afterAll(() => {
      device.destroy();
    });
    suite((body) => clean(device, () => body(device)), name);
  });
}

/** 0, 1, 2, … in a shape. */
export const counted = (...shape: number[]): tl.Tensor => tl.arange(shape.reduce((n, m) => n * m, 1)).reshape(shape);

/** What a tensor holds, which is disposed. */
export async function given(x: tl.Tensor): Promise<tl.NestedArray> {
  try {
    return await x.toArray();
  } finally {
    x.dispose();
  }
}

/** What a function gives, whose tensors are disposed. */
export const value = (fn: () => tl.Tensor): Promise<tl.NestedArray> => given(tl.tidy(fn));
