import { describe, expect, test } from 'vitest';
import { devices } from '../setup/devices.ts';
import { difference } from './harness.ts';
import { openDevices } from './opened.ts';
import { differences, gap, gradients, LAYOUTS, probed, records, results, value } from './records.ts';

const { oracle, opened } = await openDevices();

const list = [...records].flatMap(([name, record]) => (record.asynchronous ? [] : [{ name, record }]));
const differentiable = list.filter(({ record }) => record.noGradient === undefined);

describe.each(differentiable)('$name', ({ record }) => {
  test('has the gradient that central differences give, and so has its gradient', async () => {
    let checked = 0;
    for (const [i, s] of record.calls.entries()) {
      // No differences where nothing depends on the inputs, or the result is infinite.
      const first = Number.isFinite(await value(s, oracle)) ? await gradients(s, oracle, 'contiguous', 1) : null;
      if (!first) continue;
      checked++;
      const some = (g: Float64Array): number[] => probed(g.length).map((k) => g[k]!);
      expect(gap(first.map(some), await differences(s, oracle, 1)), `call ${i}`).toBeLessThan(1e-6);
      const second = (await gradients(s, oracle, 'contiguous', 2))!;
      const want = await differences(s, oracle, 2);
      // It is empty where the first order does not depend on the inputs.
      const got = second.length > 0 ? second.map(some) : want.map((w) => w.map(() => 0));
      expect(gap(got, want), `call ${i}, second order`).toBeLessThan(1e-5);
    }
    expect(checked, 'calls with a gradient').toBeGreaterThan(0);
  });
});

describe.each(devices)('on %s', (name) => {
  describe.each(list)('$name', ({ record }) => {
    test('gives what the oracle gives, in every layout, fused and unfused', async () => {
      const device = opened.get(name)!;
      const wrong: string[] = [];
      for (const [i, s] of record.calls.entries())
        for (const layout of LAYOUTS)
          for (const fusion of [true, false]) {
            // Compiling takes most of the time there, and a call of its own is a kernel an op in any case.
            if (name === 'webgpu' && !fusion && (layout === 'strided' || i > 1)) continue;
            device.engine.fusion = fusion;
            try {
              const want = await results(s, oracle, layout);
              const got = await results(s, device, layout);
              if (got.length !== want.length) wrong.push(`call ${i}: ${got.length} results, want ${want.length}`);
              for (const [k, w] of want.entries()) {
                const text = difference(got[k]!, w, { rtol: 2e-5, atol: 1e-5 });
                if (text) wrong.push(`call ${i}, ${layout}, ${fusion ? 'fused' : 'unfused'}, output ${k}: ${text}`);
              }
            } finally {
              device.engine.fusion = true;
            }
          }
      expect(wrong).toEqual([]);
    });

    if (record.noGradient !== undefined) return;
    test('has the gradients that it has in float64, of first and second order, fused and unfused', async () => {
      const device = opened.get(name)!;
      const wrong: string[] = [];
      for (const [i, s] of record.calls.entries())
        for (const order of [1, 2] as const)
          for (const fusion of order === 1 ? [true, false] : [true]) {
            const layout = LAYOUTS[(i + order) % 2]!;
            const want = await gradients(s, oracle, layout, order);
            device.engine.fusion = fusion;
            const got = await gradients(s, device, layout, order).finally(() => {
              device.engine.fusion = true;
            });
            const worst = want && got ? gap(got, want) : want === got ? 0 : Infinity;
            if (!(worst < 2e-4))
              wrong.push(`call ${i}, order ${order}, ${layout}, ${fusion ? 'fused' : 'unfused'}: ${worst}`);
          }
      expect(wrong).toEqual([]);
    });
  });
});
