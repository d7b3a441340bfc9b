import { UnsupportedError } from '../../core/errors.ts';
import { checkFlag, checkOptions, describe } from '../../ops/record.ts';
import { filesFor } from '../files.ts';
import type { Callback } from './callback.ts';

/** Where lines go: a function, something with `write` such as a stream of Node, a WritableStream of texts, or in Node a path. */
export type CsvTarget =
  | ((text: string) => void | Promise<void>)
  | {
      /** Takes a text. */
      write(text: string): unknown;
    }
  | WritableStream<string>
  | string;

/** Options of `csvLogger`. */
export interface CsvLoggerOptions {
  /** What stands between two figures; ',' unless given. */
  readonly separator?: string | undefined;
  /** Go on in a file that is there, without another head; false unless given. */
  readonly append?: boolean | undefined;
}

/** What `csvLogger` gives: a callback with the lines so far. */
export interface CsvLogger extends Callback {
  /** What was written in this run. */
  readonly text: string;
}

/** What writes texts to a target; the first of them begins a file anew unless it is to be appended. */
function writerTo(target: CsvTarget | undefined, append: boolean): (text: string, first: boolean) => Promise<void> {
  if (target === undefined) return async () => undefined;
  if (typeof target === 'string') {
    const files = filesFor('csvLogger', target);
    return (text, first) => (first && !append ? files.write(target, text) : files.append(target, text));
  }
  if (typeof target === 'function') return async (text) => target(text);
  if (typeof target === 'object' && target !== null && 'getWriter' in target)
    return async (text) => {
      const writer = target.getWriter();
      try {
        await writer.write(text);
      } finally {
        writer.releaseLock();
      }
    };
  if (typeof target?.write !== 'function')
    throw new UnsupportedError(
      `csvLogger: ${describe(target)} cannot be written to; pass a function, a stream, or in Node a path`,
    );
  return async (text) => {
    await target.write(text);
  };
}

/**
 * Writes the losses and metrics of every epoch as a line of CSV, under a head with their names (Keras `CSVLogger`). Without a target
 * the text is kept, in `text`. Epochs count from 0.
 *
 * @throws UnsupportedError for a target of another kind, and for options that do not exist.
 * @throws DeviceError for a path where there are no files.
 * @example
 * ```ts
 * const log = tl.nn.csvLogger();
 * await model.fit(x, y, { epochs: 3, callbacks: [log] });
 * console.log(log.text); // epoch,loss and three lines
 * ```
 */
export function csvLogger(target?: CsvTarget, options: CsvLoggerOptions = {}): CsvLogger {
  const op = 'csvLogger';
  checkOptions(op, options, ['separator', 'append']);
  const { separator = ',', append = false } = options;
  checkFlag(op, 'append', append);
  if (typeof separator !== 'string' || separator.length === 0 || /["\n\r]/.test(separator))
    throw new UnsupportedError(`${op}: separator is ${describe(separator)}; use a text such as ',' or ';'`);
  const write = writerTo(target, append);
  const cell = (text: string): string =>
    text.includes(separator) || /["\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const line = (cells: readonly string[]): string => `${cells.map(cell).join(separator)}\n`;
  let names: string[] | null = null;
  let text = '';
  return {
    get text() {
      return text;
    },
    onTrainBegin() {
      names = null;
      text = '';
    },
    async onEpochEnd(epoch, logs) {
      const first = names === null;
      names ??= Object.keys(logs);
      const head = first && !append ? line(['epoch', ...names]) : '';
      const lines = head + line([String(epoch), ...names.map((name) => String(logs[name] ?? 'NA'))]);
      text += lines;
      await write(lines, first);
    },
  };
}
