import { afterAll, describe, expect, test } from 'vitest';
import type { Backend, Buffer, Numbers } from '../../src/backends/backend.ts';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import type { Variant } from '../../src/backends/tuning.ts';
import { type Bounds, variantKey, variants } from '../../src/backends/webgpu/variants.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import type { DType } from '../../src/core/dtype.ts';
import { contiguousStrides } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import type { MatmulKernel } from '../../src/ir/kernel.ts';
import { exhaustive, gpu, hasWebGPU } from '../setup/devices.ts';
import { blank, contraction, difference, matmul, wholes } from './kernels.ts';

// Variants of products that are awkward in one way or another, against the reference: every one where TENSORLOOM_EXHAUSTIVE is set, and
// else a few of each family, as a software adapter takes a third of a second to compile one.

const f = (i: number): s.Expr => s.load(i, 'float32');
const sum = s.result(0, 'float32');

interface Case {
  readonly kernel: MatmulKernel;
  readonly buffers: readonly Numbers[];
  readonly scalars?: readonly number[];
  /** Forms that must be among the variants. */
  readonly forms: readonly Variant['form'][];
}

const [images, channels, height, width, outputs] = [2, 4, 9, 11, 9];
const weights = channels * 9;

const cases: Record<string, Case> = {
  'a batch of odd sizes, with a bias and a relu': {
    kernel: matmul([2, 37, 43], 20, {
      views: [{ strides: [0, 0, 1] }],
      targets: [s.max(s.add(sum, f(2)), s.uniform(0, 'float32'))],
      scalars: ['float32'],
    }),
    buffers: [wholes(2 * 37 * 20), wholes(2 * 20 * 43, -9, 9, 5), wholes(43, -9, 9, 6), blank([2, 37, 43])],
    scalars: [-3],
    forms: ['tiled', 'registers'],
  },
  'transposed operands of great depth, updating two buffers in place': {
    kernel: matmul([20, 36], 1024, {
      a: { strides: [1, 20] },
      b: { strides: [1, 1024] },
      views: [{}, { strides: [1, 20] }],
      targets: [
        { expr: s.add(s.mul(f(2), s.uniform(0, 'float32')), sum), binding: 2 },
        { expr: s.sub(f(3), s.add(s.mul(f(2), s.uniform(0, 'float32')), sum)), binding: 3, strides: [1, 20] },
      ],
      scalars: ['float32'],
    }),
    buffers: [wholes(20 * 1024, -2, 2), wholes(1024 * 36, -2, 2, 5), wholes(720, -9, 9, 6), wholes(720, -9, 9, 7)],
    scalars: [0.5],
    forms: ['tiled', 'registers', 'reduction'],
  },
  'kernels of windows of images': {
    kernel: contraction([images, outputs, height - 2, width - 2, channels, 3, 3], 1, 2, 3, {
      a: { strides: [0, weights, 0, 0, ...contiguousStrides([channels, 3, 3])] },
      b: { strides: [channels * height * width, 0, width, 1, height * width, width, 1] },
      views: [{ strides: [0, 1, 0, 0] }],
      targets: [s.max(s.add(sum, f(2)), 0)],
    }),
    buffers: [
      wholes(outputs * weights),
      wholes(images * channels * height * width, -8, 8, 5),
      wholes(outputs),
      blank(images * outputs * (height - 2) * (width - 2)),
    ],
    forms: ['tiled', 'registers'],
  },
  'a few rows': {
    kernel: matmul([3, 70], 260, { b: { strides: [1, 260] } }),
    buffers: [wholes(3 * 260), wholes(260 * 70, -9, 9, 5), blank([3, 70])],
    forms: ['tiled', 'registers', 'reduction'],
  },
  'coordinates in the epilogue': {
    kernel: matmul([20, 20], 1024, {
      targets: [s.select(s.lt(s.index(0), s.index(1)), s.constant(-1), sum), s.add(s.cast(sum, 'int32'), s.position)],
    }),
    buffers: [wholes(20 * 1024, -3, 3), wholes(1024 * 20, -3, 3, 5), blank([20, 20]), blank([20, 20], 'int32')],
    forms: ['tiled', 'registers'],
  },
  'operands of float16': {
    kernel: matmul([20, 24], 64, { a: { dtype: 'float16' }, b: { dtype: 'float16', strides: [1, 64] } }),
    buffers: [wholes(20 * 64), wholes(64 * 24, -9, 9, 5), blank([20, 24])],
    forms: ['tiled', 'registers'],
  },
};

