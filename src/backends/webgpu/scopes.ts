import { DeviceError, OutOfMemoryError, type TensorloomError } from '../../core/errors.ts';

const FILTERS = ['validation', 'out-of-memory', 'internal'] as const;

/** What was made or done, and a promise of the error that the device had with it; it never rejects. */
export interface Guarded<T> {
  readonly value: T;
  readonly error: Promise<TensorloomError | undefined>;
}

export function guarded<T>(device: GPUDevice, what: string, run: () => T): Guarded<T> {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  let popped: Promise<(GPUError | null)[]>;
  let value: T;
  try {
    value = run();
  } finally {
    // A lost device rejects; its loss is reported on its own.
    popped = Promise.all(FILTERS.map(() => device.popErrorScope().catch(() => null)));
  }
  const error = popped.then(([internal, memory, validation]) => {
    if (memory) return new OutOfMemoryError(`${what}: the device is out of memory (${memory.message})`);
    const other = validation ?? internal;
    return other ? new DeviceError(`${what}: ${other.message}`) : undefined;
  });
  return { value, error };
}
