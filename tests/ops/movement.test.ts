import { expect, it } from 'vitest';
import { counted, given, onDevices, type Refusal, refuses, tl, value } from '../setup/open.ts';

type Tensor = tl.Tensor;

/** The gradient of the sum of fn(x), weighted by 1, 2, 3, …. */
const gradientOf = (fn: (x: Tensor) => Tensor, x: Tensor): Promise<tl.NestedArray> =>
  given(
    tl.tidy(() => {
      const leaf = x.detach();
      leaf.requiresGrad = true;
      const y = fn(leaf);
      return tl.grad([y.mul(counted(...y.shape).add(1)).sum()], [leaf])[0]!;
    }),
  );

/** Calls with what PyTorch gives for them. */
const VALUES: readonly (readonly [name: string, call: () => Tensor, want: tl.NestedArray])[] = [
  [
    'flip',
    () => counted(2, 3).flip([-1]),
    [
      [2, 1, 0],
      [5, 4, 3],
    ],
  ],
  [
    'flip of all dims',
    () => counted(2, 2).flip([0, 1]),
    [
      [3, 2],
      [1, 0],
    ],
  ],
  ['flip of no dim', () => counted(2).flip([]), [0, 1]],
  ['flip of a scalar', () => tl.tensor(3).flip([0]), 3],
  [
    'flip of a view',
    () => counted(2, 3).t().flip([0]),
    [
      [2, 5],
      [1, 4],
      [0, 3],
    ],
  ],
  [
    'fliplr',
    () => counted(2, 2).fliplr(),
    [
      [1, 0],
      [3, 2],
    ],
  ],
  [
    'flipud',
    () => counted(2, 2).flipud(),
    [
      [2, 3],
      [0, 1],
    ],
  ],
  [
    'rot90',
    () => counted(2, 3).rot90(),
    [
      [2, 5],
      [1, 4],
      [0, 3],
    ],
  ],
  [
    'rot90 back',
    () => counted(2, 3).rot90(-1),
    [
      [3, 0],
      [4, 1],
      [5, 2],
    ],
  ],
  [
    'rot90 the other way',
    () => counted(2, 3).rot90(1, [1, 0]),
    [
      [3, 0],
      [4, 1],
      [5, 2],
    ],
  ],
  [
    'rot90 twice',
    () => counted(2, 3).rot90(6),
    [
      [5, 4, 3],
      [2, 1, 0],
    ],
  ],
  ['roll', () => counted(5).roll(2), [3, 4, 0, 1, 2]],
  ['roll by more than all', () => counted(5).roll(-11, 0), [1, 2, 3, 4, 0]],
  [
    'roll of all elements',
    () => counted(2, 3).roll(1),
    [
      [5, 0, 1],
      [2, 3, 4],
    ],
  ],
  [
    'roll of a dim twice',
    () => counted(2, 3).roll([1, 1], [1, 1]),
    [
      [1, 2, 0],
      [4, 5, 3],
    ],
  ],
  [
    'repeat',
    () => counted(2).repeat([2, 2]),
    [
      [0, 1, 0, 1],
      [0, 1, 0, 1],
    ],
  ],
  ['repeat none', () => counted(2).repeat([0, 2]), []],
  [
    'tile',
    () => counted(2, 1).tile([2]),
    [
      [0, 0],
      [1, 1],
    ],
  ],
  ['repeatInterleave', () => counted(2, 2).repeatInterleave(2), [0, 0, 1, 1, 2, 2, 3, 3]],
  [
    'repeatInterleave of a dim',
    () => counted(2, 2).repeatInterleave(2, { dim: 0 }),
    [
      [0, 1],
      [0, 1],
      [2, 3],
      [2, 3],
    ],
  ],
  [
    'tril',
    () => counted(3, 3).tril(-1),
    [
      [0, 0, 0],
      [3, 0, 0],
      [6, 7, 0],
    ],
  ],
  [
    'triu',
    () => counted(2, 3).triu(1),
    [
      [0, 1, 2],
      [0, 0, 5],
    ],
  ],
  [
    'tril far above',
    () => counted(2, 2).tril(2 ** 40),
    [
      [0, 1],
      [2, 3],
    ],
  ],
  [
    'triu hides NaN',
    () => tl.full([2, 2], Number.NaN).triu(5),
    [
      [0, 0],
      [0, 0],
    ],
  ],
  [
    'diag of a vector',
    () => counted(2).add(1).diag(-1),
    [
      [0, 0, 0],
      [1, 0, 0],
      [0, 2, 0],
    ],
  ],
  ['diag of a matrix', () => counted(2, 3).diag(1), [1, 5]],
  ['trace', () => counted(2, 3).trace(), 4],
  [
    'unflatten',
    () => counted(4).unflatten(0, [-1, 2]),
    [
      [0, 1],
      [2, 3],
    ],
  ],
  [
    'unfold',
    () => counted(5).unfold(0, 3, 2),
    [
      [0, 1, 2],
      [2, 3, 4],
    ],
  ],
  [
    'unfold that leaves a rest',
    () => counted(6).unfold(0, 2, 3),
    [
      [0, 1],
      [3, 4],
    ],
  ],
  ['unfold of a scalar', () => tl.tensor(2).unfold(0, 1, 1), [2]],
  [
    'unfold of a sum',
    () => counted(4).add(1).unfold(0, 2, 1).mul(2),
    [
      [2, 4],
      [4, 6],
      [6, 8],
    ],
  ],
  [
    'pad',
    () => counted(2, 2).pad([1, 0, 0, 1], { value: 9 }),
    [
      [9, 0, 1],
      [9, 2, 3],
      [9, 9, 9],
    ],
  ],
  ['pad that cuts', () => counted(4).pad([-1, -2]), [1]],
  [
    'pad that cuts and adds',
    () => counted(2, 3).pad([-1, 1, 1, -1]),
    [
      [0, 0, 0],
      [1, 2, 0],
    ],
  ],
  ['pad by reflection', () => counted(4).pad([2, 3], { mode: 'reflect' }), [2, 1, 0, 1, 2, 3, 2, 1, 0]],
  ['pad by reflection of what is cut', () => counted(4).pad([-3, 3], { mode: 'reflect' }), [3, 2, 1, 0]],
  ['pad by replication', () => counted(2).pad([2, 1], { mode: 'replicate' }), [0, 0, 0, 1, 1]],
  ['pad by circulation', () => counted(3).pad([1, 3], { mode: 'circular' }), [2, 0, 1, 2, 0, 1, 2]],
  [
    'pad of corners',
    () => counted(2, 2).pad([1, 0, 1, 0], { mode: 'reflect' }),
    [
      [3, 2, 3],
      [1, 0, 1],
      [3, 2, 3],
    ],
  ],
];

