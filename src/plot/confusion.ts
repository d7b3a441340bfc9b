import { checkFlag, checkOptions, describe } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';
import { escaped, Paint, type PlotOptions, px, titleOf, widthOf } from './svg.ts';

/** Options of `plotConfusionMatrix`. */
export interface ConfusionMatrixOptions extends PlotOptions {
  /** Names of the classes; their numbers unless given. */
  readonly labels?: readonly string[] | undefined;
  /** Write shares of each row, in percent, in place of counts. */
  readonly normalize?: boolean | undefined;
}

/**
 * Draws a confusion matrix as an SVG, as text: rows are the labels, columns the answers, and each cell is as strong as its share of its
 * row. Takes what `nn.metrics.ConfusionMatrix` computes.
 *
 * @throws UnsupportedError for what is no square of counts, and for options whose values break their rule.
 * @example
 * ```ts
 * const svg = tl.plotConfusionMatrix([[9, 1], [2, 8]], { labels: ['cat', 'dog'] });
 * ```
 */
export function plotConfusionMatrix(
  matrix: readonly (readonly number[])[],
  options: ConfusionMatrixOptions = {},
): string {
  const op = 'plotConfusionMatrix';
  checkOptions(op, options, ['labels', 'normalize', 'theme', 'title']);
  checkFlag(op, 'normalize', options.normalize);
  const { normalize = false, title } = options;
  const n = Array.isArray(matrix) ? matrix.length : 0;
  const square =
    n > 0 &&
    matrix.every((row) => Array.isArray(row) && row.length === n && row.every((v) => Number.isFinite(v) && v >= 0));
  if (!square)
    throw new UnsupportedError(
      `${op}: ${describe(matrix)} is no square of counts; pass what await nn.metrics.ConfusionMatrix.compute() gives`,
    );
  const labels = options.labels ?? matrix.map((_, i) => String(i));
  if (!Array.isArray(labels) || labels.length !== n)
    throw new UnsupportedError(`${op}: labels are ${describe(labels)}, but there must be ${n} of them, one a class`);
  const paint = new Paint(op, options.theme);
  const shares = matrix.map((row) => {
    const total = row.reduce((a, b) => a + b, 0);
    return row.map((v) => (total > 0 ? v / total : 0));
  });
  const texts = matrix.map((row, i) =>
    row.map((v, j) => (normalize ? `${Math.round(100 * (shares[i]?.[j] ?? 0))}%` : v.toLocaleString('en'))),
  );
  const names = labels.map(String);
  const longest = Math.max(...names.map((name) => widthOf(name)));
  const widest = Math.max(...texts.flat().map((text) => widthOf(text)));
  const cell = Math.max(34, Math.min(64, 420 / n), widest + 14);
  // Names that do not fit under their column are turned.
  const turned = longest > cell - 6;
  const [left, below] = [longest + 46, (turned ? longest * 0.75 + 14 : 22) + 28];
  const side = n * cell;
  const width = left + side + 20;
  const head = titleOf(paint, title, width);
  const top = head.height + 16;
  const body = [...head.text];
  names.forEach((name, i) => {
    const middle = (i + 0.5) * cell;
    body.push(paint.text(left - 10, top + middle + 4, name, 'ink', 'text-anchor="end"'));
    const [x, y] = [left + middle, top + side + 18];
    const how = turned ? `text-anchor="end" transform="rotate(-45 ${px(x)} ${px(y)})"` : 'text-anchor="middle"';
    body.push(paint.text(x, y, name, 'ink', how));
  });
  texts.forEach((row, i) => {
    row.forEach((text, j) => {
      const share = shares[i]?.[j] ?? 0;
      const [x, y] = [left + j * cell, top + i * cell];
      const say = `${names[i]} taken for ${names[j]}: ${matrix[i]?.[j]}, ${(100 * share).toFixed(1)}%`;
      body.push(
        `<g><title>${escaped(say)}</title>`,
        `<rect x="${px(x + 1)}" y="${px(y + 1)}" width="${px(cell - 2)}" height="${px(cell - 2)}" rx="3" ${paint.fill('grid')} fill-opacity="0.55"/>`,
        `<rect x="${px(x + 1)}" y="${px(y + 1)}" width="${px(cell - 2)}" height="${px(cell - 2)}" rx="3" ${paint.fill('first')} fill-opacity="${(0.9 * share).toFixed(3)}"/>`,
        paint.text(
          x + cell / 2,
          y + cell / 2 + 4,
          text,
          share > 0.5 ? 'back' : share > 0 ? 'ink' : 'soft',
          `text-anchor="middle"${i === j ? ' font-weight="600"' : ''}`,
        ),
        '</g>',
      );
    });
  });
  const bottom = top + side + below;
  const middle = top + side / 2;
  body.push(paint.text(left + side / 2, bottom - 10, 'predicted', 'soft', 'text-anchor="middle"'));
  body.push(paint.text(18, middle, 'actual', 'soft', `text-anchor="middle" transform="rotate(-90 18 ${px(middle)})"`));
  return paint.document(width, bottom, title ?? `confusion matrix of ${n} classes`, body);
}
