import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Numbers } from '../../src/backends/backend.ts';
import { createCpuBackend } from '../../src/backends/cpu/cpu.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { devices, gpu } from '../setup/devices.ts';
import { type BoundaryCase, boundaryCases } from './boundaries.ts';
import { difference, run } from './kernels.ts';

const OPEN: Readonly<Record<string, () => Backend | Promise<Backend>>> = {
  reference: () => new ReferenceBackend(),
  cpu: () => createCpuBackend(),
  webgpu: async () => createWebGPUBackend({ gpu: await gpu() }),
  'webgpu as on hardware': async () => createWebGPUBackend({ gpu: await gpu(), variants: 'hardware' }),
};

const exact = new ReferenceBackend('float64');
const wanted = new Map<BoundaryCase, ReturnType<typeof run>>();
const want = (c: BoundaryCase): ReturnType<typeof run> => {
  const known = wanted.get(c) ?? run(exact, [c.kernel], c.buffers, c.scalars);
  wanted.set(c, known);
  return known;
};

/** Elements that nothing determines are taken out. */
const only = (x: Numbers, unique: (i: number) => boolean): Numbers => x.map((v, i) => (unique(i) ? v : 0));

test('cases have names of their own, of every kind', () => {
  expect(new Set(boundaryCases.map((c) => c.name)).size).toBe(boundaryCases.length);
  const kinds = new Set(boundaryCases.map((c) => c.kernel.kind));
  expect([...kinds].sort()).toEqual(['dense', 'scan', 'scatter', 'sort']);
});

for (const device of Object.keys(OPEN).filter((name) => devices.some((d) => name.startsWith(d))))
  describe(`scans, sorts, scatters and factorisations on ${device}`, () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await OPEN[device]!();
    });
    afterAll(() => {
      expect(backend.memory().bytes).toBe(0);
      backend.destroy();
    });

    test.each(boundaryCases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
      const { bytes, buffers } = backend.memory();
      const got = await run(backend, [c.kernel], c.buffers, c.scalars);
      expect(backend.memory()).toMatchObject({ bytes, buffers });
      const exactly = await want(c);
      const last = c.buffers.length - 1;
      const { relative = 0, absolute = 0, unique = () => true } = c;
      for (let i = 0; i < last; i++)
        expect(
          difference(got.buffers[i]!, c.buffers[i]!, () => 0),
          `input ${i}`,
        ).toBeNull();
      const [output, expected] = [got.buffers[last]!, exactly.buffers[last]!];
      const tolerance = (n: number): number => absolute + relative * Math.abs(expected[n]!);
      expect(difference(only(output, unique), only(expected, unique), tolerance)).toBeNull();
      if (c.expected) expect([...output]).toEqual(c.expected);
      expect(c.check?.(output) ?? null).toBeNull();
      expect(got.status).toBe(exactly.status);
      if (c.status !== undefined) expect(got.status).toBe(c.status);
    });

    test('one program over buffers of several sizes of scratch, in one batch', async () => {
      const picked = ['scan: a linear recurrence over [257]', 'sort: 257 random keys', 'scatter: what was hit'];
      for (const name of picked) {
        const c = boundaryCases.find((x) => x.name === name)!;
        const twice = await run(backend, [c.kernel, c.kernel], c.buffers, c.scalars);
        const once = await run(backend, [c.kernel], c.buffers, c.scalars);
        expect(difference(twice.buffers.at(-1)!, once.buffers.at(-1)!, () => 0)).toBeNull();
      }
    });
  });
