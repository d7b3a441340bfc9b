import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Tuner } from '../../src/backends/tuning.ts';
import type { WebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { devices, hasWebGPU } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

const kind = { a: 'float32 plain', b: 'float32 plain', batch: 1, m: 4, n: 4, k: 8 } as const;
const tile = { form: 'tiled', rows: 4, columns: 4, threads: [8, 8], depth: 32 } as const;
const adapter = { vendor: 'none', architecture: 'such', device: '', description: 'An adapter' };
const table: tl.TuningTable = { version: 1, adapter, entries: [{ ...kind, variant: tile, speedup: 2 }] };

const tunerOf = (device: tl.Device): Promise<Tuner> => device.backend.tuner!();
/** A table for the adapter of a device. */
const tableFor = async (device: tl.Device, entries = table.entries): Promise<tl.TuningTable> => ({
  ...table,
  adapter: (await tunerOf(device)).adapter,
  entries,
});

const others = devices.filter((name) => name !== 'webgpu');
describe.skipIf(others.length === 0).each(others)('autotune on %s', (name) => {
  it('runs the function, and finds nothing', async () => {
    const device = await open(name, { tuning: table });
    expect(device.tuning).toBeNull();
    const fn = vi.fn();
    const found = await tl.autotune(fn);
    expect(fn).toHaveBeenCalledTimes(1);
    expect(found).toEqual({
      version: 1,
      adapter: { vendor: '', architecture: '', device: name, description: device.description },
      entries: [],
    });
    device.destroy();
  });
});

describe.skipIf(!hasWebGPU)('autotune on webgpu', () => {
  let device: tl.Device;
  const start = async (options: Parameters<typeof open>[1] = {}): Promise<tl.Device> => {
    device = await open('webgpu', options);
    return device;
  };
  afterEach(() => {
    vi.restoreAllMocks();
    device.destroy();
  });

  /** The sum of a product of 3 x 4 elements. */
  const product = async (): Promise<number> => {
    const y = tl.tidy(() => {
      const x = tl.arange(24).reshape([3, 8]);
      return x.matmul(tl.arange(32).reshape([8, 4])).sum();
    });
    const total = await y.item();
    y.dispose();
    return Number(total);
  };
  const TOTAL = 19128;

  it.each([
    ["by the device's clock", {}],
    ["by the host's clock", { limits: 'default' }],
  ] as const)('times what ran %s, and gives back its memory', async (_, options) => {
    await start(options);
    await clean(device, async () => {
      const seen: tl.TuningProgress[] = [];
      const fn = vi.fn(product);
      const found = await tl.autotune(fn, { onProgress: (progress) => seen.push(progress) });
      expect(fn).toHaveBeenCalledTimes(1);
      expect(found).toEqual(await tableFor(device, found.entries));
      expect(JSON.parse(JSON.stringify(found))).toEqual(found);
      expect(device.tuning).toBe(found);
      expect(seen).toHaveLength(1);
      expect(seen[0]).toMatchObject({ ...kind, done: 1, total: 1, failed: 0 });
      expect(seen[0]!.variants).toBeGreaterThan(3);
      const better = seen[0]!.speedup > 1;
      expect(found.entries).toEqual(better ? [{ ...kind, variant: seen[0]!.best, speedup: seen[0]!.speedup }] : []);
      if (better) expect(seen[0]!.speedup).toBeGreaterThanOrEqual(1 / 0.95);
      else expect(seen[0]!.best).toEqual(seen[0]!.usual);
      expect(await product()).toBe(TOTAL);
    });
  });

  it('has plans that ran before take the winners, and keeps what other calls found', async () => {
    await start();
    const tuner = await tunerOf(device);
    const [entry] = table.entries;
    const other = { ...entry!, m: 64 };
    const measure = vi.spyOn(tuner, 'measure').mockResolvedValueOnce(new Map([['other', other]]));
    await tl.autotune(product);
    expect(device.tuning!.entries).toEqual([other]);
    const { counters } = device.backend as WebGPUBackend;
    const { pipelines } = counters;
    expect(await product()).toBe(TOTAL);
    expect(counters.pipelines).toBe(pipelines);

    const key = 'float32 plain, float32 plain, 1x4x4 k=8';
    measure.mockResolvedValueOnce(new Map([[key, entry]]));
    await tl.autotune(product);
    expect(device.tuning!.entries).toEqual([other, entry]);
    expect(await product()).toBe(TOTAL);
    expect(counters.pipelines).toBe(pipelines + 1);

    // What is measured anew replaces what was found before.
    measure.mockResolvedValueOnce(new Map([[key, undefined]]));
    await tl.autotune(product);
    expect(device.tuning!.entries).toEqual([other]);
  });

  it('leaves out what does not compile', async () => {
    await start();
    // biome-ignore lint/complexity/useLiteralKeys: it is private
    const gpuDevice = (device.backend as WebGPUBackend)['device'];
    const compile = gpuDevice.createComputePipelineAsync.bind(gpuDevice);
    let calls = 0;
    vi.spyOn(gpuDevice, 'createComputePipelineAsync').mockImplementation((descriptor) =>
      'SIDE' in (descriptor.compute.constants ?? {}) && calls++ === 0
        ? Promise.reject(new Error('no such shader'))
        : compile(descriptor),
    );
    const seen: tl.TuningProgress[] = [];
    await tl.autotune(product, { onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ failed }) => failed)).toEqual([1]);
    expect(await product()).toBe(TOTAL);
  });

  it('changes nothing when something throws', async () => {
    await start({ tuning: await tableFor(await start()) });
    const before = [held(device), device.tuning] as const;
    const failing = (): never => {
      throw new RangeError('mine');
    };
    await expect(tl.autotune(failing)).rejects.toThrow(RangeError);
    await expect(tl.autotune(product, { onProgress: failing })).rejects.toThrow(RangeError);
    expect([held(device), device.tuning]).toEqual(before);
    const first = tl.autotune(() => {});
    await expect(tl.autotune(() => {})).rejects.toThrow(/^autotune: the device is being tuned already/);
    expect((await first).entries).toEqual(table.entries);
  });

  it('takes a table for its adapter from the start', async () => {
    const known = await tableFor(await start());
    device.destroy();
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    await start({ tuning: [table, JSON.parse(JSON.stringify(known))] });
    expect(device.tuning).toEqual(known);
    expect(await product()).toBe(TOTAL);
    expect(warn).not.toHaveBeenCalled();
    device.destroy();

    await start({ tuning: table });
    expect(device.tuning).toBeNull();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]![0]).toMatch(/^tensorloom: the tuning table is for none such An adapter, not for /);
  });

  it.each<tl.Variant>([
    { ...tile, form: 'subgroups', threads: [8, 1], depth: 3 },
    { ...tile, form: 'subgroups', threads: [7, 1], depth: 1 },
    { ...tile, rows: 64, columns: 64, depth: 64 },
    { ...tile, threads: [8, 4] },
    { ...tile, threads: [1024, 1024] },
    { ...tile, form: 'registers' },
    { ...tile, parts: 7 },
  ])('takes the usual variant where that of the table does not fit: %j', async (variant) => {
    const entries = [{ ...kind, variant, speedup: 2 }];
    await start({ tuning: await tableFor(await start(), entries) });
    const { pipelines } = (device.backend as WebGPUBackend).counters;
    expect(await product()).toBe(TOTAL);
    expect((device.backend as WebGPUBackend).counters.pipelines).toBeGreaterThan(pipelines);
  });
});

