import { type DType, isFloating } from './dtype.ts';
import type { View } from './shape.ts';

/** How tensors are printed (`torch.set_printoptions`). */
export interface PrintOptions {
  /** Digits after the point of floating numbers; 4 unless set. */
  readonly precision?: number | undefined;
  /** Tensors of more elements than this are summarised; 1000 unless set. */
  readonly threshold?: number | undefined;
  /** How many elements a summary shows at either end of a dim; 3 unless set. */
  readonly edgeItems?: number | undefined;
  /** Characters in a line; 80 unless set. */
  readonly lineWidth?: number | undefined;
  /** Whether floating numbers are written as 1.0000e+03; null, as unless set, lets the values decide. */
  readonly sciMode?: boolean | null | undefined;
}

/** Print options that are all there. */
export type PrintSettings = { readonly [K in keyof PrintOptions]-?: Exclude<PrintOptions[K], undefined> };

/** Rounds ties to even digits, as Python does; JavaScript rounds them up. */
function rounded(digits: number, show: (digits: number) => string): string {
  const exact = show(Math.min(100, digits + 30));
  const point = exact.indexOf('.') + 1;
  const [tail, exponent] = exact.slice(point + digits).split('e');
  if (/^50*$/.test(tail!) && Number(exact.slice(0, point + digits).at(digits === 0 ? -2 : -1)) % 2 === 0)
    return exact.slice(0, digits === 0 ? point - 1 : point + digits) + (exponent === undefined ? '' : `e${exponent}`);
  return show(digits);
}

const sign = (x: number): string => (Object.is(x, -0) ? '-' : '');

function fixed(x: number, digits: number): string {
  // Past 1e21 JavaScript gives an exponent.
  if (Math.abs(x) >= 1e21) return `${BigInt(x)}${digits > 0 ? `.${'0'.repeat(digits)}` : ''}`;
  return sign(x) + rounded(digits, (d) => x.toFixed(d));
}

const scientific = (x: number, digits: number): string =>
  sign(x) + rounded(digits, (d) => x.toExponential(d)).replace(/e([+-])(\d)$/, 'e$10$2');

/** How all elements of a tensor are written, and how wide they are at most. */
interface Style {
  readonly width: number;
  readonly show: (x: number) => string;
}

/** One style for all elements, by PyTorch's rules. */
function styleOf(values: readonly number[], dtype: DType, { precision, sciMode }: PrintSettings): Style {
  const widest = (texts: readonly string[]): number => texts.reduce((n, t) => Math.max(n, t.length), 1);
  if (!isFloating(dtype)) {
    const show = dtype === 'bool' ? (x: number) => String(x !== 0) : String;
    return { width: widest(values.map(show)), show };
  }
  const special = (x: number): string | null =>
    Number.isFinite(x) ? null : String(x).replace('Infinity', 'inf').replace('NaN', 'nan');
  const shown = values.filter((x) => Number.isFinite(x) && x !== 0);
  const low = shown.reduce((n, x) => Math.min(n, Math.abs(x)), Number.POSITIVE_INFINITY);
  const high = shown.reduce((n, x) => Math.max(n, Math.abs(x)), 0);
  const whole = shown.every(Number.isInteger);
  const wide = high / low > 1000 || high > 1e8 || (!whole && low < 1e-4);
  const plain = whole ? (x: number) => `${fixed(x, 0)}.` : (x: number) => fixed(x, precision);
  const write = (sciMode ?? wide) ? (x: number) => scientific(x, precision) : plain;
  // Infinities and NaN may stick out, as they do in PyTorch.
  return { width: widest(shown.map(write)), show: (x) => special(x) ?? write(x) };
}

/** The places of a dim that are shown: all of them, or those at its ends with null between. */
function places(n: number, edge: number | null): (number | null)[] {
  const all = Array.from({ length: n }, (_, i) => i);
  if (edge === null || n <= 2 * edge) return all;
  return [...all.slice(0, edge), null, ...all.slice(n - edge)];
}

/**
 * The elements of a view in nested brackets, laid out as PyTorch does. `at` gives the element at a place of the storage, and is
 * asked only for those that are shown; `indent` is how far the text is from the left already.
 */
export function formatElements(
  view: View,
  dtype: DType,
  at: (place: number) => number,
  settings: PrintSettings,
  indent: number,
): string {
  const { shape, strides, offset } = view;
  const size = shape.reduce((n, d) => n * d, 1);
  if (size === 0) return '[]';
  const edge = size > settings.threshold ? settings.edgeItems : null;
  const values: number[] = [];
  const collect = (dim: number, place: number): void => {
    if (dim === shape.length) values.push(at(place));
    else for (const i of places(shape[dim]!, edge)) if (i !== null) collect(dim + 1, place + i * strides[dim]!);
  };
  collect(0, offset);
  const { width, show } = styleOf(values, dtype, settings);
  let next = 0;
  const element = (): string => show(values[next++]!).padStart(width);
  const nested = (dim: number, from: number): string => {
    if (dim === shape.length) return element();
    const shown = places(shape[dim]!, edge);
    const deeper = shape.length - dim - 1;
    if (deeper > 0) {
      const parts = shown.map((i) => (i === null ? '...' : nested(dim + 1, from + 1)));
      return `[${parts.join(`,${'\n'.repeat(deeper)}${' '.repeat(from + 1)}`)}]`;
    }
    const texts = shown.map((i) => (i === null ? ' ...' : element()));
    const perLine = Math.max(1, Math.floor((settings.lineWidth - from) / (width + 2)));
    const lines = Array.from({ length: Math.ceil(texts.length / perLine) }, (_, i) =>
      texts.slice(i * perLine, (i + 1) * perLine).join(', '),
    );
    return `[${lines.join(`,\n${' '.repeat(from + 1)}`)}]`;
  };
  return nested(0, indent);
}

/** Puts suffixes behind a text and closes its bracket, on new lines where a line would be too long. */
export function withSuffixes(text: string, suffixes: readonly string[], indent: number, lineWidth: number): string {
  let out = text;
  // One more than there is, as PyTorch counts.
  let column = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    if (column + suffix.length + 2 > lineWidth) {
      out += `,\n${' '.repeat(indent)}${suffix}`;
      column = indent + suffix.length;
    } else {
      out += `, ${suffix}`;
      column += suffix.length + 2;
    }
  }
  return `${out})`;
}