const GRADIENTS: readonly (readonly [name: string, fn: (x: Tensor) => Tensor, x: number[], want: tl.NestedArray])[] = [
  ['flip', (x) => x.flip(0), [3], [3, 2, 1]],
  ['roll', (x) => x.roll(1), [3], [2, 3, 1]],
  ['repeat', (x) => x.repeat([2]), [2], [4, 6]],
  [
    'tril',
    (x) => x.tril(),
    [2, 2],
    [
      [1, 0],
      [3, 4],
    ],
  ],
  ['diag', (x) => x.diag(), [2], [1, 4]],
  [
    'trace',
    (x) => x.trace(),
    [2, 2],
    [
      [1, 0],
      [0, 1],
    ],
  ],
  ['unfold', (x) => x.unfold(0, 3, 1), [5], [1, 6, 15, 14, 9]],
  ['unfold with gaps', (x) => x.unfold(0, 2, 3), [6], [1, 2, 0, 3, 4, 0]],
  ['pad by reflection', (x) => x.pad([1, 2], { mode: 'reflect' }), [3], [8, 9, 4]],
  ['pad by replication', (x) => x.pad([2, 1], { mode: 'replicate' }), [2], [6, 9]],
  ['pad by circulation', (x) => x.pad([1, 1], { mode: 'circular' }), [2], [6, 4]],
];

