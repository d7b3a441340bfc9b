import { expect, it } from 'vitest';
import { counted, onDevices, type Refusal, refuses, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

interface Values {
  readonly shape: readonly number[];
  readonly at: (index: readonly number[]) => number;
}

/** Small whole numbers, so that every order of summation gives the same. */
function draw(shape: readonly number[], seed: number): Values & { readonly tensor: () => Tensor } {
  const size = shape.reduce((n, m) => n * m, 1);
  const values = Array.from({ length: size }, (_, i) => (((i + 1) * 7919 + seed * 104729) % 7) - 3);
  return {
    shape,
    at: (index) => values[index.reduce((flat, i, d) => flat * shape[d]! + i, 0)]!,
    tensor: () => tl.tensor(values, { shape }),
  };
}

/** The definition: a loop over all labels. Letters only, and an arrow. */
function loops(equation: string, operands: readonly Values[]): { shape: number[]; values: number[] } {
  const [left, output] = equation.replaceAll(' ', '').split('->') as [string, string];
  const terms = left.split(',');
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    [...term].forEach((l, d) => {
      const n = operands[i]!.shape[d]!;
      if (n !== 1 || !sizes.has(l)) sizes.set(l, n);
    });
  });
  const labels = [...output, ...[...sizes.keys()].filter((l) => !output.includes(l))];
  const shape = [...output].map((l) => sizes.get(l)!);
  const values = new Array<number>(shape.reduce((n, m) => n * m, 1)).fill(0);
  const place = new Map<string, number>();
  const go = (depth: number): void => {
    const label = labels[depth];
    if (label === undefined) {
      const flat = [...output].reduce((at, l) => at * sizes.get(l)! + place.get(l)!, 0);
      const factors = terms.map((term, i) =>
        operands[i]!.at([...term].map((l, d) => (operands[i]!.shape[d] === 1 ? 0 : place.get(l)!))),
      );
      values[flat] = values[flat]! + factors.reduce((a, b) => a * b, 1);
      return;
    }
    for (let i = 0; i < sizes.get(label)!; i++) {
      place.set(label, i);
      go(depth + 1);
    }
  };
  go(0);
  return { shape, values };
}

const EQUATIONS: readonly (readonly [equation: string, shapes: number[][]])[] = [
  ['ij->ji', [[2, 3]]],
  ['ii->', [[3, 3]]],
  ['iji->j', [[3, 2, 3]]],
  ['iiij->ij', [[2, 2, 2, 3]]],
  ['ij->', [[2, 3]]],
  ['->', [[]]],
  ['i,i->', [[5], [5]]],
  ['i,i->i', [[5], [5]]],
  ['i,j->ji', [[2], [3]]],
  [' i j , j -> i ', [[2, 3], [3]]],
  ['j,ij->i', [[3], [2, 3]]],
  [
    'ij,kj->ik',
    [
      [2, 3],
      [4, 3],
    ],
  ],
  [
    'ij,jk->ki',
    [
      [2, 3],
      [3, 4],
    ],
  ],
  [
    'abij,abjk->baik',
    [
      [2, 3, 2, 4],
      [2, 3, 4, 2],
    ],
  ],
  [
    'bij,bkj->bik',
    [
      [2, 3, 4],
      [2, 2, 4],
    ],
  ],
  [
    'aibj,bjc->ica',
    [
      [2, 3, 2, 4],
      [2, 4, 2],
    ],
  ],
  [
    'ij,ij->j',
    [
      [2, 3],
      [2, 3],
    ],
  ],
  [
    'ij,kl->il',
    [
      [2, 3],
      [4, 2],
    ],
  ],
  [
    'ii,ij->j',
    [
      [3, 3],
      [3, 2],
    ],
  ],
  [
    'ij,ij->ij',
    [
      [2, 1],
      [1, 3],
    ],
  ],
  [
    'ij,jk->ik',
    [
      [2, 1],
      [3, 4],
    ],
  ],
  [
    'bij,bjk->bik',
    [
      [1, 2, 3],
      [4, 3, 2],
    ],
  ],
  [
    'Aa,aB->BA',
    [
      [2, 3],
      [3, 4],
    ],
  ],
  [
    'ij,jk,kl->il',
    [
      [2, 3],
      [3, 4],
      [4, 2],
    ],
  ],
  [
    'bi,kij,bj->bk',
    [
      [3, 2],
      [4, 2, 5],
      [3, 5],
    ],
  ],
  ['i,i,i->i', [[3], [3], [3]]],
  ['ij,j,i->', [[2, 3], [3], [2]]],
  [
    'ij,jk->ik',
    [
      [2, 0],
      [0, 3],
    ],
  ],
  [
    'ij,jk->ik',
    [
      [0, 2],
      [2, 3],
    ],
  ],
];