describe('a tuning table', () => {
  const [entry] = table.entries;
  const withVariant = (variant: object): unknown => ({ ...table, entries: [{ ...entry, variant }] });
  it.each([
    [3, /^tuning: the table is number 3/],
    [
      { ...table, version: 2 },
      /^tuning: the table is of version number 2, but this release of tensorloom reads version 1/,
    ],
    [{ ...table, adapter: { vendor: 'x' } }, /its adapter has no architecture/],
    [{ ...table, entries: {} }, /its entries are/],
    [{ ...table, entries: [3] }, /entries\[0\] is number 3 instead of an object/],
    [{ ...table, entries: [{ ...entry, a: 'int8 plain' }] }, /entries\[0\]\.a is/],
    [{ ...table, entries: [{ ...entry, m: 1.5 }] }, /entries\[0\]\.m is number 1\.5 instead of a whole number/],
    [{ ...table, entries: [{ ...entry, speedup: 'much' }] }, /entries\[0\]\.speedup is/],
    [withVariant({ ...tile, form: 'waves' }), /entries\[0\]\.variant\.form is string waves, which is unknown/],
    [withVariant({ ...tile, rows: 0 }), /variant\.rows is number 0/],
    [withVariant({ ...tile, columns: 6 }), /variant\.columns is number 6 .*a multiple of 4/],
    [withVariant({ ...tile, threads: 8 }), /variant\.threads is number 8/],
    [withVariant({ ...tile, threads: [8, 0] }), /variant\.threads is number 0/],
    [withVariant({ ...tile, parts: -1 }), /variant\.parts is number -1/],
  ])('is refused where it is malformed: %j', async (tuning, says) => {
    const opened = tl.device(devices[0]!, { tuning: tuning as tl.TuningTable });
    await expect(opened).rejects.toThrow(tl.FormatError);
    await expect(opened).rejects.toThrow(says);
  });
});

describe('autotune', () => {
  it.each([
    [
      'no function',
      () => tl.autotune(3 as never),
      tl.UnsupportedError,
      /^autotune: expected a function .* got number 3/,
    ],
    [
      'no device',
      () => tl.autotune(() => {}, { device: 'cpu' as never }),
      tl.DeviceError,
      /^autotune: string cpu is no device/,
    ],
    [
      'no callback',
      () => tl.autotune(() => {}, { onProgress: 3 as never }),
      tl.UnsupportedError,
      /^autotune: onProgress is number 3/,
    ],
    [
      'an unknown option',
      () => tl.autotune(() => {}, { rounds: 3 } as never),
      tl.UnsupportedError,
      /^autotune: .*rounds/,
    ],
  ])('refuses %s', async (_, run, error, says) => {
    const device = await open(devices[0]!);
    const failing = run();
    await expect(failing).rejects.toThrow(error);
    await expect(failing).rejects.toThrow(says);
    device.destroy();
  });
});
