// What the examples share: their data, and how one is run and checked against the figures in its header.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as tl from '../src/node.ts';

export { chart } from './chart.ts';

/** What an example is given. */
export interface Course {
  /** Fewer steps, as the tests run it. */
  readonly short: boolean;
  /** Where progress goes; silent in the tests. */
  readonly log: (line: string) => void;
  /** Passes on `verbose` to fit. */
  readonly verbose: 0 | 1;
  /** Keeps a picture, an SVG, under a name. */
  readonly save: (name: string, svg: string) => Promise<void>;
}

/** The figures that an example ends in, by the names of its header's table. */
export type Figures = Record<string, number>;

/** What a file of an example exports. */
export interface Example {
  readonly run: (course: Course) => Promise<Figures>;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A text of examples/data. */
export const text = (file: string): Promise<string> => readFile(here(`data/${file}`), 'utf8');

/** A data set of examples/data: rows of inputs, and the target of each. */
export async function dataset(name: string) {
  const table = tl.data.readCsv(await text(`${name}.csv`));
  const names = table.names.slice(0, -1);
  return { x: table.rows(names), y: Float32Array.from(table.column(table.names.at(-1)!)), names };
}

/** The 1797 handwritten digits with pixels from 0 to 1, a fifth of them for the test. Images have the given shape. */
export async function digits(...image: number[]) {
  const { x, y } = await dataset('digits');
  const images = { data: x.data.map((v) => v / 16), shape: [y.length, ...image] };
  const [xTrain, xTest, yTrain, yTest] = tl.data.trainTestSplit(images, Int32Array.from(y), { testSize: 0.2 });
  return { xTrain, xTest, yTrain, yTest };
}

/** Rows on the host as a tensor. */
export const toTensor = ({ data, shape }: { data: ArrayLike<number>; shape: readonly number[] }): tl.Tensor =>
  tl.tensor(data as Float32Array | Int32Array, { shape });

/** The names of the examples. */
export async function names(): Promise<string[]> {
  const files = await readdir(here('course'));
  return files.filter((name) => name.endsWith('.ts')).map((name) => name.slice(0, -3));
}

/** What a header says of a figure: about a number, at least, or at most. */
export interface Stated {
  readonly full: string;
  readonly short: string;
}

/** The source of an example, and the figures that its header states. */
export async function stated(name: string): Promise<{ source: string; figures: Map<string, Stated> }> {
  const source = await readFile(here(`course/${name}.ts`), 'utf8');
  const [header] = source.split('*/');
  const rows = [...header!.matchAll(/^ \* \| (.+?) *\| (.+?) *\| (.+?) *\|$/gm)].slice(1);
  return { source, figures: new Map(rows.map(([, figure, full, short]) => [figure!, { full: full!, short: short! }])) };
}

/** Whether a figure is what is stated: within 2 %, or a unit of the last place where that is more, or at its bound. */
export function holds(value: number, said: string): boolean {
  const [, bound, digits] = /^(>=|<=)? ?(-?\d+(?:\.\d+)?)$/.exec(said) ?? [];
  if (digits === undefined) throw new Error(`${said} is no figure; write a number, >= a number or <= a number`);
  const limit = Number(digits);
  if (bound) return bound === '>=' ? value >= limit : value <= limit;
  const unit = 10 ** -(digits.split('.')[1]?.length ?? 0);
  return Math.abs(value - limit) <= Math.max(0.02 * Math.abs(limit), 1.01 * unit);
}

/** Runs an example on a new default device; its pictures go to a folder. */
export async function runExample(
  name: string,
  options: { short: boolean; device: tl.DeviceName; folder: string; quiet?: boolean },
): Promise<{ figures: Figures; pictures: string[] }> {
  const { run } = (await import(new URL(`course/${name}.ts`, import.meta.url).href)) as Example;
  const device = await tl.init({ device: options.device });
  const pictures: string[] = [];
  await mkdir(options.folder, { recursive: true });
  const save = async (picture: string, svg: string): Promise<void> => {
    const path = `${options.folder}/${name}-${picture}.svg`;
    await writeFile(path, svg);
    pictures.push(path);
  };
  try {
    tl.manualSeed(1);
    const log = options.quiet ? () => {} : console.log;
    return { figures: await run({ short: options.short, log, save, verbose: options.quiet ? 0 : 1 }), pictures };
  } finally {
    device.destroy();
  }
}