const SAME: readonly (readonly [name: string, einsum: () => Tensor, other: () => Tensor])[] = [
  [
    'an ellipsis that broadcasts',
    () => tl.einsum('...ij,...jk->...ik', counted(2, 1, 3, 5), counted(4, 5, 2)),
    () => counted(2, 1, 3, 5).matmul(counted(4, 5, 2)),
  ],
  [
    'an ellipsis that moves',
    () => tl.einsum('i...->...i', counted(2, 3, 4)),
    () => counted(2, 3, 4).permute([1, 2, 0]),
  ],
  ['an ellipsis of nothing', () => tl.einsum('...i->...', counted(3)), () => counted(3).sum()],
  [
    'an ellipsis that is summed',
    () => tl.einsum('...i->i', counted(2, 3, 4)),
    () => counted(2, 3, 4).sum({ dim: [0, 1] }),
  ],
  ['no arrow', () => tl.einsum('kj,ji', counted(2, 3), counted(3, 4)), () => counted(2, 3).matmul(counted(3, 4)).t()],
  ['no arrow and an ellipsis', () => tl.einsum('b...a', counted(2, 3, 4)), () => counted(2, 3, 4).permute([1, 2, 0])],
  ['no arrow and a diagonal', () => tl.einsum('ii', counted(3, 3)), () => counted(3, 3).trace()],
  [
    'an ellipsis between',
    () => tl.einsum('a...b,b->a...', counted(2, 3, 4), counted(4)),
    () => counted(2, 3, 4).matmul(counted(4)),
  ],
  [
    'integers',
    () => tl.einsum('ij,jk->ik', counted(2, 3).to('int32'), counted(3, 2).to('int32')),
    () => counted(2, 3).matmul(counted(3, 2)).to('int32'),
  ],
];

