import { checkFlag, checkOptions, describe } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';
import { epochAxis, linearAxis, logAxis } from './axis.ts';
import { escaped, Paint, type PlotOptions, px, titleOf, widthOf } from './svg.ts';

/** What `plot` draws: what `fit` gives, or anything of that form. */
export interface PlottedHistory {
  /** The numbers of the epochs, from 0. */
  readonly epoch: readonly number[];
  /** Figures over the epochs, by name; `valLoss` is drawn with `loss`. */
  readonly history: Readonly<Record<string, readonly number[]>>;
}

/** Options of `plot`. */
export interface PlotHistoryOptions extends PlotOptions {
  /** Which figures to draw, in this order; all unless given. */
  readonly figures?: readonly string[] | undefined;
  /** Charts side by side; 2 unless given. */
  readonly columns?: number | undefined;
  /** Width of a chart in pixels; 380 unless given. */
  readonly width?: number | undefined;
  /** Height of a chart in pixels; 250 unless given. */
  readonly height?: number | undefined;
  /** Powers of ten on the vertical axes; numbers up to 0 are left out then. */
  readonly logScale?: boolean | undefined;
}

interface Series {
  readonly label: string;
  readonly role: 'first' | 'second';
  readonly values: readonly number[];
}

/** Figures with those of the validation data beside them. */
function charts({ history }: PlottedHistory): Map<string, Series[]> {
  const found = new Map<string, Series[]>();
  for (const [name, values] of Object.entries(history)) {
    const base = /^val[A-Z]/.test(name) ? name.charAt(3).toLowerCase() + name.slice(4) : name;
    const held = base !== name && Object.hasOwn(history, base);
    const list = found.get(held ? base : name) ?? [];
    found.set(held ? base : name, list);
    list.push({ label: held ? 'validation' : 'training', role: held ? 'second' : 'first', values });
  }
  return found;
}

/** A line through the points of a series, with gaps where there is no number; few points are marked. */
function line(
  paint: Paint,
  { label, role, values }: Series,
  epochs: readonly number[],
  place: (epoch: number, value: number) => readonly [number, number] | null,
): string[] {
  const runs: { x: number; y: number; i: number }[][] = [[]];
  values.forEach((value, i) => {
    const at = place(epochs[i] ?? i, value);
    if (at) runs.at(-1)?.push({ x: at[0], y: at[1], i });
    else if (runs.at(-1)?.length) runs.push([]);
  });
  const parts = runs
    .filter((run) => run.length > 1)
    .map(
      (run) =>
        `<polyline points="${run.map(({ x, y }) => `${px(x)},${px(y)}`).join(' ')}" fill="none" ${paint.stroke(role)} stroke-width="2" stroke-linejoin="round" stroke-linecap="round"/>`,
    );
  const marked = runs.filter((run) => run.length === 1 || values.length <= 25).flat();
  for (const { x, y, i } of marked)
    parts.push(
      `<circle cx="${px(x)}" cy="${px(y)}" r="2.6" ${paint.fill(role)}><title>${escaped(`${label}, epoch ${(epochs[i] ?? i) + 1}: ${values[i]}`)}</title></circle>`,
    );
  return parts;
}

