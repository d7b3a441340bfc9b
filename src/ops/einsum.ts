import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { mul } from './elementwise.ts';
import { matmul } from './matmul.ts';
import { compose, describe, deviceOf, promoting } from './record.ts';
import { type Samples, sample } from './samples.ts';
import { diagonal, permute, reshape, squeeze, sum } from './structure.ts';

/** A tensor with a label for each dim, no label twice. */
interface Labelled {
  readonly t: Tensor;
  readonly labels: readonly string[];
}

/**
 * Products of tensors, summed over the labels that are not in the output, in Einstein's notation (`torch.einsum`): a letter for each dim
 * of each operand, operands separated by commas, then `->` and the letters of the output; without an arrow, those that occur
 * once, in alphabetical order. `...` stands for any dims, which broadcast; a letter twice in one operand takes its diagonal.
 * Operands are multiplied from left to right, by matmul where it fits.
 *
 * @throws UnsupportedError for an equation that cannot be read or does not name the operands.
 * @throws ShapeError when its letters do not fit the shapes.
 * @example
 * ```ts
 * const scores = tl.einsum('bqd,bkd->bqk', tl.ones([2, 3, 8]), tl.ones([2, 5, 8])); // shape [2, 3, 5]
 * ```
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  if (typeof equation !== 'string')
    throw new UnsupportedError(`einsum: the equation is ${describe(equation)}; give a string such as 'ij,jk->ik'`);
  deviceOf('einsum', operands);
  promoting('einsum', operands);
  const { inputs, output } = read(equation, operands);
  const sizes = sizesOf(equation, inputs, operands);
  return compose('einsum', () => {
    const parts = operands.map((t, i) => simplified({ t, labels: inputs[i]! }, sizes));
    let total = parts[0]!;
    for (const [i, next] of parts.slice(1).entries()) {
      const later = new Set([...output, ...parts.slice(i + 2).flatMap((p) => p.labels)]);
      total = contracted(total, next, later);
    }
    const { t, labels } = summed(total, new Set(output));
    return permute(
      t,
      output.map((l) => labels.indexOf(l)),
    );
  });
}

const LETTER = /^[A-Za-z]$/;

/** The labels of each operand and of the output, ellipses as labels of their own, counted from the right. */
function read(equation: string, operands: readonly Tensor[]): { inputs: string[][]; output: string[] } {
  const wrong = (what: string): UnsupportedError => new UnsupportedError(`einsum: '${equation}' ${what}`);
  const [left = '', right, ...rest] = equation.replaceAll(' ', '').split('->');
  if (rest.length > 0) throw wrong("has more than one '->'; write the operands, one arrow, and the output");
  const terms = left.split(',');
  if (terms.length !== operands.length)
    throw wrong(`names ${terms.length} operands and was given ${operands.length}; separate them by commas`);
  const letters = (term: string, dots: number): string[] => {
    const [before = '', after = '', ...more] = term.split('...');
    const found = [...before, ...after];
    const bad = found.find((c) => !LETTER.test(c));
    if (bad !== undefined) throw wrong(`has ${bad} in it; use letters, '...', commas and '->'`);
    if (more.length > 0) throw wrong("has '...' twice in one operand or in the output; once is enough");
    const any = term.includes('...') ? Array.from({ length: dots }, (_, i) => `.${dots - i}`) : [];
    return [...before, ...any, ...after];
  };
  let most = 0;
  const inputs = terms.map((term, i) => {
    const { shape, ndim } = operands[i]!;
    const named = letters(term, 0).length;
    if (term.includes('...') ? named > ndim : named !== ndim)
      throw new ShapeError(
        `einsum: '${equation}' names ${named} dims of operand ${i}, whose shape is ${showShape(shape)}; name each, or write '...' for the others`,
      );
    if (term.includes('...')) most = Math.max(most, ndim - named);
    return letters(term, ndim - named);
  });
  const all = inputs.flat();
  if (right !== undefined) {
    const output = letters(right, most);
    const strange = output.find((l, i) => !all.includes(l) || output.indexOf(l) !== i);
    if (strange !== undefined)
      throw wrong(`has ${strange} in the output, where it must occur once, and in an operand as well`);
    return { inputs, output };
  }
  const once = [...new Set(all)].filter((l) => LETTER.test(l) && all.indexOf(l) === all.lastIndexOf(l));
  return { inputs, output: [...letters('...', most), ...once.sort()] };
}

/** The size of each label: equal in all operands, but that a size of 1 broadcasts. */
function sizesOf(equation: string, inputs: readonly string[][], operands: readonly Tensor[]): Map<string, number> {
  const sizes = new Map<string, number>();
  inputs.forEach((labels, i) => {
    const { shape } = operands[i]!;
    labels.forEach((label, d) => {
      const n = shape[d]!;
      const known = sizes.get(label) ?? 1;
      const twin = labels.indexOf(label);
      if ((n !== known && n !== 1 && known !== 1) || n !== shape[twin])
        throw new ShapeError(
          `einsum: in '${equation}', ${LETTER.test(label) ? label : '...'} is ${n} in operand ${i} of shape ${showShape(shape)} and ${n !== shape[twin] ? shape[twin] : known} elsewhere; the sizes must agree`,
        );
      sizes.set(label, known === 1 ? n : known);
    });
  });
  return sizes;
}

