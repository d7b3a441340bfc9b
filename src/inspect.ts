import { DeviceError, UnsupportedError } from './core/errors.ts';
import { currentChecks, setChecks } from './engine/origin.ts';
import { checkOptions, checkTensor, describe } from './ops/record.ts';
import { currentDevice, Device } from './tensor/device.ts';
import { scoped } from './tensor/scope.ts';
import { type Cell, liveTensors, type Tensor } from './tensor/tensor.ts';

/** What `memory` reports. */
export interface MemoryReport {
  /** Bytes on the device that tensors hold. */
  readonly bytes: number;
  /** Buffers that hold them. */
  readonly buffers: number;
  /** Bytes kept for reuse. */
  readonly pooledBytes: number;
  /** The most bytes that were held at once. */
  readonly peakBytes: number;
  /** Tensors that are not disposed, on all devices. */
  readonly tensors: number;
}

/** Memory of a device, the default one unless given. Before `init` there is none. */
export function memory(device: Device | null = currentDevice()): MemoryReport {
  if (!device) return { bytes: 0, buffers: 0, pooledBytes: 0, peakBytes: 0, tensors: liveTensors() };
  if (!(device instanceof Device))
    throw new DeviceError(`memory: ${describe(device)} is no device; pass what init() or device() gave`);
  const { bytes, buffers, pooledBytes, peakBytes } = device.engine.memory();
  return { bytes, buffers, pooledBytes, peakBytes, tensors: liveTensors() };
}

/**
 * The plan that would run if the open scopes ended now and kept this tensor: kernels, what was fused into each, bytes and buffers.
 * Outside a scope every tensor that nobody disposed is kept as well.
 *
 * @throws DisposedError when the tensor is gone.
 * @example
 * ```ts
 * tl.tidy(() => console.log(tl.explain(tl.rand([8, 8]).mul(2).sum())));
 * ```
 */
export function explain(tensor: Tensor): string {
  checkTensor('explain', tensor);
  const ending = new Map<Cell, number>();
  for (const t of scoped()) if (t !== tensor) ending.set(t.cell, (ending.get(t.cell) ?? 0) + 1);
  const loose = [...ending].filter(([cell, handles]) => handles === cell.handles).map(([cell]) => cell.node);
  for (const node of loose) node.holders--;
  try {
    return tensor.device.engine.explain();
  } finally {
    for (const node of loose) node.holders++;
  }
}

/** What `debug` switches. */
export interface DebugOptions {
  /** Make the first NaN or infinity in the result of an op an error, or with 'nan' only the first NaN; off at first. */
  readonly checkNumerics?: boolean | 'nan' | undefined;
}

/**
 * Switches checked mode, on all devices: the next await after an op whose result has NaN or infinity in it throws a NumericsError,
 * which names the first such op in the program's order, the line that called it, and whether its inputs were finite. For the
 * gradient of an op, it is the line that called the op. Errors for an index out of range say the line as well. Values that you
 * give yourself, such as a mask of -Infinity, are no error; what an op makes of them is, unless only 'nan' is checked.
 *
 * For debugging: ops run one by one, without fusion, and remember their lines. Lines are not known where the program and
 * the library are bundled into one file.
 *
 * @returns the options that held before, to go back to.
 * @throws UnsupportedError for options that do not exist or whose values break their rule.
 * @example
 * ```ts
 * tl.debug({ checkNumerics: true });
 * const y = tl.tensor([1, 0]).log(); // -Infinity
 * await y.data(); // throws: log (called at …): the result of shape [2] has infinity in it …
 * ```
 */
export function debug(options: DebugOptions): { readonly checkNumerics: boolean | 'nan' } {
  checkOptions('debug', options, ['checkNumerics']);
  const { checkNumerics } = options;
  if (checkNumerics !== undefined && typeof checkNumerics !== 'boolean' && checkNumerics !== 'nan')
    throw new UnsupportedError(
      `debug: checkNumerics is ${describe(checkNumerics)}, but it must be true, false or 'nan'`,
    );
  const before = currentChecks();
  if (checkNumerics !== undefined) setChecks(checkNumerics);
  return { checkNumerics: before };
}
