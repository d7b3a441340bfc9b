import { expect, it } from 'vitest';
import { onDevices, refuses, tl, value } from '../setup/open.ts';

onDevices('masks', (clean) => {
  const later = async (made: Promise<tl.Tensor>): Promise<unknown> => {
    using out = await made;
    return out.toArray();
  };
  const bools = (...values: number[]): tl.Tensor => tl.tensor(values, { dtype: 'bool' });

  it('any, all and countNonzero count NaN and know nothing', () =>
    clean(async () => {
      const x = (): tl.Tensor => tl.tensor([[Number.NaN, 0, -0], [1, -1, Number.NaN]]); // biome-ignore format: a matrix
      expect(await value(() => x().any({ dim: 1 }))).toEqual([true, true]);
      expect(await value(() => x().all({ dim: 1 }))).toEqual([false, true]);
      expect(await value(() => x().any({ dim: 0 }))).toEqual([true, true, true]);
      expect(await value(() => x().all({ dim: -1, keepDim: true }))).toEqual([[false], [true]]);
      expect(await value(() => x().countNonzero({ dim: 1 }))).toEqual([1, 3]);
      expect(await value(() => x().all({ dim: [0, 1] }))).toBe(false);
      expect(await value(() => tl.zeros([2, 0]).any({ dim: 1 }))).toEqual([false, false]);
      expect(await value(() => tl.zeros([2, 0]).all({ dim: 1 }))).toEqual([true, true]);
      expect(await value(() => tl.zeros([0]).countNonzero())).toBe(0);
      expect(await value(() => tl.tensor(new Uint32Array([2 ** 31, 0])).any())).toBe(true);
    }));

  it('nansum and nanmean leave NaN out', () =>
    clean(async () => {
      const x = (): tl.Tensor => tl.tensor([[1, Number.NaN, 3], [Number.NaN, Number.NaN, Number.NaN]]); // biome-ignore format: a matrix
      expect(await value(() => x().nansum({ dim: 1 }))).toEqual([4, 0]);
      expect(await value(() => x().nanmean({ dim: 1 }))).toEqual([2, Number.NaN]);
    }));

  it('maskedFill keeps the dtype and broadcasts both ways', () =>
    clean(async () => {
      expect(await value(() => tl.tensor([1, 2]).maskedFill(bools(0, 1).reshape([2, 1]), -9))).toEqual([
        [1, 2],
        [-9, -9],
      ]);
      const whole = tl.tidy(() => tl.tensor([1, 2], { dtype: 'int32' }).maskedFill(bools(1, 0), tl.tensor(true)));
      expect([whole.dtype, await whole.toArray()]).toEqual(['int32', [1, 2]]);
      whole.dispose();
      const truth = tl.tidy(() => bools(0, 0).maskedFill(bools(1, 0), 5));
      expect([truth.dtype, [...(await truth.data<'bool'>())]]).toEqual(['bool', [1, 0]]);
      truth.dispose();
    }));

  it('maskedFill has gradients of the tensor and of the value', () =>
    clean(async () => {
      using s = tl.scope();
      const [gx, gv] = s.run(() => {
        const x = tl.tensor([1, 2, 3], { requiresGrad: true });
        const v = tl.tensor(5, { requiresGrad: true });
        return tl.grad(
          [
            x
              .maskedFill(bools(1, 0, 1), v)
              .square()
              .sum(),
          ],
          [x, v],
        );
      }) as [tl.Tensor, tl.Tensor];
      expect(await gx.toArray()).toEqual([0, 4, 0]);
      expect(await gv.toArray()).toBe(20);
    }));

  it('maskedFill_ updates views and leaves under noGrad', () =>
    clean(async () => {
      using x = tl.tensor([1, 2, 3], { requiresGrad: true });
      expect(() => tl.tidy(() => x.maskedFill_(bools(1, 0, 0), 0))).toThrow(/assign_: the tensor is a leaf/);
      tl.tidy(() => {
        tl.noGrad(() => x.slice(0, 1).maskedFill_(bools(1, 0), 9));
      });
      expect(await x.toArray()).toEqual([1, 9, 3]);
      expect(() => tl.tidy(() => tl.zeros([2]).maskedFill_(bools(1, 0).reshape([2, 1]), 0))).toThrow(tl.ShapeError);
    }));

  it('maskedSelect selects in order, and its gradient goes back', () =>
    clean(async () => {
      using x = tl.tensor([[1, -2], [3, -4]], { requiresGrad: true }); // biome-ignore format: a matrix
      using mask = tl.tidy(() => x.gt(0));
      using selected = await x.maskedSelect(mask);
      expect(await selected.toArray()).toEqual([1, 3]);
      tl.tidy(() => selected.pow(3).sum().backward());
      expect(await x.grad?.toArray()).toEqual([
        [3, 0],
        [27, 0],
      ]);
      using s = tl.scope();
      const again = s.track(await tl.maskedSelect(x, mask));
      const [second] = s.run(() => {
        const [g] = tl.grad([again.pow(3).sum()], [x], { createGraph: true }) as [tl.Tensor];
        return tl.grad([g.sum()], [x]);
      }) as [tl.Tensor];
      expect(await second.toArray()).toEqual([
        [6, 0],
        [18, 0],
      ]);
    }));

  it('maskedSelect broadcasts, and may select nothing', () =>
    clean(async () => {
      using x = tl.arange(3);
      using rows = tl.tidy(() => bools(1, 0, 1).reshape([3, 1]));
      expect(await later(x.maskedSelect(rows))).toEqual([0, 1, 2, 0, 1, 2]);
      using none = bools(0, 0, 0);
      expect(await later(x.maskedSelect(none))).toEqual([]);
      using empty = tl.zeros([0, 3]);
      expect(await later(empty.maskedSelect(none))).toEqual([]);
    }));

  it('promises take what there is when they are made', () =>
    clean(async () => {
      const x = tl.tensor([1, 2, 0], { requiresGrad: true });
      const mask = bools(1, 1, 0);
      const selected = tl.noGrad(() => tl.tidy(() => [tl.maskedSelect(x.mul(1), mask)]))[0]!;
      const places = x.nonzero();
      tl.noGrad(() => x.fill_(7));
      x.dispose();
      mask.dispose();
      const y = await selected;
      expect(y.requiresGrad).toBe(false);
      expect(await y.toArray()).toEqual([1, 2]);
      y.dispose();
      expect(await later(places)).toEqual([[0], [1]]);
    }));

  it('nonzero gives coordinates', () =>
    clean(async () => {
      using x = tl.tensor([[0, Number.NaN, 0], [2, 0, -1]]); // biome-ignore format: a matrix
      using places = await x.nonzero();
      expect([places.dtype, await places.toArray()]).toEqual([
        'int32',
        [
          [0, 1],
          [1, 0],
          [1, 2],
        ],
      ]);
      using scalar = tl.tensor(3);
      using one = await scalar.nonzero();
      expect(one.shape).toEqual([1, 0]);
      using zero = tl.zeros([2, 2]);
      using none = await zero.nonzero();
      expect(none.shape).toEqual([0, 2]);
    }));

  it('unique sorts, counts and says where', () =>
    clean(async () => {
      using x = tl.tensor([[3, 1, Number.NaN], [1, -0, 0]]); // biome-ignore format: a matrix
      expect(await later(tl.unique(x))).toEqual([-0, 1, 3, Number.NaN]);
      const { values, inverse, counts } = await x.unique({ returnInverse: true, returnCounts: true });
      expect(await inverse?.toArray()).toEqual([
        [2, 1, 3],
        [1, 0, 0],
      ]);
      expect(await counts?.toArray()).toEqual([2, 2, 1, 1]);
      for (const t of [values, inverse, counts]) t?.dispose();
      using truth = bools(1, 0, 1);
      using kinds = await truth.unique();
      expect([kinds.dtype, await kinds.toArray()]).toEqual(['bool', [false, true]]);
      using empty = tl.zeros([0]);
      const nothing = await empty.unique({ returnCounts: true });
      expect([nothing.values.shape, nothing.counts?.shape, nothing.inverse]).toEqual([[0], [0], undefined]);
      nothing.values.dispose();
      nothing.counts?.dispose();
    }));

  it.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    [
      'a mask of floats',
      () => tl.ones([2]).maskedFill(tl.ones([2]), 0),
      tl.DTypeError,
      /maskedFill: the mask must be a bool tensor, got float32; make one with a comparison/,
    ],
    [
      'a number for a mask',
      () => tl.ones([2]).maskedFill(1 as never, 0),
      tl.UnsupportedError,
      /maskedFill: expected a tensor, got number 1/,
    ],
    [
      'a mask of another shape',
      () => tl.ones([2]).maskedFill(bools(1, 0, 1), 0),
      tl.ShapeError,
      /maskedFill: shapes \[2\] and \[3\] do not broadcast/,
    ],
    [
      'a value with dims',
      () => tl.ones([2]).maskedFill(bools(1, 0), tl.ones([2])),
      tl.ShapeError,
      /maskedFill: the value has shape \[2\]; it must be a number or a scalar tensor, use where for more/,
    ],
    [
      'a fraction among integers',
      () => tl.ones([2], { dtype: 'int32' }).maskedFill(bools(1, 0), 2.5),
      tl.DTypeError,
      /maskedFill: int32 cannot hold the value 2.5/,
    ],
    [
      'a negative number among uint32',
      () => tl.ones([2], { dtype: 'uint32' }).maskedFill(bools(1, 0), -1),
      tl.DTypeError,
      /maskedFill: uint32 cannot hold the value -1/,
    ],
    [
      'a float tensor among integers',
      () => tl.ones([2], { dtype: 'int32' }).maskedFill(bools(1, 0), tl.tensor(2)),
      tl.DTypeError,
      /maskedFill: a float32 value does not fit into int32 without loss/,
    ],
    [
      'an option of any',
      () => tl.ones([2]).any({ axis: 0 } as never),
      tl.UnsupportedError,
      /any: there is no option axis/,
    ],
    ['a dim of all', () => tl.ones([2]).all({ dim: 1 }), tl.IndexError, /all: dim 1 is out of range/],
    [
      'integers for nanmean',
      () => tl.ones([2], { dtype: 'int32' }).nanmean(),
      tl.DTypeError,
      /nanmean: needs a floating tensor, got int32/,
    ],
  ])('refuse %s', (_, call, error, says) =>
    clean(() => {
      refuses(call, error, says);
    }),
  );

  it('promises reject bad input', () =>
    clean(async () => {
      using x = tl.ones([2]);
      using mask = bools(1, 0, 1);
      await expect(x.maskedSelect(x)).rejects.toThrow(/maskedSelect: the mask must be a bool tensor, got float32/);
      await expect(x.maskedSelect(mask)).rejects.toThrow(/maskedSelect: shapes \[2\] and \[3\] do not broadcast/);
      await expect(x.unique({ dim: 0 } as never)).rejects.toThrow(/unique: there is no option dim; it takes sorted/);
      await expect(tl.nonzero(3 as never)).rejects.toThrow(/nonzero: expected a tensor, got number 3/);
      const gone = tl.ones([1]);
      gone.dispose();
      await expect(tl.nonzero(gone)).rejects.toThrow(tl.DisposedError);
      await expect(tl.unique(gone)).rejects.toThrow(tl.DisposedError);
    }));
});