/** Diagonals in place of repeated labels, and no dims of size 1 that broadcast. */
function simplified({ t, labels }: Labelled, sizes: ReadonlyMap<string, number>): Labelled {
  const second = labels.findIndex((l, d) => labels.indexOf(l) !== d);
  if (second >= 0) {
    const first = labels.indexOf(labels[second]!);
    const rest = labels.filter((_, d) => d !== first && d !== second);
    return simplified({ t: diagonal(t, 0, first, second), labels: [...rest, labels[second]!] }, sizes);
  }
  const repeats = labels.map((l, d) => t.shape[d] === 1 && sizes.get(l) !== 1);
  if (!repeats.includes(true)) return { t, labels };
  const dims = labels.map((_, d) => d).filter((d) => repeats[d]);
  return { t: squeeze(t, dims), labels: labels.filter((_, d) => !repeats[d]) };
}

/** Without the labels that nobody wants. */
function summed({ t, labels }: Labelled, wanted: ReadonlySet<string>): Labelled {
  const dims = labels.map((_, d) => d).filter((d) => !wanted.has(labels[d]!));
  return dims.length === 0 ? { t, labels } : { t: sum(t, { dim: dims }), labels: labels.filter((l) => wanted.has(l)) };
}

/** The product of two operands, without the labels that are not needed later. */
function contracted(a: Labelled, b: Labelled, later: ReadonlySet<string>): Labelled {
  const x = summed(a, new Set([...later, ...b.labels]));
  const y = summed(b, new Set([...later, ...a.labels]));
  const shared = x.labels.filter((l) => y.labels.includes(l));
  const batch = shared.filter((l) => later.has(l));
  const over = shared.filter((l) => !later.has(l));
  const rows = x.labels.filter((l) => !shared.includes(l));
  const columns = y.labels.filter((l) => !shared.includes(l));
  if (over.length === 0 || (rows.length === 0 && columns.length === 0)) {
    const labels = [...batch, ...rows, ...columns, ...over];
    return summed({ t: mul(aligned(x, labels), aligned(y, labels)), labels }, later);
  }
  const product = matmul(merged(x, batch, rows, over), merged(y, batch, over, columns));
  const size = (of: Labelled, labels: readonly string[]): number[] =>
    labels.map((l) => of.t.shape[of.labels.indexOf(l)]!);
  return {
    t: reshape(product, [...size(x, batch), ...size(x, rows), ...size(y, columns)]),
    labels: [...batch, ...rows, ...columns],
  };
}

/** A dim for each of the labels, of size 1 for those that it lacks. */
function aligned({ t, labels }: Labelled, wanted: readonly string[]): Tensor {
  const own = wanted.filter((l) => labels.includes(l));
  const ordered = permute(
    t,
    own.map((l) => labels.indexOf(l)),
  );
  return reshape(
    ordered,
    wanted.map((l) => (labels.includes(l) ? t.shape[labels.indexOf(l)]! : 1)),
  );
}

/** A batch of matrices: the dims of `rows` as one, and those of `columns`. */
function merged({ t, labels }: Labelled, ...groups: [batch: string[], rows: string[], columns: string[]]): Tensor {
  const [batch, ...matrix] = groups.map((group) => group.map((l) => t.shape[labels.indexOf(l)]!));
  const ordered = permute(
    t,
    groups.flat().map((l) => labels.indexOf(l)),
  );
  return reshape(ordered, [...batch!, ...matrix.map((sizes) => sizes.reduce((n, m) => n * m, 1))]);
}

/** @internal */
export const samples = (): Samples => ({
  einsum: {
    calls: [
      sample(
        [
          [3, 5],
          [5, 4],
        ],
        (a, b) => einsum('ij,jk->ik', a, b),
      ),
      sample(
        [
          [2, 3, 5],
          [2, 5, 4],
        ],
        (a, b) => einsum('bij,bjk->bki', a, b),
      ),
      sample([[3], [5]], (a, b) => einsum('i,j', a, b)),
      sample([[4, 4]], (a) => einsum('ii', a)),
      sample([[3, 2, 3]], (a) => einsum('iji->ji', a)),
      sample(
        [
          [2, 1, 3, 5],
          [4, 5, 2],
        ],
        (a, b) => einsum('...ij, ...jk -> ...ik', a, b),
      ),
      sample([[2, 3, 4]], (a) => einsum('i...->...', a)),
      sample([[2, 3, 4]], (a) => einsum('...k->k', a)),
      sample(
        [
          [3, 4],
          [3, 4],
        ],
        (a, b) => einsum('ij,ij->i', a, b),
      ),
      sample(
        [
          [3, 2],
          [4, 2, 5],
          [3, 5],
        ],
        (a, b, c) => einsum('bi,kij,bj->bk', a, b, c),
      ),
      sample(
        [
          [3, 1],
          [1, 4],
        ],
        (a, b) => einsum('ij,ij->ij', a, b),
      ),
      sample([[], [2]], (a, b) => einsum(',i->i', a, b)),
      sample(
        [
          [0, 3],
          [3, 2],
        ],
        (a, b) => einsum('ij,jk->ik', a, b),
      ),
      sample(
        [
          { shape: [2, 3], dtype: 'int32' },
          { shape: [3, 2], dtype: 'int32' },
        ],
        (a, b) => einsum('ij,jk', a, b),
      ),
    ],
  },
});
