import { describe, expect, test } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { contiguousStrides } from '../../src/core/shape.ts';
import {
  add,
  cast,
  type Expr,
  exp,
  exprKey,
  fmod,
  gt,
  index,
  load,
  loadAt,
  mul,
  neg,
  result,
  rewrite,
  select,
  showExpr,
  sub,
  uniform,
  walk,
} from '../../src/ir/expr.ts';
import { expandFunctions } from '../../src/ir/functions.ts';
import { type Input, type Kernel, kernelKey, type LoopKernel, strideClass } from '../../src/ir/kernel.ts';
import { matmul as product } from '../backends/kernels.ts';

const x = load(0, 'float32');
const y = load(1, 'float32');

describe('expressions', () => {
  test('a number takes the dtype of its neighbour', () => {
    expect(add(index(0), 1).args[1]).toMatchObject({ op: 'const', dtype: 'int32', value: 1 });
    expect(sub(2, x).args[0]).toMatchObject({ op: 'const', dtype: 'float32', value: 2 });
    expect(select(gt(x, 0), 1, y).args[1]).toMatchObject({ op: 'const', dtype: 'float32' });
  });

  test('functions are of float32 alone', () => {
    expect(exp(x).dtype).toBe('float32');
    expect(() => exp(index(0))).toThrow('exp of int32: there is only exp of float32; cast it first');
    expect(() => fmod(index(0), 3)).toThrow(TypeError);
  });

  test('comparisons give bools, and greater is less with its sides exchanged', () => {
    expect(gt(x, y)).toMatchObject({ op: 'lt', dtype: 'bool', args: [y, x] });
  });

  test('a cast to its own dtype is no operation', () => {
    expect(cast(x, 'float32')).toBe(x);
    expect(cast(x, 'int32')).toMatchObject({ op: 'cast', dtype: 'int32' });
  });

  test('walk visits every node once, arguments first', () => {
    const shared = add(x, y);
    const root = mul(shared, neg(shared));
    const seen: Expr[] = [];
    walk([root, shared], (e) => seen.push(e));
    expect(seen).toEqual([x, y, shared, root.args[1], root]);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test('walk takes time linear in the nodes of a DAG', () => {
    let e: Expr = x;
    for (let i = 0; i < 60; i++) e = add(e, e);
    let count = 0;
    walk([e], () => count++);
    expect(count).toBe(61);
    expect(exprKey([e]).split(';')).toHaveLength(61);
  });

  test('rewrite replaces leaves everywhere, keeps shared parts shared and untouched parts themselves', () => {
    const shared = add(x, 1);
    const other = neg(y);
    const [root, kept] = rewrite([mul(shared, neg(shared)), other], (e) =>
      e === x ? uniform(3, 'float32') : undefined,
    );
    expect(showExpr(root!)).toBe('((u3 + 1) * neg((u3 + 1)))');
    expect(root!.args[1]!.args[0]).toBe(root!.args[0]);
    expect(kept).toBe(other);
  });

  test('showExpr prints operators, and cuts what is long', () => {
    expect(showExpr(select(gt(x, 0), x, loadAt(2, 'float32', [index(1), add(index(0), 1)])))).toBe(
      'select((0 < in0), in0, in2[i1, (i0 + 1)])',
    );
    let e: Expr = x;
    for (let i = 0; i < 100; i++) e = add(e, result(0, 'float32'));
    expect(showExpr(e).length).toBeLessThan(500);
    expect(showExpr(e)).toContain('…');
  });
});

describe('exprKey', () => {
  const tree = (): Expr => mul(add(load(0, 'float32'), 1), exp(add(load(0, 'float32'), 1)));
  const dag = (): Expr => {
    const shared = add(load(0, 'float32'), 1);
    return mul(shared, exp(shared));
  };

  test('is the same for a shared and for a duplicated part', () => {
    expect(exprKey([tree()])).toBe(exprKey([dag()]));
    expect(exprKey([tree(), tree()])).toBe(exprKey([dag(), dag()]));
  });

  test.each<[string, Expr, Expr]>([
    ['the order of operands', sub(x, y), sub(y, x)],
    ['a literal', add(x, 1), add(x, 2)],
    ['the sign of zero', add(x, 0), add(x, -0)],
    ['NaN against infinity', add(x, Number.NaN), add(x, Number.POSITIVE_INFINITY)],
    ['the dtype of a load', cast(load(0, 'int32'), 'float32'), cast(load(0, 'uint32'), 'float32')],
    ['the target of a cast', cast(cast(x, 'int32'), 'bool'), cast(cast(x, 'uint32'), 'bool')],
    ['the slot of a uniform', uniform(0, 'float32'), uniform(1, 'float32')],
    ['the operation', add(x, y), mul(x, y)],
    ['what is shared', add(add(x, y), add(x, y)), add(add(x, y), add(y, x))],
  ])('tells %s', (_, a, b) => {
    expect(exprKey([a])).not.toBe(exprKey([b]));
  });

  test('tells the order and the number of roots', () => {
    expect(exprKey([x, y])).not.toBe(exprKey([y, x]));
    expect(exprKey([x])).not.toBe(exprKey([x, x]));
  });
});

describe('expandFunctions', () => {
  test('leaves what is kept, and nothing else', () => {
    const ops = (roots: readonly Expr[]): Set<string> => {
      const found = new Set<string>();
      walk(roots, (e) => found.add(e.op));
      return found;
    };
    const roots = [exp(neg(exp(x))), add(exp(y), x)];
    expect(ops(expandFunctions(roots, new Set())).has('exp')).toBe(false);
    const kept = expandFunctions(roots, new Set(['exp'] as const));
    expect(kept[0]).toBe(roots[0]);
    expect(kept[1]).toBe(roots[1]);
  });
});

const loop = (space: Shape, strides: readonly number[], more: Partial<LoopKernel> = {}): LoopKernel => ({
  kind: 'map',
  space,
  inner: 0,
  inputs: [{ dtype: 'float32', binding: 0, access: { mode: 'direct', strides, offset: 0 } }],
  reductions: [],
  outputs: [
    { dtype: 'float32', expr: neg(x), level: 'element', strides: contiguousStrides(space), offset: 0, binding: 1 },
  ],
  scalars: [],
  bindings: 2,
  ...more,
});

describe('strideClass', () => {
  test.each<[Shape, number[], string]>([
    [[4, 5], [5, 1], 'contiguous'],
    [[4, 5], [0, 0], 'scalar'],
    [[4, 5], [0, 1], 'strided'],
    [[4, 5], [1, 4], 'strided'],
    [[1, 5], [99, 1], 'contiguous'],
    [[4, 1], [1, 77], 'contiguous'],
    [[1, 1], [3, 4], 'scalar'],
    [[], [], 'scalar'],
    [[5], [-1], 'strided'],
  ])('%j by %j is %s', (space, strides, expected) => {
    expect(strideClass(space, strides)).toBe(expected);
  });
});

describe('kernelKey', () => {
  const key = (space: Shape, strides: readonly number[], more?: Partial<LoopKernel>): string =>
    kernelKey(loop(space, strides, more));
  const base = key([4, 6], [6, 1]);
  const at = (offset: number): Partial<LoopKernel> => ({
    inputs: [{ dtype: 'float32', binding: 0, access: { mode: 'direct', strides: [6, 1], offset } }],
  });

  test('does not change with sizes, strides or offsets within a class', () => {
    expect(key([40, 60], [60, 1])).toBe(base);
    expect(key([4, 6], [6, 1], at(100))).toBe(base);
    expect(key([4, 6], [1, 4])).toBe(key([3, 7], [0, 2]));
  });

  test('changes with rank, stride class, dtype, bindings, scalars and formula', () => {
    const input: Input = { dtype: 'float32', binding: 0, access: { mode: 'direct', strides: [6, 1], offset: 0 } };
    const output = loop([4, 6], [6, 1]).outputs[0]!;
    const others = [
      key([24], [1]),
      key([4, 6], [1, 4]),
      key([4, 6], [0, 0]),
      key([4, 6], [6, 1], { inputs: [{ ...input, dtype: 'int32' }] }),
      key([4, 6], [6, 1], { inputs: [{ ...input, binding: 1 }] }),
      key([4, 6], [6, 1], { inputs: [input, input] }),
      key([4, 6], [6, 1], { scalars: ['float32'] }),
      key([4, 6], [6, 1], { outputs: [{ ...output, strides: [1, 4] }] }),
      key([4, 6], [6, 1], { outputs: [{ ...output, expr: add(x, 1) }] }),
      key([4, 6], [6, 1], { outputs: [output, output] }),
    ];
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
  });

  test('tells the rank and the check of an indirect input, not its sizes', () => {
    const indirect = (shape: Shape, check: number | null): string =>
      key([4, 6], [6, 1], {
        inputs: [
          {
            dtype: 'float32',
            binding: 0,
            access: { mode: 'indirect', shape, strides: contiguousStrides(shape), offset: 0, check },
          },
        ],
      });
    expect(indirect([10, 3], null)).toBe(indirect([7, 8], null));
    expect(indirect([10, 3], null)).not.toBe(indirect([30], null));
    expect(indirect([10, 3], null)).not.toBe(indirect([10, 3], 0));
    expect(indirect([10, 3], 1)).not.toBe(indirect([10, 3], 0));
  });

  test('tells the row and the reductions of a loop', () => {
    const row = (inner: number, op: 'sum' | 'max'): string =>
      key([4, 6], [6, 1], {
        kind: 'reduce',
        inner,
        reductions: [{ op, expr: x }],
        outputs: [
          {
            dtype: 'float32',
            expr: result(0, 'float32'),
            level: 'row',
            strides: inner === 1 ? [1] : [],
            offset: 0,
            binding: 1,
          },
        ],
      });
    expect(new Set([row(1, 'sum'), row(1, 'max'), row(2, 'sum')]).size).toBe(3);
  });

  test('a matmul does not change with its sizes, nor with the strides of its operands', () => {
    const matmul = (space: Shape, k: number, transposed: boolean, expr: Expr = result(0, 'float32')): Kernel => {
      const [m, n] = space as [number, number];
      return product(space, k, {
        a: { strides: transposed ? [1, m] : [k, 1] },
        b: { strides: transposed ? [1, k] : [n, 1] },
        targets: [expr],
      });
    };
    const plain = kernelKey(matmul([4, 5], 6, false));
    expect(kernelKey(matmul([40, 50], 60, true))).toBe(plain);
    expect(kernelKey(matmul([4, 5], 6, false, neg(result(0, 'float32'))))).not.toBe(plain);
  });
});
