import type { TuningProgress, TuningTable } from './backends/tuning.ts';
import { DeviceError } from './core/errors.ts';
import { checkOptions, describe } from './ops/record.ts';
import { Device, defaultDevice } from './tensor/device.ts';

/** Options of `autotune`. */
export interface AutotuneOptions {
  /** The default device unless given. */
  readonly device?: Device | undefined;
  /** Called after each kind of products, with what was found. */
  readonly onProgress?: ((progress: TuningProgress) => void) | undefined;
}

/**
 * Finds out how the matrix products of a function run fastest. It runs the function once, such as a training step, and then times every
 * variant of the WebGPU kernels for the products in it (tiles, sizes, parts), with their own shapes and random numbers: by the device's
 * clock, in rounds, and after each kernel was compiled. Where a variant is clearly faster than the one that is usually taken, by 5 % or
 * more, the device takes it from now on, also for steps that ran before. This takes seconds for a GPU and some ten kinds of products, and
 * minutes for a software adapter. Other work on the device meanwhile is computed as ever, and disturbs the times.
 *
 * The table of what was found is plain JSON. Keep it, and hand it to `init({ tuning })` the next time. It is by adapter, dtype, layout of
 * the operands, and sizes up to the next power of two, so that it serves other models, too, and another call adds to it. Results may
 * differ in their last digits, as sums are taken in another order.
 *
 * Devices other than WebGPU have no variants: there it only runs the function, and the table is empty. A variant that the device
 * refuses is left out. Nothing changes when something throws.
 *
 * @throws UnsupportedError while the device is being tuned already.
 * @example
 * ```ts
 * const model = new tl.nn.Sequential(new tl.nn.Linear(784, 256), new tl.nn.ReLU(), new tl.nn.Linear(256, 10));
 * const adam = new tl.optim.Adam(model.parameters());
 * const [x, y] = [tl.rand([64, 784]), tl.randint(0, 10, [64])];
 * const table = await tl.autotune(() => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x), y)), {
 *   onProgress: ({ done, total, speedup }) => console.log(`${done} of ${total}: ${speedup.toFixed(2)} times as fast`),
 * });
 * const kept = JSON.stringify(table);
 * // in the next session
 * await tl.init({ tuning: JSON.parse(kept) });
 * ```
 */
export async function autotune(fn: () => unknown, options: AutotuneOptions = {}): Promise<TuningTable> {
  checkOptions('autotune', options, ['device', 'onProgress']);
  const { device = defaultDevice('autotune'), onProgress } = options;
  if (!(device instanceof Device))
    throw new DeviceError(`autotune: ${describe(device)} is no device; pass what init() or device() gave`);
  const { tune } = await import('./tuning.ts');
  return tune(fn, device, onProgress);
}
