import type { Timing } from './backends/clock.ts';
import { DeviceError, UnsupportedError } from './core/errors.ts';
import { textTable } from './core/table.ts';
import { checkOptions, describe } from './ops/record.ts';
import { Device, defaultDevice } from './tensor/device.ts';

/** One launch of a kernel, in the order in which they ran. */
export interface LaunchTime {
  /** The ops that the kernel serves, as `explain` names them. */
  readonly kernel: string;
  /** When it began, in milliseconds after the first one. */
  readonly start: number;
  /** How long it took, in milliseconds. */
  readonly ms: number;
}

/** All launches of the kernels that serve the same ops. */
export interface KernelTime {
  readonly kernel: string;
  readonly launches: number;
  /** Of all of them together, in milliseconds. */
  readonly ms: number;
  /** Of the time of all kernels, from 0 to 1. */
  readonly share: number;
}

/** Options of `profile`. */
export interface ProfileOptions {
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

const SHOWN = 40;

/** What `profile` found. */
export class Profile<T = unknown> {
  /** By ops, the longest first. */
  readonly kernels: readonly KernelTime[];
  /** Of all kernels together, in milliseconds of the device's clock. */
  readonly deviceMs: number;

  /** @internal Made by `profile`. */
  constructor(
    /** What the function gave. */
    readonly result: T,
    /** Every launch, in order. */
    readonly launches: readonly LaunchTime[],
    /** From the call to the end of all that it computed, in milliseconds of the host's clock. */
    readonly ms: number,
    private readonly device: string,
  ) {
    this.deviceMs = launches.reduce((sum, launch) => sum + launch.ms, 0);
    const byKernel = new Map<string, { launches: number; ms: number }>();
    for (const { kernel, ms } of launches) {
      const sum = byKernel.get(kernel) ?? { launches: 0, ms: 0 };
      byKernel.set(kernel, { launches: sum.launches + 1, ms: sum.ms + ms });
    }
    this.kernels = [...byKernel]
      .map(([kernel, sum]) => ({ kernel, ...sum, share: this.deviceMs > 0 ? sum.ms / this.deviceMs : 0 }))
      .sort((a, b) => b.ms - a.ms);
  }

  /** A table of the kernels, the longest first. */
  toString(): string {
    const rows = this.kernels.slice(0, SHOWN).map(({ kernel, launches, ms, share }) => {
      const name = kernel.length > 60 ? `${kernel.slice(0, 59)}…` : kernel;
      return [name, String(launches), ms.toFixed(3), `${(100 * share).toFixed(1)}%`];
    });
    const rest = this.kernels.slice(SHOWN);
    if (rest.length > 0) {
      const ms = rest.reduce((sum, kernel) => sum + kernel.ms, 0);
      const launches = rest.reduce((sum, kernel) => sum + kernel.launches, 0);
      const share = this.deviceMs > 0 ? (100 * ms) / this.deviceMs : 0;
      rows.push([`${rest.length} others`, String(launches), ms.toFixed(3), `${share.toFixed(1)}%`]);
    }
    const head = ['kernel', 'launches', 'ms', 'share'];
    const { lines, rule } = textTable(head, rows, head.slice(1));
    const [title = '', ...table] = lines;
    const end = `${this.launches.length} launches, ${this.deviceMs.toFixed(3)} ms on ${this.device}; ${this.ms.toFixed(3)} ms in all`;
    return [title, rule, ...table, rule, end].join('\n');
  }

  /** The launches as JSON of the Trace Event Format, which chrome://tracing and ui.perfetto.dev open. */
  toTrace(): string {
    const events = this.launches.map(({ kernel, start, ms }) => ({
      name: kernel,
      ph: 'X',
      ts: 1000 * start,
      dur: 1000 * ms,
      pid: 1,
      tid: 1,
    }));
    const names = [
      { name: 'process_name', ph: 'M', pid: 1, args: { name: 'tensorloom' } },
      { name: 'thread_name', ph: 'M', pid: 1, tid: 1, args: { name: this.device } },
    ];
    return JSON.stringify({ displayTimeUnit: 'ms', traceEvents: [...names, ...events] });
  }
}

const profiled = new WeakSet<Device>();

/**
 * Times every kernel that a function runs: on WebGPU by the device's own clock (timestamp queries), elsewhere by the host's. What was
 * pending before runs before, and what the function leaves pending runs within. On WebGPU each kernel is a pass of its own while it is
 * timed, so that their sum is a little more than what they take otherwise. Run the function once before to leave compilation out. What
 * nobody can read any more is not computed, and so not timed.
 *
 * @throws UnsupportedError for a WebGPU device without the feature `timestamp-query`, and for a profile within another.
 * @example
 * ```ts
 * const report = await tl.profile(() => tl.rand([64, 64]).matmul(tl.rand([64, 64])));
 * console.log(String(report)); // a table of kernels
 * const trace = report.toTrace(); // for chrome://tracing
 * ```
 */
export async function profile<T>(fn: () => T | Promise<T>, options: ProfileOptions = {}): Promise<Profile<T>> {
  if (typeof fn !== 'function')
    throw new UnsupportedError(`profile: expected a function that runs what is to be timed, got ${describe(fn)}`);
  checkOptions('profile', options, ['device']);
  const { device = defaultDevice('profile') } = options;
  if (!(device instanceof Device))
    throw new DeviceError(`profile: ${describe(device)} is no device; pass what init() or device() gave`);
  const { clock } = device.backend;
  if (!clock)
    throw new UnsupportedError(
      `profile: ${device.description} has no clock, because it lacks the WebGPU feature timestamp-query; use another adapter, or the cpu device`,
    );
  if (profiled.has(device))
    throw new UnsupportedError('profile: the device is profiled already; await the other profile first');
  profiled.add(device);
  try {
    await device.sync();
    clock.start();
    const from = performance.now();
    let timings: readonly Timing[];
    let result: T;
    let ms: number;
    try {
      result = await fn();
      await device.sync();
      ms = performance.now() - from;
    } finally {
      timings = await clock.stop();
    }
    const launches = timings.map(({ label, start, ms }) => ({ kernel: label, start, ms }));
    return new Profile(result, launches, ms, device.description);
  } finally {
    profiled.delete(device);
  }
}
