// Learns to read handwritten digits: `npm run demo -- --help`.
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../src/node.ts';

const HELP = `Trains a small neural network on 8 x 8 images of handwritten digits, and tests it.

  npm run demo -- [options]

  --device NAME      auto, webgpu, cpu or reference (default: auto)
  --epochs N         passes over the training set (default: 30)
  --batch-size N     images in a step (default: 32)
  --seed N           of the initial weights, the split and the order (default: 42)
  --help             this text`;

const PIXELS = 64;
const CLASSES = 10;

interface Settings {
  readonly device: tl.DeviceName;
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
}

/** A mistake on the command line: one line, no stack. */
class UsageError extends Error {}

function settings(): Settings | null {
  let values: Record<string, string | boolean | undefined>;
  try {
    const text = { type: 'string' } as const;
    const options = { device: text, epochs: text, 'batch-size': text, seed: text, help: { type: 'boolean' } } as const;
    ({ values } = parseArgs({ options }));
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]);
  }
  if (values.help) return null;
  const whole = (name: string, fallback: number, least: number): number => {
    const given = values[name];
    const value = given === undefined ? fallback : Number(given);
    if (given === '' || !Number.isSafeInteger(value) || value < least)
      throw new UsageError(`--${name} is '${given}', but it must be a whole number of at least ${least}`);
    return value;
  };
  const device = String(values.device ?? 'auto');
  if (device !== 'auto' && device !== 'webgpu' && device !== 'cpu' && device !== 'reference')
    throw new UsageError(`--device is '${device}', but it must be auto, webgpu, cpu or reference`);
  return { device, epochs: whole('epochs', 30, 1), batchSize: whole('batch-size', 32, 1), seed: whole('seed', 42, 0) };
}

/** A table of numbers: a line a row, columns to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, c) => Math.max(title.length, ...rows.map((row) => row[c]!.length)));
  return [head, ...rows].map((row) => row.map((cell, c) => cell.padStart(widths[c]! + 2)).join('')).join('\n');
}

/** An image in eight lines, two characters a pixel. */
function draw(pixels: Float32Array): string[] {
  const shades = ' ░▒▓█';
  const shade = (v: number): string => shades[Math.min(4, Math.round(v * 4))]!;
  const lines: string[] = [];
  for (let row = 0; row < 8; row++) {
    let line = '';
    for (let column = 0; column < 8; column++) line += shade(pixels[row * 8 + column]!).repeat(2);
    lines.push(line);
  }
  return lines;
}

async function main({ device: name, epochs, batchSize, seed }: Settings): Promise<void> {
  const device = await tl.init({ device: name });
  console.log(`device: ${device.name}, ${device.description} (${device.reason})`);
  tl.manualSeed(seed);

  const csv = tl.data.readCsv(await readFile(new URL('./data/digits.csv', import.meta.url), 'utf8'));
  const images = csv.rows(csv.names.slice(0, PIXELS));
  const x = { ...images, data: images.data.map((v) => v / 16) };
  const y = Int32Array.from(csv.column(csv.names[PIXELS]!));
  const [xTrain, xTest, yTrain, yTest] = tl.data.trainTestSplit(x, y, { testSize: 0.2 });

  const { nn, optim } = tl;
  const model = new nn.Sequential(new nn.Linear(PIXELS, 32), new nn.ReLU(), new nn.Linear(32, CLASSES));
  model.compile({
    optimizer: new optim.Adam(model.parameters(), { lr: 3e-3 }),
    loss: nn.functional.crossEntropy,
    metrics: ['accuracy'],
  });
  console.log(`\n${model.summary([batchSize, PIXELS])}\n`);

  const started = performance.now();
  const { history } = await model.fit(xTrain, yTrain, { epochs, batchSize, validationSplit: 0.15 });
  const seconds = (performance.now() - started) / 1000;
  const columns = ['loss', 'accuracy', 'valLoss', 'valAccuracy'] as const;
  const rows = history.loss!.map((_, e) => [String(e + 1), ...columns.map((c) => history[c]![e]!.toFixed(4))]);
  console.log(`\n${table(['epoch', 'loss', 'accuracy', 'val loss', 'val accuracy'], rows)}`);
  console.log(`\ntrained in ${seconds.toFixed(1)} s`);

  const { accuracy } = await model.evaluate(xTest, yTest, { batchSize: 256 });
  const scores = await model.predict(xTest, { batchSize: 256 });
  const outcome = tl.tidy(() => {
    const best = nn.functional.softmax(scores, 1).max({ dim: 1 });
    return { classes: best.indices, confidence: best.values };
  });
  const [classes, confidence] = await Promise.all([outcome.classes.data(), outcome.confidence.data()]);

  const labels = yTest.data;
  const confusion = Array.from({ length: CLASSES }, () => new Array<number>(CLASSES).fill(0));
  labels.forEach((label: number, i: number) => {
    confusion[label]![classes[i]!]!++;
  });
  const digits = Array.from({ length: CLASSES }, (_, d) => String(d));
  console.log('\nconfusion matrix of the test set: a row for each digit, a column for each answer');
  console.log(
    table(
      ['', ...digits],
      confusion.map((row, d) => [String(d), ...row.map((n) => (n > 0 ? String(n) : '.'))]),
    ),
  );

  console.log('\nsome test images:');
  const shown = [0, 1, 2, 3, 4];
  const drawn = shown.map((i) => draw((xTest.data as Float32Array).subarray(i * PIXELS, (i + 1) * PIXELS)));
  for (let line = 0; line < 8; line++) console.log(`  ${drawn.map((image) => image[line]).join('  ')}`.trimEnd());
  const captions = shown.map(
    (i) => `${labels[i] === classes[i] ? '' : 'not '}${classes[i]} (${(confidence[i]! * 100).toFixed(0)}%)`,
  );
  console.log(`  ${captions.map((caption) => caption.padEnd(16)).join('  ')}`.trimEnd());

  console.log(`\ntest accuracy ${accuracy!.toFixed(3)} on ${device.name}`);
}

try {
  const chosen = settings();
  if (chosen) await main(chosen);
  else console.log(HELP);
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof tl.TensorloomError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
