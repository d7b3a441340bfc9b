import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { Device } from '../../src/tensor/device.ts';
import { devices, gpu } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

describe.each(devices)('profile on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('times the kernels of a function, and gives its result', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2, 3, 4], { shape: [2, 2] });
      // What was called before is not a part of it.
      const before = x.exp();
      const report = await tl.profile(async () => {
        const y = x.matmul(x);
        const values = await y.toArray();
        y.dispose();
        const z = x.sin();
        return { values, z };
      });
      expect(report.result.values).toEqual([
        [7, 10],
        [15, 22],
      ]);
      expect(report.launches.map(({ kernel }) => kernel)).toEqual(['matmul', 'sin']);
      for (const { start, ms } of report.launches) {
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(start).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(10_000);
      }
      expect(report.launches[1]!.start).toBeGreaterThanOrEqual(report.launches[0]!.start);
      expect(report.kernels.map(({ kernel, launches }) => [kernel, launches]).sort()).toEqual([
        ['matmul', 1],
        ['sin', 1],
      ]);
      expect(report.kernels.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(report.deviceMs, 9);
      if (report.deviceMs > 0) expect(report.kernels.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
      expect(report.ms).toBeGreaterThan(0);
      for (const t of [x, before, report.result.z]) t.dispose();
    });
  });

  it('trains to the same numbers, one dispatch a pass or not', async () => {
    await clean(device, async () => {
      const train = async (profiled: boolean): Promise<number[]> => {
        tl.manualSeed(3);
        const layer = new tl.nn.Linear(4, 3);
        const adam = new tl.optim.Adam(layer.parameters(), { lr: 0.1 });
        const [x, y] = [tl.rand([8, 4]), tl.randint(0, 3, [8])];
        const losses: number[] = [];
        const run = async (): Promise<void> => {
          for (let i = 0; i < 4; i++) {
            const loss = adam.minimize(() => tl.nn.functional.crossEntropy(layer.forward(x), y));
            losses.push(await loss.item());
          }
        };
        if (profiled) {
          const { launches } = await tl.profile(run);
          expect(launches.length).toBeGreaterThan(4);
          // Kernels of gradients say of which op.
          const names = launches.map(({ kernel }) => kernel).join(' ');
          expect(names).toContain('matmul backward');
        } else await run();
        for (const t of [layer, adam, x, y]) t.dispose();
        return losses;
      };
      expect(await train(true)).toEqual(await train(false));
    });
  });

  it('shows a table, and a trace for a browser', async () => {
    // What nobody reads is not computed.
    expect((await tl.profile(() => tl.tidy(() => void tl.rand([4, 4]).exp()))).launches).toEqual([]);
    const twice = await tl.profile(async () => {
      for (let i = 0; i < 2; i++) {
        using sums = tl.tidy(() => tl.ones([3]).cumsum(0));
        await sums.data();
      }
    });
    const text = String(twice);
    expect(text).toMatch(/^kernel +launches +ms +share\n-/);
    expect(text).toMatch(/\n\S*cumsum\S* +2 +\d+\.\d{3} +\d+\.\d%\n/);
    expect(text).toMatch(/launches, \d+\.\d{3} ms on .*; \d+\.\d{3} ms in all$/);
    const { traceEvents } = JSON.parse(twice.toTrace()) as { traceEvents: Record<string, unknown>[] };
    const events = traceEvents.filter((event) => event.ph === 'X');
    expect(events.map((event) => event.name)).toEqual(twice.launches.map(({ kernel }) => kernel));
    for (const event of events) expect([typeof event.ts, typeof event.dur]).toEqual(['number', 'number']);
  });

  it('ends with the error of the function, and can begin again', async () => {
    await expect(
      tl.profile(() => {
        throw new Error('mine');
      }),
    ).rejects.toThrow('mine');
    let inner: Promise<unknown> | undefined;
    await tl.profile(async () => {
      inner = tl.profile(() => 1);
      await expect(inner).rejects.toThrow(/^profile: the device is profiled already/);
    });
    expect((await tl.profile(() => 1)).result).toBe(1);
  });

  it('refuses what is no function, device or option', async () => {
    await expect(tl.profile(3 as never)).rejects.toThrow(/^profile: expected a function .* got number 3/);
    await expect(tl.profile(() => 1, { device: 'cpu' as never })).rejects.toThrow(tl.DeviceError);
    await expect(tl.profile(() => 1, { devise: device } as never)).rejects.toThrow(
      /^profile: there is no option devise/,
    );
  });
});

describe.runIf(devices.includes('webgpu'))('profile on webgpu', () => {
  it('times more dispatches than a set of queries holds', async () => {
    const device = await open('webgpu', { fusion: false });
    const x = tl.zeros([4]);
    await x.data();
    const { result, launches } = await tl.profile(() =>
      tl.tidy(() => {
        let y = x;
        for (let i = 0; i < 2100; i++) y = y.add(i % 2);
        return y;
      }),
    );
    expect(Array.from(await result.data())).toEqual([1050, 1050, 1050, 1050]);
    expect(launches.length).toBeGreaterThanOrEqual(2100);
    result.dispose();
    x.dispose();
    device.destroy();
  });

  it('says where there is no clock', async () => {
    const backend = await createWebGPUBackend({ gpu: await gpu(), limits: 'default' });
    const device = new Device('webgpu', backend, 'a test');
    await expect(tl.profile(() => 1, { device })).rejects.toThrow(
      /^profile: .* lacks the WebGPU feature timestamp-query/,
    );
    device.destroy();
  });
});
