import { FormatError } from '../core/errors.ts';
import { textTable } from '../core/table.ts';
import { describe } from '../ops/record.ts';
import { type Logs, showFigure } from './progress.ts';

/** What `History.toJSON` gives. Figures that are no finite numbers are texts, such as 'NaN'. */
export interface HistoryJSON {
  readonly epoch: readonly number[];
  readonly history: Readonly<Record<string, readonly (number | string)[]>>;
}

/**
 * What `fit` gives: the number of each epoch, and losses and metrics over the epochs (Keras `History`). `plot(history)` draws it,
 * `table()` prints it, and `JSON.stringify` writes what `History.fromJSON` reads.
 */
export class History {
  readonly epoch: number[] = [];
  readonly history: Record<string, number[]> = {};

  /** @internal */
  push(epoch: number, logs: Logs): void {
    this.epoch.push(epoch);
    for (const [name, value] of Object.entries(logs)) {
      const list = this.history[name] ?? [];
      this.history[name] = list;
      list.push(value);
    }
  }

  /**
   * The figures as a table, one line an epoch; epochs count from 1 here, as in the lines of `fit`.
   *
   * @example
   * ```ts
   * const history = await model.fit(x, y, { epochs: 3, verbose: 0 });
   * console.log(history.table());
   * ```
   */
  table(): string {
    const head = ['epoch', ...Object.keys(this.history)];
    const rows = this.epoch.map((epoch, i) => [
      String(epoch + 1),
      ...Object.values(this.history).map((list) => showFigure(list[i] ?? Number.NaN)),
    ]);
    const { lines, rule } = textTable(head, rows, head);
    const [first = '', ...rest] = lines;
    return [first, rule, ...rest].join('\n');
  }

  /** What `JSON.stringify` writes. */
  toJSON(): HistoryJSON {
    const history = Object.entries(this.history).map(([name, list]) => [
      name,
      list.map((v) => (Number.isFinite(v) ? v : String(v))),
    ]);
    return { epoch: [...this.epoch], history: Object.fromEntries(history) };
  }

  /**
   * A history from what `toJSON` gave, or from its text.
   *
   * @throws FormatError for what is no history.
   * @example
   * ```ts
   * const history = await model.fit(x, y, { verbose: 0 });
   * const again = tl.nn.History.fromJSON(JSON.stringify(history));
   * ```
   */
  static fromJSON(json: string | HistoryJSON): History {
    let given: unknown = json;
    if (typeof json === 'string')
      try {
        given = JSON.parse(json);
      } catch (error) {
        throw new FormatError(`History.fromJSON: the text is no JSON: ${String(error)}`);
      }
    const { epoch, history } = (typeof given === 'object' && given !== null ? given : {}) as Partial<HistoryJSON>;
    if (!Array.isArray(epoch) || typeof history !== 'object' || history === null)
      throw new FormatError(
        `History.fromJSON: ${describe(given)} is no history; give what toJSON() gave: { epoch, history }`,
      );
    const out = new History();
    out.epoch.push(...epoch.map(Number));
    for (const [name, list] of Object.entries(history)) {
      if (!Array.isArray(list) || list.length !== epoch.length)
        throw new FormatError(
          `History.fromJSON: ${name} is ${describe(list)}, but it must be an array of ${epoch.length} figures`,
        );
      out.history[name] = list.map(Number);
    }
    return out;
  }
}