const BAD: readonly Refusal[] = [
  [
    'no equation',
    () => tl.einsum(tl.ones([2]) as never, tl.ones([2])),
    tl.UnsupportedError,
    /einsum: the equation is a Tensor; give a string/,
  ],
  ['no operands', () => tl.einsum('i'), tl.UnsupportedError, /einsum: at least one input/],
  [
    'an operand too few',
    () => tl.einsum('ij,jk->ik', tl.ones([2, 2])),
    tl.UnsupportedError,
    /einsum: 'ij,jk->ik' names 2 operands and was given 1/,
  ],
  [
    'two arrows',
    () => tl.einsum('i->i->i', tl.ones([2])),
    tl.UnsupportedError,
    /einsum: 'i->i->i' has more than one '->'/,
  ],
  [
    'a digit',
    () => tl.einsum('i1->i', tl.ones([2, 2])),
    tl.UnsupportedError,
    /einsum: 'i1->i' has 1 in it; use letters/,
  ],
  ['two dots', () => tl.einsum('..i', tl.ones([2, 2])), tl.UnsupportedError, /einsum: '..i' has \. in it/],
  [
    'two ellipses',
    () => tl.einsum('...i...', tl.ones([2, 2])),
    tl.UnsupportedError,
    /has '\.\.\.' twice in one operand/,
  ],
  [
    'a label from nowhere',
    () => tl.einsum('i->j', tl.ones([2])),
    tl.UnsupportedError,
    /einsum: 'i->j' has j in the output, where it must/,
  ],
  [
    'a label twice in the output',
    () => tl.einsum('i->ii', tl.ones([2])),
    tl.UnsupportedError,
    /einsum: 'i->ii' has i in the output/,
  ],
  [
    'a label too few',
    () => tl.einsum('i,i', tl.ones([2, 3]), tl.ones([2])),
    tl.ShapeError,
    /einsum: 'i,i' names 1 dims of operand 0, whose shape is \[2, 3\]/,
  ],
  [
    'more labels than dims',
    () => tl.einsum('...ij', tl.ones([2])),
    tl.ShapeError,
    /einsum: '...ij' names 2 dims of operand 0, whose shape is \[2\]/,
  ],
  [
    'sizes that differ',
    () => tl.einsum('ij,jk->ik', tl.ones([2, 3]), tl.ones([4, 2])),
    tl.ShapeError,
    /einsum: in 'ij,jk->ik', j is 4 in operand 1 of shape \[4, 2\] and 3 elsewhere/,
  ],
  [
    'a diagonal of a matrix that is not square',
    () => tl.einsum('ii', tl.ones([1, 3])),
    tl.ShapeError,
    /einsum: in 'ii', i is 3 in operand 0 of shape \[1, 3\] and 1 elsewhere/,
  ],
  [
    'ellipses that do not broadcast',
    () => tl.einsum('...,...', tl.ones([2]), tl.ones([3])),
    tl.ShapeError,
    /einsum: in '...,...', ... is 3 in operand 1/,
  ],
];

onDevices('einsum', (clean) => {
  it.each(EQUATIONS)('%s', async (equation, shapes) => {
    await clean(async () => {
      const operands = shapes.map((shape, i) => draw(shape, i));
      const out = tl.tidy(() => tl.einsum(equation, ...operands.map((o) => o.tensor())));
      const want = loops(equation, operands);
      expect(out.shape).toEqual(want.shape);
      expect(Array.from(await out.data(), (v) => v + 0)).toEqual(want.values);
      out.dispose();
    });
  });

  it.each(SAME)('%s', async (_, einsum, other) => {
    await clean(async () => {
      const [got, want] = [tl.tidy(einsum), tl.tidy(other)];
      expect([got.shape, got.dtype]).toEqual([want.shape, want.dtype]);
      expect(await got.toArray()).toEqual(await want.toArray());
      got.dispose();
      want.dispose();
    });
  });

  it.each(BAD)('%s is an error', async (_, run, error, says) => {
    await clean(() => {
      refuses(run, error, says);
    });
  });

  it('gives each operand its gradient, broadcast or repeated', async () => {
    await clean(async () => {
      const grads = tl.tidy(() => {
        const a = tl.tensor(
          [
            [1, 2],
            [3, 4],
          ],
          { requiresGrad: true },
        );
        const b = tl.tensor([[5, 6]], { requiresGrad: true });
        // Of the sum over i and j of a[i, i] * b[0, j].
        return tl.grad([tl.einsum('ii,ij->', a, b)], [a, b]);
      });
      expect(await Promise.all(grads.map((g) => g.toArray()))).toEqual([
        [
          [11, 0],
          [0, 11],
        ],
        [[5, 5]],
      ]);
      for (const g of grads) g.dispose();
    });
  });

  it('multiplies without copies where matmul can read the operands', async () => {
    await clean((device) => {
      tl.tidy(() => {
        const [q, k] = [tl.ones([2, 3, 4, 5]), tl.ones([2, 3, 6, 5])];
        device.engine.flush();
        expect(tl.explain(tl.einsum('bhqd,bhkd->bhqk', q, k))).toMatch(/^1 kernel/);
        expect(tl.explain(tl.einsum('bhqd,bhqd->bh', q, q))).toMatch(/^1 kernel/);
      });
    });
  });
});
