import { expect, it } from 'vitest';
import { onDevices, refuses, tl, value } from '../setup/open.ts';

const { POSITIVE_INFINITY: INF, NEGATIVE_INFINITY: MINUS_INF } = Number;
const { linalg } = tl;

onDevices('norms', (clean) => {
  /** Gradients of the sum, and of the sum of their squares. */
  const gradients = async (fn: (x: tl.Tensor) => tl.Tensor, data: number[]): Promise<number[][]> => {
    using s = tl.scope();
    const found = s.run(() => {
      const x = tl.tensor(data, { requiresGrad: true });
      const [first] = tl.grad([fn(x).sum()], [x], { createGraph: true }) as [tl.Tensor];
      const [second] = tl.grad([first.square().sum()], [x], { allowUnused: true }) as [tl.Tensor];
      return [first.detach(), second];
    });
    return Promise.all(found.map(async (g) => [...(await g.data())]));
  };

  it('of every order, as torch.norm', () =>
    clean(async () => {
      const orders: readonly (readonly [number, number])[] = [
        [0, 2],
        [1, 7],
        [2, 5],
        [3, 4.497941],
        [0.5, 13.928203],
        [-1, 12 / 7],
        [INF, 4],
        [MINUS_INF, 3],
      ];
      for (const [p, want] of orders)
        expect(await value(() => tl.tensor([3, -4]).norm({ p })), `order ${p}`).toBeCloseTo(want, 5);
      expect(await value(() => tl.tensor([3, -4]).norm({ p: 'fro' }))).toBeCloseTo(5, 5);
      expect(await value(() => tl.tensor(-3).norm())).toBeCloseTo(3, 5);
    }));

  it('of no elements are 0, where there is one', () =>
    clean(async () => {
      for (const p of [0, 1, 2, 3]) expect(await value(() => tl.zeros([2, 0]).norm({ p, dim: 1 }))).toEqual([0, 0]);
      expect(() => tl.tidy(() => tl.zeros([2, 0]).norm({ p: INF, dim: 1 }))).toThrow(
        /norm: \[2, 0\] has no elements along the reduced dims/,
      );
      expect(await value(() => tl.zeros([0, 2]).norm({ p: INF, dim: 1 }))).toEqual([]);
    }));

  it('have subgradients as in PyTorch, to second order', () =>
    clean(async () => {
      for (const p of [0.5, 1, 2, 3])
        expect(await gradients((x) => x.norm({ p }), [0, 0]), `order ${p}`).toEqual([
          [0, 0],
          [0, 0],
        ]);
      expect((await gradients((x) => x.norm({ p: INF }), [3, -3, 1, 3]))[0]).toEqual([
        expect.closeTo(1 / 3),
        expect.closeTo(-1 / 3),
        0,
        expect.closeTo(1 / 3),
      ]);
      // An infinite summand makes the norm 0, and its slope too.
      expect((await gradients((x) => x.norm({ p: -1 }), [0, 2]))[0]).toEqual([0, 0]);
      // x^2 sgn(x) / norm^2, where one element is 0.
      expect((await gradients((x) => x.norm({ p: 3 }), [0, -2]))[0]).toEqual([0, -1]);
    }));

  it('of the count has a gradient of zeros', () =>
    clean(async () => {
      using x = tl.tensor([1, 0, 2], { requiresGrad: true });
      tl.tidy(() => x.norm({ p: 0 }).backward());
      expect(await x.grad?.toArray()).toEqual([0, 0, 0]);
    }));

  it('of matrices, as torch.linalg.matrix_norm', () =>
    clean(async () => {
      const A = (): tl.Tensor =>
        tl.tensor([
          [1, -2],
          [-3, 4],
        ]);
      const orders: readonly (readonly ['fro' | number, number])[] = [
        ['fro', Math.sqrt(30)],
        [1, 6],
        [-1, 4],
        [INF, 7],
        [MINUS_INF, 3],
      ];
      for (const [ord, want] of orders) {
        expect(await value(() => linalg.matrixNorm(A(), { ord })), `order ${ord}`).toBeCloseTo(want, 5);
        expect(await value(() => linalg.norm(A(), { ord })), `order ${ord}`).toBeCloseTo(want, 5);
      }
      const batch = (): tl.Tensor => tl.stack([A(), A().mul(10)]);
      expect(await value(() => linalg.matrixNorm(batch(), { ord: 1 }))).toEqual([6, 60]);
      expect(await value(() => linalg.matrixNorm(batch(), { ord: 1, dim: [0, 1], keepDim: true }))).toEqual([
        [[33, 44]],
      ]);
      expect(await value(() => linalg.norm(batch(), { ord: INF, dim: [2, 1] }))).toEqual([6, 60]);
      expect(await value(() => linalg.norm(batch(), { ord: 1, dim: -1 }))).toEqual([
        [3, 7],
        [30, 70],
      ]);
      expect(await value(() => linalg.vectorNorm(A(), { ord: 1 }))).toBe(10);
    }));

  it.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    [
      'integers',
      () => tl.ones([2], { dtype: 'int32' }).norm(),
      tl.DTypeError,
      /norm: needs a floating tensor, got int32/,
    ],
    ['no order', () => tl.ones([2]).norm({ p: Number.NaN }), tl.DTypeError, /norm: the order .* got number NaN/],
    ['a word', () => tl.ones([2]).norm({ p: 'nuc' as never }), tl.DTypeError, /norm: the order .* got string nuc/],
    [
      'an option',
      () => tl.ones([2]).norm({ ord: 1 } as never),
      tl.UnsupportedError,
      /there is no option ord; it takes p/,
    ],
    ['a dim', () => tl.ones([2]).norm({ dim: 1 }), tl.IndexError, /norm: dim 1 is out of range/],
    ['one dim', () => linalg.matrixNorm(tl.ones([2])), tl.IndexError, /linalg.matrixNorm: dim -2 is out of range/],
    [
      'equal dims',
      () => linalg.matrixNorm(tl.ones([2, 2]), { dim: [1, -1] }),
      tl.ShapeError,
      /linalg.matrixNorm: dims \[1, -1\] of \[2, 2\] must be two different ones/,
    ],
    [
      'an order',
      () => linalg.matrixNorm(tl.ones([2, 2]), { ord: 3 }),
      tl.UnsupportedError,
      /no norm number 3 of matrices/,
    ],
    [
      'three dims',
      () => linalg.norm(tl.ones([2, 2, 2]), { ord: 1 }),
      tl.ShapeError,
      /linalg.norm: the norm 1 of 3 dims of \[2, 2, 2\]/,
    ],
    ['fro of a vector', () => linalg.norm(tl.ones([2]), { ord: 'fro' }), tl.ShapeError, /the norm fro of 1 dims/],
  ])('refuse %s', (_, call, error, says) =>
    clean(() => {
      refuses(call, error, says);
    }),
  );

  it('aminmax gives both extrema', () =>
    clean(async () => {
      using s = tl.scope();
      const { min, max } = s.run(() => tl.tensor([[3, 1], [2, 5]]).aminmax({ dim: 0 })); // biome-ignore format: a matrix
      expect(await min.toArray()).toEqual([2, 1]);
      expect(await max.toArray()).toEqual([3, 5]);
      expect(() => tl.tidy(() => tl.zeros([0]).aminmax())).toThrow(/aminmax: \[0\] has no elements/);
    }));
});
