import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

describe.each(devices)('linear algebra on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it.each<[string, (a: tl.Tensor, b: tl.Tensor) => tl.Tensor]>([
    ['solve', (a, b) => tl.solve(a, b)],
    ['solveTriangular', (a, b) => tl.solveTriangular(a, b, { upper: true })],
    ['lstsq', (a, b) => tl.lstsq(a, b)],
    ['ridge', (a, b) => tl.ridge(a, b, 0)],
  ])('%s leaves nothing behind for a vector, outside of tidy too', (_, op) =>
    clean(device, async () => {
      using a = tl.tensor([
        [2, 0],
        [0, 4],
      ]);
      using b = tl.tensor([2, 2]);
      using x = op(a, b);
      const [first, second] = await x.data();
      expect(first).toBeCloseTo(1, 5);
      expect(second).toBeCloseTo(0.5, 5);
    }),
  );
});