const BAD: readonly Refusal[] = [
  ['flip twice', () => tl.ones([2, 2]).flip([0, -2]), tl.ShapeError, /flip: dims \[0, 0\] name a dimension twice/],
  ['flip of no such dim', () => tl.ones([2]).flip([1]), tl.IndexError, /flip: dim 1 is out of range/],
  ['fliplr of a vector', () => tl.ones([2]).fliplr(), tl.ShapeError, /fliplr: \[2\] has no dim 1/],
  ['flipud of a scalar', () => tl.tensor(1).flipud(), tl.ShapeError, /flipud: a scalar/],
  [
    'rot90 in a line',
    () => tl.ones([2, 2]).rot90(1, [0, -2]),
    tl.ShapeError,
    /rot90: dims \[0, -2\] of \[2, 2\] must be/,
  ],
  ['rot90 by half', () => tl.ones([2, 2]).rot90(0.5), tl.ShapeError, /rot90: k is number 0.5, but it must be a whole/],
  [
    'roll with a shift too many',
    () => tl.ones([2, 2]).roll([1, 2], [0]),
    tl.ShapeError,
    /roll: 2 shifts \[1, 2\] for 1 dims/,
  ],
  ['roll by two and no dims', () => tl.ones([2, 2]).roll([1, 2]), tl.ShapeError, /roll: shifts \[1, 2\] without dims/],
  [
    'repeat too few',
    () => tl.ones([2, 2]).repeat([2]),
    tl.ShapeError,
    /repeat: \[2\] must hold a number for each of the 2 dims/,
  ],
  ['repeat less than never', () => tl.ones([2]).repeat([-1]), tl.ShapeError, /repeat: \[-1\] is no shape/],
  ['tile by half', () => tl.ones([2]).tile([1.5]), tl.ShapeError, /tile: \[1.5\] is no shape/],
  [
    'repeatInterleave less than never',
    () => tl.ones([2]).repeatInterleave(-1),
    tl.ShapeError,
    /repeats is number -1, but .* at least 0/,
  ],
  ['tril of a vector', () => tl.ones([2]).tril(), tl.ShapeError, /tril: needs at least two dims, got \[2\]/],
  ['triu between diagonals', () => tl.ones([2, 2]).triu(0.5), tl.ShapeError, /triu: diagonal is number 0.5/],
  [
    'diag of a batch',
    () => tl.ones([2, 2, 2]).diag(),
    tl.ShapeError,
    /diag: needs a vector or a matrix, got \[2, 2, 2\]/,
  ],
  ['trace of a vector', () => tl.ones([2]).trace(), tl.ShapeError, /trace: needs a matrix, got \[2\]/],
  [
    'unflatten to another size',
    () => tl.ones([6]).unflatten(0, [4, 2]),
    tl.ShapeError,
    /unflatten: sizes \[4, 2\] must multiply to 6/,
  ],
  [
    'a window too large',
    () => tl.ones([2, 3]).unfold(1, 4, 1),
    tl.ShapeError,
    /unfold: windows of 4 elements do not fit into the 3 of dim 1/,
  ],
  [
    'windows that do not move',
    () => tl.ones([3]).unfold(0, 2, 0),
    tl.ShapeError,
    /unfold: step is number 0, but it must be .* at least 1/,
  ],
  [
    'an unknown mode',
    () => tl.ones([3]).pad([1, 1], { mode: 'mirror' as never }),
    tl.UnsupportedError,
    /pad: mode is string mirror; use/,
  ],
  [
    'a value nobody reads',
    () => tl.ones([3]).pad([1, 1], { mode: 'reflect', value: 2 }),
    tl.UnsupportedError,
    /pad: mode reflect takes no value, got 2/,
  ],
  ['an odd number of sizes', () => tl.ones([3]).pad([1]), tl.ShapeError, /pad: \[1\] must hold two sizes a dim/],
  [
    'a reflection too long',
    () => tl.ones([2, 3]).pad([0, 3], { mode: 'reflect' }),
    tl.ShapeError,
    /pad: mode reflect cannot add 3 elements to the 3 of dim 1 of \[2, 3\]; at most 2/,
  ],
  [
    'a replica of nothing',
    () => tl.ones([0]).pad([1, 0], { mode: 'replicate' }),
    tl.ShapeError,
    /pad: mode replicate cannot add 1 elements to the 0/,
  ],
  [
    'a circle too long',
    () => tl.ones([3]).pad([4, 0], { mode: 'circular' }),
    tl.ShapeError,
    /pad: mode circular cannot add 4 elements/,
  ],
  [
    'a cut too deep',
    () => tl.ones([3]).pad([-2, -2]),
    tl.ShapeError,
    /pad: sizes -2 and -2 cut more than the 3 elements/,
  ],
  ['a grid of matrices', () => tl.meshgrid([tl.ones([2, 2])]), tl.ShapeError, /meshgrid: takes vectors, got \[2, 2\]/],
  [
    'a grid of two dtypes',
    () => tl.meshgrid([tl.ones([2]), tl.ones([2], { dtype: 'int32' })]),
    tl.DTypeError,
    /meshgrid: the tensors are float32 and int32/,
  ],
  ['a grid of nothing', () => tl.meshgrid([]), tl.UnsupportedError, /meshgrid: the list is empty/],
  [
    'a grid in another order',
    () => tl.meshgrid([tl.ones([2])], { indexing: 'yx' as never }),
    tl.UnsupportedError,
    /meshgrid: indexing is string yx; use 'ij' or 'xy'/,
  ],
  [
    'an update of overlapping windows',
    () => tl.ones([3]).unfold(0, 2, 1).add_(1),
    tl.UnsupportedError,
    /assign_: the view shows an element of its storage more than once/,
  ],
];

