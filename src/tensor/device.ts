import type { Backend } from '../backends/backend.ts';
import type { TuningTable } from '../backends/tuning.ts';
import { describe } from '../core/check.ts';
import { DeviceError } from '../core/errors.ts';
import { Engine } from '../engine/engine.ts';

/** A place where tensors live and ops run. Made by `init` and `device`. */
export class Device {
  /** @internal */
  readonly engine: Engine;
  /** @internal */
  tuned: TuningTable | null = null;
  private closed = false;

  /** @internal */
  constructor(
    readonly name: Backend['name'],
    /** @internal */
    readonly backend: Backend,
    /** Why this device was taken, for people. */
    readonly reason: string,
  ) {
    this.engine = new Engine(backend);
    devices.add(this);
  }

  /** Adapter, instruction set or precision. */
  get description(): string {
    return this.backend.description;
  }

  /** How products run fastest here, by `autotune` and the option `tuning`; null where neither has said. */
  get tuning(): TuningTable | null {
    return this.tuned;
  }

  /** True once it was destroyed. */
  get destroyed(): boolean {
    return this.closed;
  }

  /** Runs everything that is pending and waits until the device has finished. */
  async sync(): Promise<void> {
    await this.engine.sync();
  }

  /** Frees the device and all its tensors. Pending reads reject with DeviceLostError. */
  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    devices.delete(this);
    if (current === this) current = null;
    this.backend.destroy();
  }

  /** Its name, as `init({ device })` takes it. */
  toString(): string {
    return this.name;
  }
}

const devices = new Set<Device>();
let current: Device | null = null;

/** The device that new tensors are made on; an error before `init`. */
export function defaultDevice(op: string): Device {
  if (!current) throw new DeviceError(`${op}: there is no device yet; call \`await tl.init()\` first`);
  return current;
}

/** Makes a device the one that new tensors are made on. */
export function setDefaultDevice(device: Device): void {
  if (!(device instanceof Device))
    throw new DeviceError(`setDefaultDevice: ${describe(device)} is no device; pass what init() or device() gave`);
  if (device.destroyed)
    throw new DeviceError(`setDefaultDevice: the ${device.name} device was destroyed; make another one with device()`);
  current = device;
}

/** @internal The default device, if there is one. */
export const currentDevice = (): Device | null => current;

/** @internal Runs what is pending on every device. */
export function flushAll(): void {
  for (const device of devices) device.engine.flush();
}
