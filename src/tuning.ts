// What `autotune` and the option `tuning` do; loaded when they are used, so it imports nothing that a bundle of one op lacks.
import {
  kindKey,
  type TunedAdapter,
  type TuningEntry,
  type TuningProgress,
  type TuningTable,
} from './backends/tuning.ts';
import { describe } from './core/check.ts';
import { FormatError, UnsupportedError } from './core/errors.ts';
import type { Device } from './tensor/device.ts';

const VERSION = 1;
const FORMS = ['tiled', 'registers', 'subgroups'];
const OPERAND = /^float(32|16) (plain|transposed|strided|windowed)$/;
const NAMES = ['vendor', 'architecture', 'device', 'description'] as const;

type Fields = Readonly<Record<string, unknown>>;

/** Refuses what is no table of this version. */
function checkTable(table: unknown): asserts table is TuningTable {
  const refuse = (what: string): never => {
    throw new FormatError(`tuning: ${what}; pass what autotune() gave, unchanged or through JSON`);
  };
  const fields = (value: unknown, what: string): Fields =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : refuse(`${what} is ${describe(value)} instead of an object`);
  const whole = (value: unknown, what: string, most: number, step = 1): void => {
    if (
      !Number.isInteger(value) ||
      (value as number) < step ||
      (value as number) > most ||
      (value as number) % step !== 0
    )
      refuse(
        `${what} is ${describe(value)} instead of a whole number from ${step} to ${most}${step > 1 ? `, a multiple of ${step}` : ''}`,
      );
  };
  const { version, adapter, entries } = fields(table, 'the table');
  if (version !== VERSION)
    throw new FormatError(
      `tuning: the table is of version ${describe(version)}, but this release of tensorloom reads version ${VERSION}; make a new one with autotune()`,
    );
  const names = fields(adapter, 'its adapter');
  for (const name of NAMES) if (typeof names[name] !== 'string') refuse(`its adapter has no ${name}`);
  if (!Array.isArray(entries)) return refuse(`its entries are ${describe(entries)} instead of an array`);
  for (const [i, value] of (entries as unknown[]).entries()) {
    const at = `entries[${i}]`;
    const entry = fields(value, at);
    for (const operand of ['a', 'b'])
      if (typeof entry[operand] !== 'string' || !OPERAND.test(entry[operand]))
        refuse(`${at}.${operand} is ${describe(entry[operand])}, which names no dtype and layout`);
    for (const size of ['batch', 'm', 'n', 'k']) whole(entry[size], `${at}.${size}`, 2 ** 40);
    if (!(typeof entry.speedup === 'number' && entry.speedup > 0))
      refuse(`${at}.speedup is ${describe(entry.speedup)}`);
    const variant = fields(entry.variant, `${at}.variant`);
    if (variant.form === 'reduction') continue;
    if (!FORMS.includes(variant.form as string))
      refuse(`${at}.variant.form is ${describe(variant.form)}, which is unknown`);
    whole(variant.rows, `${at}.variant.rows`, 64);
    whole(variant.columns, `${at}.variant.columns`, 64, 4);
    whole(variant.depth, `${at}.variant.depth`, 64);
    if (variant.parts !== undefined) whole(variant.parts, `${at}.variant.parts`, 4096);
    const { threads } = variant;
    if (!Array.isArray(threads) || threads.length !== 2) return refuse(`${at}.variant.threads is ${describe(threads)}`);
    for (const n of threads as unknown[]) whole(n, `${at}.variant.threads`, 1024);
  }
}

const sameAdapter = (a: TunedAdapter, b: TunedAdapter): boolean => NAMES.every((name) => a[name] === b[name]);
const adapterName = ({ vendor, architecture, device, description }: TunedAdapter): string =>
  [vendor, architecture, description || device].filter(Boolean).join(' ') || 'an unnamed adapter';

/** Checks tables. What it gives has a device take the one for its adapter. */
export function checkedTables(given: unknown): (device: Device) => Promise<void> {
  const tables: unknown[] = Array.isArray(given) ? given : [given];
  const checked = tables.map((table) => {
    checkTable(table);
    return structuredClone(table);
  });
  return async (device) => {
    const tuner = await device.backend.tuner?.();
    if (!tuner || checked.length === 0) return;
    const table = checked.find(({ adapter }) => sameAdapter(adapter, tuner.adapter));
    if (!table) {
      const known = checked.map(({ adapter }) => adapterName(adapter)).join(', ');
      console.warn(
        `tensorloom: the tuning table is for ${known}, not for ${adapterName(tuner.adapter)}, and is not used; make one here with autotune()`,
      );
      return;
    }
    tuner.use(table.entries);
    device.tuned = table;
  };
}

const tuned = new WeakSet<Device>();

/** Runs a function, measures its products, and has the device take what is fastest. */
export async function tune(
  fn: () => unknown,
  device: Device,
  onProgress: ((progress: TuningProgress) => void) | undefined,
): Promise<TuningTable> {
  if (typeof fn !== 'function')
    throw new UnsupportedError(`autotune: expected a function that runs what is to be tuned, got ${describe(fn)}`);
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw new UnsupportedError(`autotune: onProgress is ${describe(onProgress)}, but it must be a function`);
  if (tuned.has(device))
    throw new UnsupportedError('autotune: the device is being tuned already; await the other call first');
  tuned.add(device);
  try {
    const tuner = await device.backend.tuner?.();
    await device.sync();
    tuner?.watch();
    try {
      await fn();
      await device.sync();
    } finally {
      tuner?.unwatch();
    }
    const adapter = tuner?.adapter ?? {
      vendor: '',
      architecture: '',
      device: device.name,
      description: device.description,
    };
    const entries = new Map<string, TuningEntry>(device.tuned?.entries.map((entry) => [kindKey(entry), entry]));
    for (const [kind, entry] of (await tuner?.measure((progress) => onProgress?.(progress))) ?? []) {
      if (entry) entries.set(kind, entry);
      else entries.delete(kind);
    }
    const table: TuningTable = { version: VERSION, adapter, entries: [...entries.values()] };
    tuner?.use(table.entries);
    device.engine.forgetPlans();
    device.tuned = table;
    return table;
  } finally {
    tuned.delete(device);
  }
}
