import { describe, expect, it } from 'vitest';
import { onDevices, refuses, tl, value } from '../setup/open.ts';

onDevices('indexing', (clean) => {
  const ints = (...values: number[]): tl.Tensor => tl.tensor(new Int32Array(values));
  /** 0 to 23 in [2, 3, 4]. */
  const block = (): tl.Tensor => tl.arange(24).reshape([2, 3, 4]);

  describe('index', () => {
    it('makes views of numbers, ranges, new axes and ellipses', () =>
      clean(async () => {
        expect(await value(() => block().index(1, -1))).toEqual([20, 21, 22, 23]);
        expect(await value(() => block().index('...', 0))).toEqual([
          [0, 4, 8],
          [12, 16, 20],
        ]);
        expect(await value(() => block().index(0, { start: 1 }, { end: -1, step: 2 }))).toEqual([
          [4, 6],
          [8, 10],
        ]);
        expect(await value(() => block().index({ start: -1 }, 0, { start: 10 }))).toEqual([[]]);
        expect(await value(() => tl.arange(2).index(null, ':', null))).toEqual([[[0], [1]]]);
        expect(await value(() => tl.arange(2).index('...', null, 1))).toEqual([1]);
        expect(await value(() => tl.tensor(3).index('...', null))).toEqual([3]);
        expect(await value(() => block().index(1, 2, 3, '...'))).toBe(23);
        tl.tidy(() => {
          const x = block();
          expect(x.index(1, ':', { step: 2 }).cell).toBe(x.cell);
          expect(x.index().cell).toBe(x.cell);
        });
      }));

    it('puts the dims of index tensors where PyTorch does', () =>
      clean(async () => {
        // Neighbours: in their place.
        expect(await value(() => block().index(':', [0, 2], [1, 3]))).toEqual([
          [1, 11],
          [13, 23],
        ]);
        expect(
          await value(() => block().index(':', tl.tensor(new Int32Array([0, 2]), { shape: [2, 1] }), [1, 3])),
        ).toEqual([
          [
            [1, 3],
            [9, 11],
          ],
          [
            [13, 15],
            [21, 23],
          ],
        ]);
        // Apart: in front, also when a new axis parts them.
        expect(await value(() => block().index([0, 1], ':', [0, 2]))).toEqual([
          [0, 4, 8],
          [14, 18, 22],
        ]);
        expect(await value(() => block().index([0, 1], null, [0, 2]))).toEqual([[[0, 1, 2, 3]], [[20, 21, 22, 23]]]);
        // Numbers and scalar tensors have dropped their dim before.
        for (const one of [() => 1, () => ints(1).reshape([])])
          expect(await value(() => block().index(one(), ':', [0, 2]))).toEqual([
            [12, 14],
            [16, 18],
            [20, 22],
          ]);
        expect(await value(() => block().index(ints(-1).reshape([]), ints(0).reshape([])))).toEqual([12, 13, 14, 15]);
      }));

    it('counts negative places from the end and takes uint32', () =>
      clean(async () => {
        expect(await value(() => tl.arange(5).index(ints(-1, 0, -5, 4)))).toEqual([4, 0, 0, 4]);
        expect(await value(() => tl.arange(5).index(tl.tensor(new Uint32Array([3, 1]))))).toEqual([3, 1]);
        expect(await value(() => tl.arange(5).index([-2, 3]))).toEqual([3, 3]);
        expect(await value(() => tl.arange(5).index([]))).toEqual([]);
        expect(await value(() => tl.zeros([0, 2]).index(':', [1, 1, 0]))).toEqual([]);
      }));

    it('adds up the gradient of what is read twice, to second order', () =>
      clean(async () => {
        using s = tl.scope();
        const [first, second] = s.run(() => {
          const x = tl.tensor([[1, 2], [3, 4]], { requiresGrad: true }); // biome-ignore format: a matrix
          const [g] = tl.grad(
            [
              x
                .index(ints(0, -2, 1), ints(1, 1, 0))
                .pow(3)
                .sum(),
            ],
            [x],
            { createGraph: true },
          ) as [tl.Tensor];
          return [g.detach(), ...tl.grad([g.sum()], [x])];
        }) as [tl.Tensor, tl.Tensor];
        expect(await first.toArray()).toEqual([
          [0, 24],
          [27, 0],
        ]);
        expect(await second.toArray()).toEqual([
          [0, 24],
          [18, 0],
        ]);
      }));
  });

  describe('indexPut', () => {
    it('puts numbers and tensors at views', () =>
      clean(async () => {
        expect(await value(() => tl.zeros([2, 3]).indexPut([1, { start: 1 }], 5))).toEqual([
          [0, 0, 0],
          [0, 5, 5],
        ]);
        expect(
          await value(() =>
            tl.ones([2, 3]).indexPut(['...', { step: 2 }], tl.tensor([[2], [3]]), { accumulate: true }),
          ),
        ).toEqual([
          [3, 1, 3],
          [4, 1, 4],
        ]);
        expect(await value(() => tl.zeros([2]).indexPut([':'], tl.tensor([1, 2])))).toEqual([1, 2]);
        expect(await value(() => tl.zeros([2]).indexPut([], 3))).toEqual([3, 3]);
      }));

    it('puts at places, the last one winning or all adding up', () =>
      clean(async () => {
        const v = (): tl.Tensor => tl.tensor([10, 20, 30]);
        expect(await value(() => tl.ones([4]).indexPut([ints(2, 0, 2)], v()))).toEqual([20, 1, 30, 1]);
        expect(await value(() => tl.ones([4]).indexPut([ints(2, 0, -2)], v(), { accumulate: true }))).toEqual([
          21, 1, 41, 1,
        ]);
        expect(
          await value(() =>
            tl.zeros([2, 3]).indexPut(
              [
                [0, 1],
                [1, 2],
              ],
              tl.tensor([7, 8]),
            ),
          ),
        ).toEqual([
          [0, 7, 0],
          [0, 0, 8],
        ]);
        // A value of the shape that index gives: in front, as the indices are apart.
        expect(
          await value(() =>
            tl.zeros([2, 2, 2]).indexPut(
              [[0, 1], ':', [1, 0]],
              tl.tensor([
                [1, 2],
                [3, 4],
              ]),
            ),
          ),
        ).toEqual([
          // biome-ignore format: a matrix
          [
            [0, 1],
            [0, 2],
          ],
          [
            [3, 0],
            [4, 0],
          ],
        ]);
        expect(await value(() => tl.zeros([3], { dtype: 'int32' }).indexPut([[1]], 4))).toEqual([0, 4, 0]);
        expect(await value(() => tl.zeros([2, 3]).indexPut([0, [1, 1]], 4, { accumulate: true }))).toEqual([
          [0, 8, 0],
          [0, 0, 0],
        ]);
      }));

    it('has gradients of the tensor and of the value', () =>
      clean(async () => {
        using s = tl.scope();
        const run = (accumulate: boolean): tl.Tensor[] =>
          s.run(() => {
            const x = tl.tensor([1, 2, 3], { requiresGrad: true });
            const v = tl.tensor([4, 5], { requiresGrad: true });
            return tl.grad(
              [
                x
                  .indexPut([ints(0, -1)], v, { accumulate })
                  .square()
                  .sum(),
              ],
              [x, v],
            );
          });
        expect(await Promise.all(run(false).map((g) => g.toArray()))).toEqual([
          [0, 4, 0],
          [8, 10],
        ]);
        expect(await Promise.all(run(true).map((g) => g.toArray()))).toEqual([
          [10, 4, 16],
          [10, 16],
        ]);
      }));

    it('in place changes all views, and follows assign_', () =>
      clean(async () => {
        using x = tl.zeros([2, 3]);
        using before = tl.tidy(() => x.add(1));
        tl.tidy(() => {
          expect(x.indexPut_([ints(1), 2], 5)).toBe(x);
          x.index(':', 0).indexPut_([[0, 1]], tl.tensor([7, 8]));
        });
        expect(await x.toArray()).toEqual([
          [7, 0, 0],
          [8, 0, 5],
        ]);
        expect(await before.toArray()).toEqual([
          [1, 1, 1],
          [1, 1, 1],
        ]);
        using leaf = tl.ones([2], { requiresGrad: true });
        expect(() => tl.tidy(() => leaf.indexPut_([0], 3))).toThrow(
          /assign_: the tensor is a leaf that requires a gradient/,
        );
        tl.noGrad(() => leaf.indexPut_([0], 3));
        expect([leaf.requiresGrad, await leaf.toArray()]).toEqual([true, [3, 1]]);
        using g = tl.tidy(() => {
          const y = leaf.mul(2);
          y.indexPut_([[1]], leaf.slice(0, 0, 1));
          return tl.grad([y.square().sum()], [leaf])[0]!;
        });
        // y = [2 a, a]: 2 * 2a * 2 + 2a
        expect(await g.toArray()).toEqual([30, 0]);
      }));

    it('leaves the caller free to dispose the indices before backward', () =>
      clean(async () => {
        using x = tl.tensor([1, 2, 3], { requiresGrad: true });
        const i = ints(2, 0);
        const y = tl.tidy(() =>
          x
            .index(i)
            .mul(x.indexPut([i], 5).index(i))
            .sum(),
        );
        i.dispose();
        y.backward();
        y.dispose();
        expect(await x.grad?.toArray()).toEqual([5, 0, 5]);
      }));
  });

  it('indexFill, indexCopy and indexAdd work along a dim', () =>
    clean(async () => {
      const x = (): tl.Tensor => tl.tensor([[1, 2, 3], [4, 5, 6]]); // biome-ignore format: a matrix
      expect(await value(() => x().indexFill(1, [0, -1], 9))).toEqual([
        [9, 2, 9],
        [9, 5, 9],
      ]);
      expect(await value(() => x().indexFill(0, ints(1), tl.tensor(0)))).toEqual([
        [1, 2, 3],
        [0, 0, 0],
      ]);
      expect(
        await value(() =>
          x().indexCopy(
            1,
            ints(2, 0),
            tl.tensor([
              [10, 20],
              [30, 40],
            ]),
          ),
        ),
      ).toEqual([
        // biome-ignore format: a matrix
        [20, 2, 10],
        [40, 5, 30],
      ]);
      expect(await value(() => x().indexAdd(-1, ints(0, 0), tl.ones([2, 2]), { alpha: -2 }))).toEqual([
        [-3, 2, 3],
        [0, 5, 6],
      ]);
      using y = tl.tidy(() => x());
      tl.tidy(() => {
        y.indexFill_(0, [0], 1);
        y.indexAdd_(0, [1, 1], tl.ones([2, 3]));
        y.indexCopy_(1, [1], tl.zeros([2, 1]));
      });
      expect(await y.toArray()).toEqual([
        [1, 0, 1],
        [6, 0, 8],
      ]);
    }));

  it('take and takeAlongDim pick elements', () =>
    clean(async () => {
      const x = (): tl.Tensor => tl.tensor([[30, 10, 20], [60, 40, 50]]); // biome-ignore format: a matrix
      expect(await value(() => x().take(tl.tensor(new Int32Array([0, -1, 3, 1]), { shape: [2, 2] })))).toEqual([
        [30, 50],
        [60, 10],
      ]);
      expect(await value(() => x().takeAlongDim(ints(5, 0)))).toEqual([50, 30]);
      expect(await value(() => x().takeAlongDim(x().argmin()))).toEqual([10]);
      expect(await value(() => x().takeAlongDim(x().argmax({ dim: 1, keepDim: true }), 1))).toEqual([[30], [60]]);
      expect(await value(() => x().takeAlongDim(ints(2, 1).reshape([1, 2]), -1))).toEqual([
        [20, 10],
        [50, 40],
      ]);
    }));

  it('oneHot makes int32 rows, and counts classes by a promise', () =>
    clean(async () => {
      const rows = tl.tidy(() => tl.oneHot(ints(2, 0), 3));
      expect([rows.dtype, await rows.toArray()]).toEqual(['int32', [[0, 0, 1], [1, 0, 0]]]); // biome-ignore format: a matrix
      rows.dispose();
      using classes = tl.tensor(new Uint32Array([1, 0]), { shape: [2, 1] });
      using counted = await classes.oneHot();
      expect(await counted.toArray()).toEqual([[[0, 1]], [[1, 0]]]);
      expect(await value(() => ints(1).reshape([]).oneHot(2))).toEqual([0, 1]);
      using negative = ints(3, -1);
      await expect(tl.oneHot(negative)).rejects.toThrow(/oneHot: class -1 is negative/);
      using none = tl.zeros([0], { dtype: 'int32' });
      await expect(tl.oneHot(none)).rejects.toThrow(/oneHot: there are no classes in \[0\] to count/);
      using floats = tl.ones([2]);
      await expect(tl.oneHot(floats)).rejects.toThrow(tl.DTypeError);
    }));

  const grid = (): tl.Tensor => tl.arange(1, 7).reshape([2, 3]);
  it.each<[string, () => tl.Tensor, number[]]>([
    ['index', () => grid().index(ints(1, 2), 0), [4, 0]],
    ['index', () => grid().index(ints(-3), 0), [0]],
    ['index', () => grid().index(ints(0), ints(3)), [0]],
    ['take', () => grid().take(ints(5, 6)), [6, 0]],
    ['takeAlongDim', () => grid().takeAlongDim(ints(6)), [0]],
    ['oneHot', () => tl.oneHot(ints(1, 3), 3), [0, 1, 0, 0, 0, 0]],
    ['oneHot', () => tl.oneHot(ints(-1), 3), [0, 0, 0]],
    ['indexPut', () => grid().indexPut([ints(2)], 9), [1, 2, 3, 4, 5, 6]],
    ['indexPut', () => grid().indexPut([ints(1, -3)], 9), [1, 2, 3, 9, 9, 9]],
    ['indexPut', () => grid().indexPut([ints(0), ints(3)], 9), [1, 2, 3, 4, 5, 6]],
    ['indexPut', () => grid().indexPut([ints(2, 1), ints(0, 2)], 9), [1, 2, 3, 4, 5, 9]],
    ['indexPut', () => grid().indexPut([':', ints(-4)], 9, { accumulate: true }), [1, 2, 3, 4, 5, 6]],
    ['indexPut', () => grid().indexPut([ints(0, 1), ints(4, 0)], 9, { accumulate: true }), [1, 2, 3, 13, 5, 6]],
    ['indexPut', () => grid().indexPut([ints(1, 2, 2, 2, 2, 2)], 9, { accumulate: true }), [1, 2, 3, 13, 14, 15]],
    ['indexPut_', () => grid().indexPut_([0, ints(2, 7)], 9), [1, 2, 9, 4, 5, 6]],
    ['indexFill', () => grid().indexFill(1, ints(3), 9), [1, 2, 3, 4, 5, 6]],
    ['indexCopy', () => grid().indexCopy(0, ints(1, 2), tl.zeros([2, 3])), [1, 2, 3, 0, 0, 0]],
    ['indexAdd', () => grid().indexAdd(1, ints(0, 3), tl.ones([2, 2])), [2, 2, 3, 5, 5, 6]],
    ['scatter', () => grid().scatter(1, ints(1, 3).reshape([1, 2]), 9), [1, 9, 3, 4, 5, 6]],
    ['scatterAdd', () => grid().scatterAdd(0, ints(2, 1).reshape([2, 1]), tl.ones([2, 1])), [1, 2, 3, 5, 5, 6]],
  ])('%s finds places out of range on the device, reads 0 there and writes nothing', (op, call, after) =>
    clean(async () => {
      using out = tl.tidy(call);
      const error = await out.data().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(tl.IndexError);
      expect((error as Error).message).toMatch(new RegExp(`^${op}: an index or label is out of range`));
      expect([...(await out.data())]).toEqual(after);
    }),
  );

  it.each<[string, () => unknown, new (...args: never[]) => Error, RegExp]>([
    [
      'a number out of range',
      () => block().index(0, 3),
      tl.IndexError,
      /index: index 3 is out of range for dim 1 of \[2, 3, 4\]; use -3 to 2/,
    ],
    [
      'a put into an empty dim',
      () => tl.zeros([0, 3]).indexPut([ints(0)], 1),
      tl.IndexError,
      /indexPut: dim 0 of \[0, 3\] has no places to index/,
    ],
    [
      'an addition to an empty dim',
      () => tl.zeros([2, 0]).indexAdd(1, ints(0, 1), tl.ones([2, 2])),
      tl.IndexError,
      /indexAdd: dim 1 of \[2, 0\] has no places to index/,
    ],
    ['an array out of range', () => block().index([0, -3]), tl.IndexError, /index: index -3 is out of range for dim 0/],
    ['a fraction', () => block().index(0.5), tl.IndexError, /index: index 0.5 is out of range/],
    [
      'too many items',
      () => tl.ones([2]).index(0, null, ':'),
      tl.IndexError,
      /index: 2 items are too many for the 1 dims of \[2\]/,
    ],
    ['two ellipses', () => block().index('...', 0, '...'), tl.IndexError, /index: there is more than one '...'/],
    [
      'bool tensors',
      () => block().index(tl.tensor([true, false])),
      tl.DTypeError,
      /index: a bool tensor .* use the asynchronous maskedSelect\(mask\)/,
    ],
    // @ts-expect-error: bools are no items
    ['bools', () => block().index(true), tl.UnsupportedError, /index: bools are no places .* maskedSelect/],
    // @ts-expect-error: nor in arrays
    ['arrays of bools', () => block().index([true, false]), tl.UnsupportedError, /index: bools are no places/],
    [
      'float indices',
      () => block().index(tl.ones([1])),
      tl.DTypeError,
      /index: indices must be int32, got float32; convert them with .to\('int32'\)/,
    ],
    [
      'a negative step',
      () => block().index({ step: -1 }),
      tl.IndexError,
      /index: the step number -1 of a range must be a whole number of at least 1; use flip/,
    ],
    [
      'a bound that is none',
      () => block().index({ start: 0.5 }),
      tl.IndexError,
      /index: the bound number 0.5 of a range/,
    ],
    [
      'another range',
      // @ts-expect-error: a range has an end
      () => block().index({ stop: 1 }),
      tl.UnsupportedError,
      /index: there is no option stop; it takes start, end, step/,
    ],
    [
      'another word',
      // @ts-expect-error: only ':' and '...'
      () => block().index('1:2'),
      tl.UnsupportedError,
      /index: there is no item '1:2'; use ':', '...' or a range/,
    ],
    [
      'indices that do not broadcast',
      () => block().index([0, 1], [0, 1, 2]),
      tl.ShapeError,
      /index: shapes \[2\] and \[3\] do not broadcast/,
    ],
    [
      'a value that does not broadcast',
      () => tl.zeros([2, 3]).indexPut([0], tl.ones([2])),
      tl.ShapeError,
      /indexPut: shapes \[3\] and \[2\] do not broadcast/,
    ],
    [
      'a value that is too large',
      () => tl.zeros([2, 3]).indexPut([0], tl.ones([2, 3])),
      tl.ShapeError,
      /indexPut: a value of shape \[2, 3\] does not broadcast to \[3\], the shape of the indexed elements/,
    ],
    [
      'a float value in integers',
      () => tl.zeros([2], { dtype: 'int32' }).indexPut_([0], tl.ones([])),
      tl.DTypeError,
      /indexPut: a float32 value does not fit into int32/,
    ],
    [
      'an option',
      () => tl.zeros([2]).indexPut([0], 1, { accumulated: true } as never),
      tl.UnsupportedError,
      /indexPut: there is no option accumulated; it takes accumulate/,
    ],
    [
      'bools that add up',
      () => tl.zeros([2], { dtype: 'bool' }).indexPut([0], 1, { accumulate: true }),
      tl.DTypeError,
      /indexPut: bools do not add up/,
    ],
    [
      'indices in two dims',
      () => tl.ones([2, 2]).indexFill(0, ints(0).reshape([1, 1]), 0),
      tl.ShapeError,
      /indexFill: indices must have one dim, got \[1, 1\]/,
    ],
    ['a scalar', () => tl.tensor(1).indexFill(0, [0], 0), tl.IndexError, /indexFill: a scalar has no dims to index/],
    [
      'a source of another shape',
      () => tl.ones([2, 3]).indexAdd(1, ints(0, 1), tl.ones([2, 3])),
      tl.ShapeError,
      /indexAdd: the source has shape \[2, 3\]; 2 indices in dim 1 of \[2, 3\] need \[2, 2\]/,
    ],
    [
      'takeAlongDim of other dims',
      () => tl.ones([2, 3]).takeAlongDim(ints(0), 1),
      tl.ShapeError,
      /takeAlongDim: \[2, 3\] and indices \[1\] must have as many dims/,
    ],
    [
      'take by floats',
      () => tl.ones([2]).take(tl.ones([1])),
      tl.DTypeError,
      /take: indices must be int32, got float32/,
    ],
    ['no classes', () => tl.oneHot(ints(0), 0), tl.ShapeError, /oneHot: number 0 classes; give a whole number/],
    ['float classes', () => tl.oneHot(tl.ones([1]), 2), tl.DTypeError, /oneHot: indices must be int32, got float32/],
  ])('refuses %s', (_, call, error, says) =>
    clean(() => {
      refuses(call, error, says);
    }),
  );
});
