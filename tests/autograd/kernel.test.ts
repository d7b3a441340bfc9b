import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

/** x of [m, n] and v of [n] give, at (j, i), x[i, j] + v[j]: a transposed output. */
const shifted = tl.customKernel({
  name: 'shifted',
  output: (x) => ({ shape: [x!.shape[1]!, x!.shape[0]!] }),
  wgsl: `
    fn source(i: u32) -> vec2u { return vec2u(i % output_shape(1), i / output_shape(1)); }
    fn element(i: u32) -> f32 {
      let at = source(i);
      return input0(at.x * shape0(1) + at.y) + input1(at.y);
    }`,
  cpu([x, v], out) {
    const [n, m] = out.shape as [number, number];
    for (let j = 0; j < n; j++) for (let i = 0; i < m; i++) out.data[j * m + i] = x!.data[i * n + j]! + v!.data[j]!;
  },
  gradient: (g) => [g.t(), g.sum({ dim: 1 })],
});

/** Which elements are equal to their place, from integers and bools. */
const placed = tl.customKernel({
  name: 'placed',
  output: (k) => ({ shape: k!.shape, dtype: 'bool' }),
  wgsl: 'fn element(i: u32) -> bool { return input1(i) && input0(i) == i32(i); }',
  cpu([k, on], out) {
    for (let i = 0; i < out.data.length; i++) out.data[i] = on!.data[i] && k!.data[i] === i ? 1 : 0;
  },
});

describe.each(devices)('customKernel on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('computes from contiguous and strided inputs, between ops that would fuse, with changing sizes', () =>
    clean(device, async () => {
      for (const m of [2, 3]) {
        const [a, b] = tl.tidy(() => {
          const x = tl.arange(0, 3 * m).reshape([m, 3]);
          const v = tl.tensor([10, 20, 30, 40]).slice(0, 1);
          const strided = tl
            .arange(0, 3 * m)
            .reshape([3, m])
            .t();
          return [shifted(x.mul(2), v).add(1), shifted(strided, v)];
        });
        const want = (f: (i: number, j: number) => number): number[][] =>
          [0, 1, 2].map((j) => Array.from({ length: m }, (_, i) => f(i, j) + 10 * (j + 2)));
        expect(await a!.toArray()).toEqual(want((i, j) => 2 * (3 * i + j) + 1));
        expect(await b!.toArray()).toEqual(want((i, j) => m * j + i));
        for (const t of [a!, b!]) t.dispose();
      }
    }));

  it('takes and gives integers and bools, scalars and nothing', () =>
    clean(device, async () => {
      const [y, none] = tl.tidy(() => {
        const k = tl.tensor([0, 5, 2, 3], { dtype: 'int32' });
        const on = tl.tensor([true, true, true, false]);
        return [placed(k, on), placed(k.slice(0, 0, 0), on)];
      });
      expect(await y!.toArray()).toEqual([true, false, true, false]);
      expect(none!.shape).toEqual([0]);
      for (const t of [y!, none!]) t.dispose();
    }));

  it('is differentiated by its rule, of every order', () =>
    clean(device, async () => {
      const x = tl.tensor([
        [1, 2],
        [3, 4],
      ]);
      const v = tl.tensor([1, -1]);
      expect(await tl.gradcheck((a, b) => shifted(a!, b!).square(), [x, v])).toBe(true);
      expect(await tl.gradgradcheck((a, b) => shifted(a!, b!).square(), [x, v])).toBe(true);
      x.requiresGrad = true;
      expect(tl.tidy(() => placed(x.to('int32'), x.gt(0)).requiresGrad)).toBe(false);
      for (const t of [x, v]) t.dispose();
    }));

  it('refuses what is wrong, and names itself', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const make = (given: object): ((...x: Tensor[]) => Tensor) => {
        const options: tl.CustomKernelOptions = {
          name: 'mine',
          output: (a) => ({ shape: a!.shape }),
          wgsl: 'fn element(i: u32) -> f32 { return input0(i); }',
          cpu: ([a], out) => out.data.set(a!.data),
          ...given,
        };
        return tl.customKernel(options);
      };
      expect(() => tl.customKernel({ name: 'mine' } as never)).toThrow(
        /customKernel: give it a name, the functions output and cpu, and wgsl/,
      );
      expect(() => make({ glsl: '' })).toThrow(/customKernel: there is no option glsl/);
      expect(() => make({})()).toThrow(/mine: at least one input must be a tensor/);
      expect(() => make({ output: () => ({ shape: [-1] }) })(x)).toThrow(/mine: \[-1\] is no shape/);
      expect(() => make({ output: () => ({ shape: [1], dtype: 'f64' }) })(x)).toThrow(
        /mine: output gives the dtype string f64/,
      );
      expect(() => make({})(...Array.from({ length: 80 }, () => x))).toThrow(
        /mine: 80 inputs and the output are more than the \d+ buffers/,
      );
      const w = tl.tensor([1, 2], { requiresGrad: true });
      expect(() =>
        tl.tidy(() =>
          make({ gradient: (g: Tensor) => [g, g] })(w)
            .sum()
            .backward(),
        ),
      ).toThrow(/mine: backward returned 2 gradients for 1 arguments/);
      for (const t of [x, w]) t.dispose();
    }));

  it('reports a kernel that fails, and goes on', () =>
    clean(device, async () => {
      const broken = tl.customKernel({
        name: 'broken',
        output: (a) => ({ shape: a!.shape }),
        wgsl: 'fn element(i: u32) -> f32 { return nonsense; }',
        cpu: () => {
          throw new Error('broken on the host');
        },
      });
      const x = tl.tensor([1, 2]);
      await expect(
        (async () => {
          using y = broken(x);
          return await y.data();
        })(),
      ).rejects.toThrow(/broken|nonsense/);
      expect(await x.toArray()).toEqual([1, 2]);
      x.dispose();
    }));
});
