import { FormatError, UnsupportedError } from '../core/errors.ts';
import { checkOptions, describe } from '../ops/record.ts';
import type { HostRows } from './dataset.ts';

/** Options of `readCsv`. */
export interface CsvOptions {
  /** Whether the first line names the columns; true unless given. Without it they are called 0, 1, and so on. */
  readonly header?: boolean | undefined;
  /** What separates fields; a comma unless given. */
  readonly delimiter?: string | undefined;
}

/** A table of numbers: columns of equal length, by name. */
export class Table {
  /** @internal Made by `readCsv`. */
  constructor(
    /** The names of the columns, in order. */
    readonly names: readonly string[],
    private readonly values: readonly Float64Array[],
    /** Number of rows. */
    readonly length: number,
  ) {}

  /**
   * A column, in double precision.
   *
   * @throws UnsupportedError when there is none of that name.
   */
  column(name: string): Float64Array {
    const values = this.values[this.names.indexOf(name)];
    if (!values)
      throw new UnsupportedError(`Table.column: there is no column ${name}; there are ${this.names.join(', ')}`);
    return values;
  }

  /** Columns side by side as float32 rows, for a dataset, `fit` or `tensor(data, { shape })`; all of them unless named. */
  rows(names: readonly string[] = this.names): HostRows & { readonly data: Float32Array } {
    const columns = names.map((name) => this.column(name));
    const data = new Float32Array(this.length * columns.length);
    columns.forEach((column, c) => {
      for (let r = 0; r < this.length; r++) data[r * columns.length + c] = column[r] ?? 0;
    });
    return { data, shape: [this.length, columns.length] };
  }
}

/** The fields of a line; quotes may enclose one and stand doubled in it (RFC 4180, without line breaks in a field). */
function fields(line: string, delimiter: string, number: number): string[] {
  if (!line.includes('"')) return line.split(delimiter);
  const out: string[] = [];
  let at = 0;
  for (;;) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*/.exec(line.slice(at));
    if (quoted) {
      out.push((quoted[1] ?? '').replaceAll('""', '"'));
      at += quoted[0].length;
    } else {
      const end = line.indexOf(delimiter, at);
      out.push(line.slice(at, end < 0 ? undefined : end));
      at = end < 0 ? line.length : end;
    }
    if (at === line.length) return out;
    if (!line.startsWith(delimiter, at))
      throw new FormatError(
        `readCsv: line ${number}: a quoted field goes on after its closing quote, at character ${at + 1}`,
      );
    at += delimiter.length;
  }
}

/**
 * Reads a table of numbers from CSV text, which has a header line unless `header` is false.
 *
 * @throws FormatError for a line with another number of fields than the first, and for a field that is no finite number; it names
 * the line, counted from 1, and the column.
 * @example
 * ```ts
 * const table = tl.data.readCsv('height,weight\n1.8,75\n1.6,60\n');
 * table.column('weight'); // 75, 60
 * ```
 */
export function readCsv(text: string, options: CsvOptions = {}): Table {
  checkOptions('readCsv', options, ['delimiter'], ['header']);
  const { header = true, delimiter = ',' } = options;
  if (typeof text !== 'string') throw new FormatError(`readCsv: expected the text of a file, got ${describe(text)}`);
  if (typeof delimiter !== 'string' || delimiter.length === 0 || delimiter.includes('"'))
    throw new UnsupportedError(
      `readCsv: the delimiter ${describe(delimiter)} separates nothing; use a comma, a semicolon or a tab`,
    );
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  while (lines.length > 0 && lines[lines.length - 1]?.trim() === '') lines.pop();
  const [head] = lines;
  if (head === undefined) throw new FormatError('readCsv: the text is empty');
  const first = fields(head, delimiter, 1);
  const names = header ? first.map((name) => name.trim()) : first.map((_, i) => String(i));
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new FormatError(`readCsv: line 1: two columns are called "${twice}"; columns need names of their own`);
  const start = header ? 1 : 0;
  const length = lines.length - start;
  const values = names.map(() => new Float64Array(length));
  for (let row = 0; row < length; row++) {
    const number = row + start + 1;
    const found = fields(lines[row + start] ?? '', delimiter, number);
    if (found.length !== names.length)
      throw new FormatError(
        `readCsv: line ${number} has ${found.length} fields where line 1 has ${names.length}; every line needs one for each column`,
      );
    found.forEach((field, c) => {
      const value = field.trim() === '' ? Number.NaN : Number(field);
      if (!Number.isFinite(value))
        throw new FormatError(
          `readCsv: line ${number}, column "${names[c]}": "${field}" is no finite number; replace or remove it first`,
        );
      const column = values[c];
      if (column) column[row] = value;
    });
  }
  return new Table(names, values, length);
}
