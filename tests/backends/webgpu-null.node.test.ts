import { describe, expect, test } from 'vitest';
import { create } from 'webgpu';
import { createWebGPUBackend } from '../../src/backends/webgpu/webgpu.ts';
import { contiguousStrides } from '../../src/core/shape.ts';
import * as s from '../../src/ir/expr.ts';
import type { Input, Kernel, Output } from '../../src/ir/kernel.ts';
import { matmul } from './kernels.ts';

// Dawn's null device checks shaders and runs nothing, so this needs no adapter.
const gpu = create(['backend=null']);

const x = s.load(0, 'float32');
const y = s.load(1, 'float32');
const i = s.load(2, 'int32');
const u = s.load(3, 'uint32');
const b = s.load(4, 'bool');

const floats: Record<string, s.Expr> = {
  exp: s.exp(x),
  expm1: s.expm1(x),
  logarithms: s.add(s.log(x), s.add(s.log1p(x), s.log2(x))),
  trigonometry: s.add(s.sin(x), s.add(s.cos(x), s.tan(x))),
  'inverse trigonometry': s.add(s.asin(x), s.add(s.acos(x), s.atan(x))),
  hyperbolic: s.add(s.sinh(x), s.add(s.cosh(x), s.tanh(x))),
  erf: s.erf(x),
  gated: s.gated(x, y),
  pow: s.pow(x, y),
  fmod: s.fmod(x, y),
  atan2: s.atan2(x, y),
  isnan: s.isnan(x),
  'max and min': s.max(s.min(x, y), Number.NaN),
  infinities: s.add(s.select(s.lt(x, -Infinity), x, -0), Infinity),
  literals: s.add(s.mul(s.constant(1e38), s.constant(1e10)), s.div(s.constant(-1e-40), s.constant(0))),
  comparisons: s.and(s.or(s.eq(x, y), s.ne(x, y)), s.xor(s.le(x, y), s.not(s.ge(x, 0.5)))),
  rounding: s.sqrt(s.abs(s.round(s.trunc(s.ceil(s.floor(s.neg(x))))))),
};
const others: Record<string, s.Expr> = {
  'int arithmetic': s.max(s.div(s.sub(s.mul(i, i), -(2 ** 31)), i), s.abs(s.neg(i))),
  'int bits': s.shr(s.shl(s.xor(s.and(i, 255), s.or(s.not(i), 3)), 4), i),
  'int literals': s.add(
    s.div(s.constant(2 ** 31 - 1, 'int32'), s.constant(0, 'int32')),
    s.constant(-(2 ** 31), 'int32'),
  ),
  'uint arithmetic': s.min(s.div(s.add(s.neg(u), 2 ** 32 - 1), u), s.shr(u, 3)),
  'bool arithmetic': s.add(s.mul(b, s.not(b)), s.sub(b, s.max(b, s.div(s.min(b, 1), b)))),
  'bool comparisons': s.and(s.or(s.lt(b, s.eq(b, 0)), s.le(b, b)), s.xor(b, s.ne(b, 1))),
  'float casts': s.cast(s.cast(s.cast(s.cast(x, 'int32'), 'uint32'), 'bool'), 'float32'),
  'int casts': s.add(s.cast(s.cast(i, 'float32'), 'uint32'), s.cast(s.cast(u, 'bool'), 'uint32')),
  bitcasts: s.bitcast(s.add(s.bitcast(x, 'int32'), s.bitcast(u, 'int32')), 'float32'),
  coordinates: s.add(s.add(s.index(0), s.index(1)), s.position),
  scalars: s.select(
    s.uniform(3, 'bool'),
    s.add(s.uniform(0, 'float32'), s.cast(s.uniform(1, 'int32'), 'float32')),
    s.cast(s.uniform(2, 'uint32'), 'float32'),
  ),
  'indirect loads': s.loadAt(5, 'float32', [i, s.index(1)]),
  'several indirect loads': s.select(s.loadAt(6, 'bool', []), s.loadAt(5, 'float32', [s.index(0), i]), 0),
};

const space = [6, 10];
const dtypes = ['float32', 'float32', 'int32', 'uint32', 'bool', 'float32', 'bool'] as const;
const inputs = (strides: readonly number[]): Input[] =>
  dtypes.map((dtype, n) => {
    if (n === 5)
      return { dtype, binding: 0, access: { mode: 'indirect', shape: [6, 10], strides: [10, 1], offset: 0, check: 1 } };
    if (n === 6)
      return { dtype, binding: 2, access: { mode: 'indirect', shape: [], strides: [], offset: 0, check: null } };
    return {
      dtype,
      binding: [0, 0, 1, 2, 2][n]!,
      access: { mode: 'direct', strides: n === 1 ? [0, 1] : strides, offset: 0 },
    };
  });
const output = (expr: s.Expr, level: Output['level'], over: readonly number[]): Output => ({
  dtype: expr.dtype,
  expr,
  level,
  strides: contiguousStrides(over),
  offset: 0,
  binding: 3,
});
const scalars = ['float32', 'int32', 'uint32', 'bool'] as const;
const common = { scalars, bindings: 4 } as const;

const kernels: [string, Kernel][] = [];
for (const [name, expr] of Object.entries({ ...floats, ...others })) {
  for (const [layout, strides] of [
    ['contiguous', [10, 1]],
    ['strided', [1, 6]],
  ] as const)
    kernels.push([
      `map, ${layout}, ${name}`,
      {
        kind: 'map',
        space,
        inner: 0,
        inputs: inputs(strides),
        reductions: [],
        outputs: [output(expr, 'element', space)],
        ...common,
      },
    ]);
  for (const op of ['sum', 'prod', 'max', 'min'] as const)
    kernels.push([
      `reduce ${op}, ${name}`,
      {
        kind: 'reduce',
        space,
        inner: 1,
        inputs: inputs([10, 1]),
        reductions: [{ op, expr }],
        outputs: [output(s.result(0, expr.dtype), 'row', [6])],
        ...common,
      },
    ]);
  kernels.push([
    `rowwise, ${name}`,
    {
      kind: 'rowwise',
      space,
      inner: 2,
      inputs: inputs([1, 6]),
      reductions: [
        { op: 'sum', expr },
        { op: 'max', expr: s.select(s.eq(s.result(0, expr.dtype), expr), x, 0) },
      ],
      outputs: [
        { ...output(s.select(s.lt(x, s.result(1, 'float32')), expr, s.result(0, expr.dtype)), 'element', space) },
      ],
      ...common,
    },
  ]);
  const product = matmul(space, 6, {
    a: { strides: [1, 6] },
    b: { strides: [10, 1], binding: 0 },
    targets: [{ expr: s.select(s.lt(s.result(0, 'float32'), 0), expr, expr), binding: 3 }],
  });
  kernels.push([
    `matmul, ${name}`,
    { ...product, inputs: [...product.inputs, ...inputs([10, 1, 0]).slice(2)], ...common },
  ]);
}

describe.each(['software', 'hardware'] as const)('shaders chosen for %s adapters', (variants) => {
  test('are valid WGSL', async () => {
    const backend = await createWebGPUBackend({ gpu, limits: 'default', variants });
    const buffers = [0, 1, 2, 3].map(() => backend.allocate(240));
    const failures = await Promise.all(
      kernels.map(async ([label, kernel]) => {
        const launch = { program: backend.prepare(kernel), buffers, scalars: [1, 2, 3, 1], label };
        try {
          await backend.submit({ uploads: [], launches: [launch] });
          return '';
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      }),
    );
    expect(failures.filter(Boolean)).toEqual([]);
    backend.destroy();
  });
});