function chart(
  paint: Paint,
  name: string,
  series: readonly Series[],
  epochs: readonly number[],
  box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number },
  log: boolean,
): string[] {
  const drawn = (v: number): boolean => Number.isFinite(v) && (!log || v > 0);
  const all = series.flatMap(({ values }) => values.filter(drawn));
  const head = box.y + 22;
  const parts = [paint.text(box.x + 12, head, name, 'ink', 'font-size="13" font-weight="600"')];
  if (series.length > 1) {
    let right = box.x + box.width - 12;
    for (const { label, role } of [...series].reverse()) {
      parts.push(paint.text(right, head, label, 'soft', 'text-anchor="end"'));
      right -= 0.92 * widthOf(label) + 8;
      parts.push(
        `<line x1="${px(right - 16)}" x2="${px(right)}" y1="${px(head - 4)}" y2="${px(head - 4)}" ${paint.stroke(role)} stroke-width="2.5" stroke-linecap="round"/>`,
      );
      right -= 32;
    }
  }
  if (all.length === 0) {
    const middle = box.y + box.height / 2;
    parts.push(paint.text(box.x + box.width / 2, middle, 'no finite values', 'soft', 'text-anchor="middle"'));
    return parts;
  }
  const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
  const vertical = log ? logAxis(low, high) : linearAxis(low, high);
  const labels = vertical.ticks.reduce((n, { text }) => Math.max(n, widthOf(text, 11)), 0);
  const [left, right] = [box.x + labels + 20, box.x + box.width - 16];
  const [top, bottom] = [box.y + 38, box.y + box.height - 40];
  const first = epochs[0] ?? 0;
  const horizontal = epochAxis(first, epochs.at(-1) ?? first, (right - left) / 45);
  const x = (epoch: number): number => left + horizontal.at(epoch) * (right - left);
  const y = (value: number): number => bottom - vertical.at(value) * (bottom - top);
  for (const { value, text } of vertical.ticks) {
    const at = y(value);
    parts.push(
      `<line x1="${px(left)}" x2="${px(right)}" y1="${px(at)}" y2="${px(at)}" ${paint.stroke('grid')}/>`,
      paint.text(left - 8, at + 4, text, 'soft', 'font-size="11" text-anchor="end"'),
    );
  }
  parts.push(
    `<line x1="${px(left)}" x2="${px(right)}" y1="${px(bottom)}" y2="${px(bottom)}" ${paint.stroke('soft')}/>`,
  );
  for (const { value, text } of horizontal.ticks) {
    const at = x(value);
    parts.push(
      `<line x1="${px(at)}" x2="${px(at)}" y1="${px(bottom)}" y2="${px(bottom + 4)}" ${paint.stroke('soft')}/>`,
      paint.text(at, bottom + 17, text, 'soft', 'font-size="11" text-anchor="middle"'),
    );
  }
  parts.push(paint.text((left + right) / 2, bottom + 33, 'epoch', 'soft', 'font-size="11" text-anchor="middle"'));
  // Training lies on top.
  for (const one of [...series].reverse())
    parts.push(...line(paint, one, epochs, (epoch, v) => (drawn(v) ? [x(epoch), y(v)] : null)));
  return parts;
}

/**
 * Draws losses and metrics over the epochs as an SVG, as text: a chart for each figure, with that of the validation data beside it.
 * For a file, or for a page: `element.innerHTML = plot(history)`.
 *
 * @throws UnsupportedError for what is no history, and for options whose values break their rule.
 * @example
 * ```ts
 * const history = await model.fit(x, y, { epochs: 20, validationSplit: 0.2 });
 * const svg = tl.plot(history, { logScale: true });
 * ```
 */
export function plot(history: PlottedHistory, options: PlotHistoryOptions = {}): string {
  checkOptions('plot', options, ['figures', 'columns', 'width', 'height', 'logScale', 'theme', 'title']);
  const { columns = 2, width = 380, height = 250, logScale = false, theme, title } = options;
  if (typeof history !== 'object' || history === null || !Array.isArray(history.epoch) || !history.history)
    throw new UnsupportedError(`plot: ${describe(history)} is no history; pass what fit gave: { epoch, history }`);
  if (!Number.isInteger(columns) || columns < 1)
    throw new UnsupportedError(`plot: columns is ${describe(columns)}, but it must be a whole number of at least 1`);
  for (const [name, value, least] of [
    ['width', width, 160],
    ['height', height, 120],
  ] as const)
    if (!(Number.isFinite(value) && value >= least))
      throw new UnsupportedError(`plot: ${name} is ${describe(value)}, but it must be a number of at least ${least}`);
  checkFlag('plot', 'logScale', logScale);
  const paint = new Paint('plot', theme);
  const known = charts(history);
  const names = options.figures ?? [...known.keys()];
  const shown = names.map((name) => {
    const series = known.get(name);
    if (!series)
      throw new UnsupportedError(
        `plot: there is no figure ${describe(name)} in the history; it has ${[...known.keys()].join(', ') || 'none'}`,
      );
    return { name, series };
  });
  const across = Math.max(1, Math.min(columns, shown.length));
  const down = Math.max(1, Math.ceil(shown.length / across));
  const head = titleOf(paint, title, across * width);
  const body = shown.flatMap(({ name, series }, i) => {
    const box = { x: (i % across) * width, y: head.height + Math.floor(i / across) * height, width, height };
    return chart(paint, name, series, history.epoch, box, logScale);
  });
  const label = title ?? `${names.join(', ')} over ${history.epoch.length} epochs`;
  return paint.document(across * width, head.height + down * height, label, [...head.text, ...body]);
}