onDevices('movement', (clean) => {
  it.each(VALUES)('%s', async (_, call, want) => {
    await clean(async (device) => {
      expect(await value(call)).toEqual(want);
      device.engine.fusion = false;
      expect(await value(call)).toEqual(want);
      device.engine.fusion = true;
    });
  });

  it.each(GRADIENTS)('the gradient of %s', async (_, fn, shape, want) => {
    await clean(async () => {
      const x = tl.tidy(() => counted(...shape));
      expect(await gradientOf(fn, x)).toEqual(want);
      x.dispose();
    });
  });

  it.each(BAD)('%s is an error', async (_, run, error, says) => {
    await clean(() => {
      refuses(run, error, says);
    });
  });

  it('moves bools and integers unchanged', async () => {
    await clean(async () => {
      const bools = tl.tidy(() =>
        tl.tensor([true, false, false]).flip(0).roll(1).repeat([2]).pad([1, 0], { mode: 'circular' }),
      );
      expect(bools.dtype).toBe('bool');
      expect(await given(bools)).toEqual([false, true, false, false, true, false, false]);
      const large = tl.tidy(() =>
        tl
          .tensor([2 ** 31 - 1, -(2 ** 31)], { dtype: 'int32' })
          .diag()
          .tril()
          .flip([1]),
      );
      expect(large.dtype).toBe('int32');
      expect(await given(large)).toEqual([
        [0, 2 ** 31 - 1],
        [-(2 ** 31), 0],
      ]);
    });
  });

  it('copies where PyTorch copies, and gives views where it does not', async () => {
    await clean(async () => {
      const x = tl.zeros([2, 2]);
      const copies = [x.flip([]), x.roll(0, 0), x.repeat([1, 1]), x.tile([1]), x.diag(), x.pad([0, 0]), x.rot90(0)];
      const row = x.select(0, 0);
      const views = [row, x.unfold(1, 2, 1), x.unflatten(0, [2, 1]), ...tl.meshgrid([row])];
      x.fill_(1);
      for (const copy of copies) expect(Array.from(await copy.data()).every((v) => v === 0)).toBe(true);
      for (const view of views) expect(Array.from(await view.data()).every((v) => v === 1)).toBe(true);
      for (const t of [x, ...copies, ...views]) t.dispose();
    });
  });

  it('joins more tensors than one kernel binds, of one size and of several', async () => {
    await clean(async () => {
      for (const n of [2, 7, 8, 15, 29])
        for (const [shape, dim] of [
          [[2, 3], 0],
          [[3, 2, 4], 1],
          [[3, 1], -1],
        ] as const) {
          const sizes = Array.from({ length: n }, (_, i) => (n === 15 ? 1 + (i % 3) : shape.at(dim)!));
          const parts = sizes.map((size, i) =>
            tl.tidy(() =>
              counted(...shape.map((m, d) => (d === (dim < 0 ? dim + shape.length : dim) ? size : m))).add(100 * i),
            ),
          );
          const joined = tl.cat(parts, dim);
          const again = tl.split(joined, sizes, dim);
          for (const [i, part] of parts.entries()) expect(await again[i]!.toArray()).toEqual(await part.toArray());
          for (const t of [joined, ...again, ...parts]) t.dispose();
        }
    });
  });

  it('makes grids in both orders', async () => {
    await clean(async () => {
      for (const [indexing, want] of [
        [
          'ij',
          [
            [
              [0, 0, 0],
              [1, 1, 1],
            ],
            [
              [0, 1, 2],
              [0, 1, 2],
            ],
          ],
        ],
        [
          'xy',
          [
            [
              [0, 1],
              [0, 1],
              [0, 1],
            ],
            [
              [0, 0],
              [1, 1],
              [2, 2],
            ],
          ],
        ],
      ] as const) {
        const grid = tl.tidy(() => tl.meshgrid([tl.arange(2), tl.arange(3)], { indexing }));
        expect(await Promise.all(grid.map(given))).toEqual(want);
      }
    });
  });

  it('differentiates windows to every order', async () => {
    await clean(async () => {
      // Of x0^3 x1^3 + x1^3 x2^3, along all ones, three times: by hand.
      const third = tl.tidy(() => {
        const x = tl.tensor([1, 1, 1], { requiresGrad: true });
        const windows = x.unfold(0, 2, 1).pow(3);
        let y = windows.select(1, 0).mul(windows.select(1, 1)).sum();
        for (let k = 0; k < 3; k++) y = tl.grad([y], [x], { createGraph: true })[0]!.sum();
        return y.detach();
      });
      expect(await given(third)).toBe(240);
    });
  });

  it('is one kernel, whatever moves along', async () => {
    await clean((device) => {
      tl.tidy(() => {
        const x = tl.ones([3, 4]);
        device.engine.flush();
        expect(tl.explain(x.mul(2).tril())).toMatch(/^1 kernel/);
        expect(tl.explain(x.pad([1, 1, 1, 1]))).toMatch(/^1 kernel/);
        expect(tl.explain(x.add(1).unfold(1, 2, 1).sum({ dim: -1 }))).toMatch(/^1 kernel/);
      });
    });
  });
});