/** One of every other family, another one for each seed. */
function some(all: readonly Variant[], seed: number): Variant[] {
  const families = new Map<string, Variant[]>();
  for (const variant of all) {
    const family = 'parts' in variant && variant.parts ? 'parts' : variant.form;
    families.set(family, [...(families.get(family) ?? []), variant]);
  }
  const lists = [...families.values()].filter((_, i) => (i + seed) % 2 === 0);
  return lists.map((list) => list[(3 * seed) % list.length]!);
}

const dtypesOf = (kernel: MatmulKernel): DType[] =>
  Array.from(
    { length: kernel.bindings },
    (_, binding) => [...kernel.inputs, ...kernel.outputs].find((x) => x.binding === binding)!.dtype,
  );

/** What the buffers hold when a kernel has run, for each variant in turn. */
async function outcomes(
  backend: Backend,
  { kernel, buffers, scalars = [] }: Case,
  turns: readonly (() => void)[],
): Promise<Numbers[][]> {
  const dtypes = dtypesOf(kernel);
  const runs = turns.map((turn) => {
    turn();
    const made = buffers.map((data, i) => backend.allocate(4 * data.length + 4 * Number(dtypes[i] === 'float16')));
    const uploads = made.map((buffer, i) => ({ buffer, data: buffers[i]!, halves: dtypes[i] === 'float16' }));
    const program = backend.prepare(kernel);
    return { made, uploads, launch: { program, buffers: made, scalars, label: 'test' } };
  });
  // All are compiled at once.
  const reads = runs.map(({ made, uploads, launch }) => {
    backend.submit({ uploads, launches: [launch] })?.catch(() => {});
    const read = (buffer: Buffer, i: number): Promise<Numbers> =>
      backend.read(buffer, dtypes[i]!, 0, buffers[i]!.length).then(({ data }) => data);
    const all = Promise.all(made.map(read));
    for (const buffer of made) backend.release(buffer);
    return all;
  });
  return Promise.all(reads);
}

describe.skipIf(!hasWebGPU).each(['software', 'hardware'] as const)('variants of products, as for %s', async (kind) => {
  const reference = new ReferenceBackend();
  const backend: WebGPUBackend | null = hasWebGPU
    ? await createWebGPUBackend({ gpu: await gpu(), variants: kind })
    : null;
  afterAll(() => backend?.destroy());

  test.each(Object.entries(cases))('%s', async (name, example) => {
    const { kernel } = example;
    if (!backend!.halves && dtypesOf(kernel).includes('float16')) return;
    // biome-ignore lint/complexity/useLiteralKeys: they are private
    const [programs, device] = [backend!['programs'], backend!['device']];
    const bounds: Bounds = { ...programs.kind, limits: device.limits };
    const found = variants(programs.fold(kernel), bounds);
    expect(found.map(({ form }) => form)).toEqual(expect.arrayContaining([...example.forms]));
    const all = exhaustive ? found : some(found, Object.keys(cases).indexOf(name) + (kind === 'hardware' ? 1 : 0));
    const [want] = await outcomes(reference, example, [() => {}]);
    const turns = all.map((variant) => () => {
      programs.measured = () => variant;
    });
    const got = await outcomes(backend!, example, turns);
    for (const [i, variant] of all.entries())
      for (const [b, data] of got[i]!.entries())
        expect(
          difference(data, want![b]!, () => 0),
          `${variantKey(variant)}, buffer ${b}`,
        ).toBeNull();
  });
});
