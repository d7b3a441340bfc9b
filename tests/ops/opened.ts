import { afterAll, afterEach, beforeEach, expect } from 'vitest';
import { type Device, memory, setDefaultDevice } from '../../src/index.ts';
import { devices } from '../setup/devices.ts';
import { openDevice, openOracle } from './harness.ts';

/** The tested devices by name, and the oracle, which is the default device; closed after the tests of the file. */
export async function openDevices(): Promise<{ oracle: Device; opened: ReadonlyMap<string, Device> }> {
  const opened = new Map<string, Device>();
  for (const name of devices) opened.set(name, await openDevice(name));
  const oracle = await openOracle();
  setDefaultDevice(oracle);
  leaveNothing([oracle, ...opened.values()]);
  return { oracle, opened };
}

/** Every test leaves memory as it found it; the devices are closed after the last. */
export function leaveNothing(all: readonly Device[]): void {
  const bytes = (): number[] => all.map((d) => memory(d).bytes);
  let baseline: number[] = [];
  beforeEach(() => {
    baseline = bytes();
  });
  afterEach(async () => {
    for (const d of all) await d.sync();
    expect(bytes(), 'bytes on the devices').toEqual(baseline);
  });
  afterAll(() => {
    for (const d of all) d.destroy();
  });
}
