import { noGrad } from '../autograd/grad.ts';
import { isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { asRows, countRows, isRows, type Rows, Subset, TensorDataset, toTensor, type XY } from '../data/dataset.ts';
import { DataLoader } from '../data/loader.ts';
import { assign_ } from '../ops/assign.ts';
import { tensor } from '../ops/creation.ts';
import { add, cast, isnan, mul } from '../ops/elementwise.ts';
import { cat, stack } from '../ops/joins.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { reshape, sum } from '../ops/structure.ts';
import { Optimizer, rule } from '../optim/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import { internal, keep, step } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Loss, type LossFunction, type MetricFunction, type MetricName, metricsOf } from './metrics.ts';
import type { Module } from './module.ts';
import { type Logs, Progress, type Verbosity } from './progress.ts';

export type { Logs, Verbosity };

/** Options of `compile`. */
export interface CompileOptions {
  /** Updates the module's parameters. */
  readonly optimizer: Optimizer;
  /** What is minimized. */
  readonly loss: Loss;
  /** What is reported besides the loss. */
  readonly metrics?: readonly (MetricName | MetricFunction)[] | undefined;
}

/** Batches for a pass over the data: what a `DataLoader` gives, or anything else of that form. Rows on the host are uploaded. */
export type Batches =
  | Iterable<{ readonly x: Rows; readonly y: Rows }>
  | AsyncIterable<{ readonly x: Rows; readonly y: Rows }>;

/** What callbacks see of a run. */
export interface TrainingRun {
  readonly model: Module;
  readonly optimizer: Optimizer;
  /** How many epochs were asked for. */
  readonly epochs: number;
  /** What was reached so far. */
  readonly history: History;
  /** Ends the run after this epoch. */
  stop(): void;
}

/** Functions that `fit` calls on its way, and awaits (Keras callbacks). Epochs and batches count from 0. */
export interface Callback {
  /** Before the first epoch. */
  onTrainBegin?(run: TrainingRun): void | Promise<void>;
  /** Before each epoch. */
  onEpochBegin?(epoch: number, run: TrainingRun): void | Promise<void>;
  /** After each step; losses are on the device then. */
  onBatchEnd?(batch: number, run: TrainingRun): void | Promise<void>;
  /** With the losses and metrics of the epoch. */
  onEpochEnd?(epoch: number, logs: Logs, run: TrainingRun): void | Promise<void>;
  /** After the last epoch. */
  onTrainEnd?(run: TrainingRun): void | Promise<void>;
}

/** Options of `fit`. */
export interface FitOptions {
  /** Passes over the data; 1 unless given. */
  readonly epochs?: number | undefined;
  /** Samples in a step; 32 unless given. Batches from a loader have their own size. */
  readonly batchSize?: number | undefined;
  /** Share of the samples that is kept for validation: the last ones, before shuffling. */
  readonly validationSplit?: number | undefined;
  /** Samples to validate on after every epoch. */
  readonly validationData?: readonly [Rows, Rows] | { readonly x: Rows; readonly y: Rows } | Batches | undefined;
  /** A new order in every epoch, from the seed of `manualSeed`; true unless given. */
  readonly shuffle?: boolean | undefined;
  /** Leave out a last batch that is smaller than the others. */
  readonly dropLast?: boolean | undefined;
  readonly callbacks?: readonly Callback[] | undefined;
  /** 0: silent; 1, unless given: a progress bar in a terminal, else a line an epoch; 2: a line an epoch. */
  readonly verbose?: Verbosity | undefined;
}

/** Options of `evaluate`. */
export interface EvaluateOptions {
  /** Samples at a time; 32 unless given. */
  readonly batchSize?: number | undefined;
}

/** Options of `predict`. */
export interface PredictOptions {
  /** Samples at a time; 32 unless given. */
  readonly batchSize?: number | undefined;
}

/** What `fit` gives: the number of each epoch, and losses and metrics over the epochs (Keras `History`). */
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
}

interface Compiled {
  readonly optimizer: Optimizer;
  readonly loss: LossFunction;
  readonly metrics: ReadonlyMap<string, MetricFunction>;
}

const compiled = new WeakMap<Module, Compiled>();

/** @internal See `Module.compile`. */
export function compile(model: Module, options: CompileOptions): void {
  checkOptions('compile', options, ['optimizer', 'loss', 'metrics']);
  const { optimizer, loss, metrics = [] } = options;
  if (!(optimizer instanceof Optimizer))
    throw new UnsupportedError(
      `compile: optimizer is ${describe(optimizer)}; pass one, such as new optim.Adam(model.parameters())`,
    );
  const call: LossFunction | null =
    typeof loss === 'function' ? loss : typeof loss?.forward === 'function' ? (p, t) => loss.forward(p, t) : null;
  if (!call)
    throw new UnsupportedError(
      `compile: loss is ${describe(loss)}; pass a function of prediction and target, such as nn.functional.crossEntropy`,
    );
  compiled.set(model, { optimizer, loss: call, metrics: metricsOf(metrics, loss) });
}

function compiledOf(op: string, model: Module): Compiled {
  const found = compiled.get(model);
  if (!found)
    throw new UnsupportedError(
      `${op}: the module has no optimizer and loss yet; call compile({ optimizer, loss }) first`,
    );
  return found;
}

/** @internal Switches a module's mode; gives a function that puts back the mode of every module below it. */
export function inMode(model: Module, training: boolean): () => void {
  const before = model.modules().map((module) => [module, module.training] as const);
  model.train(training);
  return () => {
    for (const [module, was] of before) module.training = was;
  };
}

const deviceOf = (model: Module): Device | undefined => model.parameters()[0]?.device;

/** Sums of loss and metrics over samples, on the device: one read gives them all. */
class Totals {
  private readonly sums: readonly Tensor[];
  private samples = 0;

  constructor(
    private readonly names: readonly string[],
    device: Device | undefined,
  ) {
    // From the host, so that the first step of an epoch is planned like the others.
    this.sums = names.map(() => keep(tensor(0, device ? { device } : {})));
  }

  /** Adds the means over a batch; part of its step. */
  add(values: readonly Tensor[], samples: number): void {
    noGrad(() => {
      values.forEach((value, i) => {
        if (value.size !== 1)
          throw new ShapeError(
            `${this.names[i]}: it has shape ${showShape(value.shape)} for a batch, but it must be a scalar; reduce it with mean()`,
          );
        const total = this.sums[i];
        if (total) assign_(total, add(total, mul(cast(reshape(value, []), 'float32'), samples)));
      });
    });
    this.samples += samples;
  }

  /** The means so far. Starts at once; the sums may go on changing. */
  async read(): Promise<Logs> {
    const { samples } = this;
    const all = step('fit', () => stack(this.sums));
    const values = all.numbers('fit');
    all.dispose();
    const sums = await values;
    return Object.fromEntries(this.names.map((name, i) => [name, (sums[i] ?? Number.NaN) / samples]));
  }

  dispose(): void {
    for (const total of this.sums) total.dispose();
  }
}

const AHEAD = 16;
const BREATH = 50;

/** Lets the host run ahead of the device by a few steps and no more, and the event loop breathe. */
class Pace {
  private steps = 0;
  private pending: Promise<Logs> | null = null;
  private breathed = performance.now();

  /** What was reached some steps ago, now and then. */
  async after(totals: Totals): Promise<Logs | null> {
    if (++this.steps % AHEAD !== 0) return null;
    const before = this.pending;
    this.pending = totals.read();
    // Awaited the next time; until then a failure waits, too.
    this.pending.catch(() => undefined);
    const logs = before ? await before : null;
    if (performance.now() - this.breathed > BREATH) {
      await new Promise((resolve) => setTimeout(resolve));
      this.breathed = performance.now();
    }
    return logs;
  }

  /** Throws what an outstanding read found. */
  async settle(): Promise<void> {
    const { pending } = this;
    this.pending = null;
    await pending;
  }
}

/** One update on a batch, as one flush. */
function trainStep(model: Module, { optimizer, loss, metrics }: Compiled, { x, y }: XY, totals: Totals): void {
  step('fit', () => {
    optimizer.minimize(() => {
      const prediction = model.forward(x);
      const value = loss(prediction, y);
      noGrad(() =>
        totals.add([value, ...[...metrics.values()].map((metric) => metric(prediction, y))], x.shape[0] ?? 1),
      );
      return value;
    });
  });
}

function evaluateStep(model: Module, { loss, metrics }: Compiled, { x, y }: XY, totals: Totals): void {
  step('evaluate', () =>
    noGrad(() => {
      const prediction = model.forward(x);
      totals.add(
        [loss(prediction, y), ...[...metrics.values()].map((metric) => metric(prediction, y))],
        x.shape[0] ?? 1,
      );
    }),
  );
}

/** A pass over batches; gives the means over all samples. */
async function pass(
  op: string,
  model: Module,
  how: Compiled,
  batches: Batches,
  run: (model: Module, how: Compiled, batch: XY, totals: Totals) => void,
  after: (done: number, logs: Logs | null) => void | Promise<void>,
): Promise<Logs> {
  const device = deviceOf(model);
  const totals = new Totals(['loss', ...how.metrics.keys()], device);
  const pace = new Pace();
  let done = 0;
  try {
    for await (const batch of batches) {
      withTensors(op, batch, device, (tensors) => run(model, how, tensors, totals));
      done++;
      await after(done - 1, await pace.after(totals));
    }
    if (done === 0)
      throw new ShapeError(
        `${op}: there was no batch; the data is empty, smaller than one batch with dropLast, or an iterator that was used up: pass something that can be iterated again`,
      );
    await pace.settle();
    return await totals.read();
  } finally {
    totals.dispose();
  }
}

/** Runs a function on a batch whose rows from the host are uploaded for as long. */
function withTensors(
  op: string,
  batch: { readonly x: Rows; readonly y: Rows },
  device: Device | undefined,
  fn: (batch: XY) => void,
): void {
  if (typeof batch !== 'object' || batch === null || !isRows(batch.x) || !isRows(batch.y))
    throw new UnsupportedError(
      `${op}: a batch is ${describe(batch)}; it must be an object { x, y } of tensors or arrays`,
    );
  internal(op, () => {
    const x = toTensor(op, batch.x, device);
    const y = toTensor(op, batch.y, device);
    if (countRows(x) !== countRows(y))
      throw new ShapeError(`${op}: x has ${countRows(x)} samples and y has ${countRows(y)}; they must be as many`);
    fn({ x, y });
  });
}

/** Says no to targets with NaN, before they spoil the parameters. */
async function checkTargets(op: string, y: Rows): Promise<void> {
  const rows = asRows(op, y);
  let found: boolean;
  if (!(rows instanceof Tensor)) found = rows.data.some((v: number) => Number.isNaN(v));
  else if (!isFloating(rows.dtype)) found = false;
  else {
    const count = step(op, () => noGrad(() => sum(isnan(rows))));
    try {
      found = (await count.item()) > 0;
    } finally {
      count.dispose();
    }
  }
  if (found) throw new DTypeError(`${op}: there is NaN among the targets y; remove or replace those samples first`);
}

function checkBatchSize(op: string, batchSize: unknown): void {
  rule(op, 'batchSize', batchSize, (v) => Number.isInteger(v) && v >= 1, 'a whole number of at least 1');
}

/** Checked samples: as many inputs as targets, at least one of them, no NaN among the targets. */
async function samples(op: string, x: Rows, y: Rows): Promise<TensorDataset> {
  const [xs, ys] = [asRows(op, x), asRows(op, y)];
  if (countRows(xs) !== countRows(ys))
    throw new ShapeError(`${op}: x has ${countRows(xs)} samples and y has ${countRows(ys)}; they must be as many`);
  if (countRows(xs) === 0) throw new ShapeError(`${op}: there are no samples; x has the shape ${showShape(xs.shape)}`);
  await checkTargets(op, ys);
  return new TensorDataset(xs, ys);
}

const isBatches = (x: unknown): x is Batches =>
  typeof x === 'object' && x !== null && !isRows(x) && (Symbol.iterator in x || Symbol.asyncIterator in x);

/** Tells `(x, y, options)` from `(batches, options)`. */
function given<O extends object>(
  op: string,
  first: Rows | Batches,
  second: Rows | O | undefined,
  third: O | undefined,
): { x: Rows; y: Rows; options: O } | { batches: Batches; options: O } {
  if (isBatches(first)) return { batches: first, options: (second ?? {}) as O };
  if (!isRows(first))
    throw new UnsupportedError(
      `${op}: x is ${describe(first)}; give inputs and targets as tensors or arrays, or batches that can be iterated`,
    );
  if (!isRows(second))
    throw new UnsupportedError(`${op}: the targets y are ${describe(second)}; give one row for each sample of x`);
  return { x: first, y: second, options: third ?? ({} as O) };
}

async function validation(
  data: NonNullable<FitOptions['validationData']>,
  batchSize: number,
  device: Device | undefined,
): Promise<Batches> {
  const pair =
    Array.isArray(data) && data.length === 2 && isRows(data[0]) && isRows(data[1])
      ? { x: data[0] as Rows, y: data[1] as Rows }
      : data;
  if (isBatches(pair)) return pair;
  if (typeof pair !== 'object' || !('x' in pair) || !('y' in pair))
    throw new UnsupportedError(`fit: validationData is ${describe(data)}; give [x, y], { x, y }, or batches`);
  return new DataLoader(await samples('fit', pair.x, pair.y), { batchSize, device });
}

const FIT_OPTIONS = ['epochs', 'batchSize', 'validationSplit', 'validationData', 'callbacks', 'verbose'];

/** @internal See `Module.fit`. */
export async function fit(
  model: Module,
  first: Rows | Batches,
  second?: Rows | FitOptions,
  third?: FitOptions,
): Promise<History> {
  const how = compiledOf('fit', model);
  const what = given('fit', first, second, third);
  checkOptions('fit', what.options, FIT_OPTIONS, ['shuffle', 'dropLast']);
  const {
    epochs = 1,
    batchSize = 32,
    validationSplit = 0,
    validationData,
    shuffle = true,
    dropLast = false,
    callbacks = [],
    verbose = 1,
  } = what.options;
  rule('fit', 'epochs', epochs, (v) => Number.isInteger(v) && v >= 1, 'a whole number of at least 1');
  checkBatchSize('fit', batchSize);
  rule('fit', 'validationSplit', validationSplit, (v) => v >= 0 && v < 1, 'at least 0 and less than 1');
  if (validationSplit > 0 && validationData)
    throw new UnsupportedError('fit: give validationSplit or validationData, not both');
  const device = deviceOf(model);
  let held = validationData ? await validation(validationData, batchSize, device) : null;
  let batches: Batches;
  if ('batches' in what) {
    if (validationSplit > 0)
      throw new UnsupportedError('fit: validationSplit needs x and y; with batches, pass validationData');
    batches = what.batches;
  } else {
    const all = await samples('fit', what.x, what.y);
    const kept = all.length - Math.floor(all.length * validationSplit);
    const range = (from: number, to: number): Subset =>
      new Subset(
        all,
        Int32Array.from({ length: to - from }, (_, i) => from + i),
      );
    if (kept < all.length) held = new DataLoader(range(kept, all.length), { batchSize, device });
    batches = new DataLoader(kept < all.length ? range(0, kept) : all, { batchSize, shuffle, dropLast, device });
  }
  const history = new History();
  let stopped = false;
  const run: TrainingRun = {
    model,
    optimizer: how.optimizer,
    epochs,
    history,
    stop: () => {
      stopped = true;
    },
  };
  const progress = new Progress(verbose, epochs);
  const length = batches instanceof DataLoader ? batches.length : null;
  const restore = inMode(model, true);
  try {
    for (const c of callbacks) await c.onTrainBegin?.(run);
    for (let epoch = 0; epoch < epochs && !stopped; epoch++) {
      for (const c of callbacks) await c.onEpochBegin?.(epoch, run);
      progress.begin();
      model.train();
      const trained = await pass('fit', model, how, batches, trainStep, async (batch, logs) => {
        if (logs) progress.batch(epoch, batch + 1, length, logs);
        for (const c of callbacks) await c.onBatchEnd?.(batch, run);
      });
      const logs: Record<string, number> = { ...trained };
      if (held) {
        const valued = await evaluateOn('fit', model, how, held);
        for (const [name, value] of Object.entries(valued))
          logs[`val${name.charAt(0).toUpperCase()}${name.slice(1)}`] = value;
      }
      history.push(epoch, logs);
      progress.end(epoch, logs);
      for (const c of callbacks) await c.onEpochEnd?.(epoch, logs, run);
    }
    for (const c of callbacks) await c.onTrainEnd?.(run);
    return history;
  } catch (error) {
    progress.broken();
    throw error;
  } finally {
    restore();
  }
}

async function evaluateOn(op: string, model: Module, how: Compiled, batches: Batches): Promise<Logs> {
  const restore = inMode(model, false);
  try {
    return await pass(op, model, how, batches, evaluateStep, () => undefined);
  } finally {
    restore();
  }
}

/** @internal See `Module.evaluate`. */
export async function evaluate(
  model: Module,
  first: Rows | Batches,
  second?: Rows | EvaluateOptions,
  third?: EvaluateOptions,
): Promise<Logs> {
  const how = compiledOf('evaluate', model);
  const what = given('evaluate', first, second, third);
  checkOptions('evaluate', what.options, ['batchSize']);
  const { batchSize = 32 } = what.options;
  checkBatchSize('evaluate', batchSize);
  const batches =
    'batches' in what
      ? what.batches
      : new DataLoader(await samples('evaluate', what.x, what.y), { batchSize, device: deviceOf(model) });
  return evaluateOn('evaluate', model, how, batches);
}

/** @internal See `Module.predict`. */
export async function predict(model: Module, x: Rows, options: PredictOptions = {}): Promise<Tensor> {
  checkOptions('predict', options, ['batchSize']);
  const { batchSize = 32 } = options;
  checkBatchSize('predict', batchSize);
  const rows = asRows('predict', x);
  if (countRows(rows) === 0)
    throw new ShapeError(`predict: there are no samples; x has the shape ${showShape(rows.shape)}`);
  const restore = inMode(model, false);
  const parts: Tensor[] = [];
  try {
    const loader = new DataLoader(new TensorDataset<{ x: Tensor }>({ x: rows }), {
      batchSize,
      device: deviceOf(model),
    });
    for await (const batch of loader) {
      parts.push(
        step('predict', () =>
          noGrad(() => {
            const out = model.forward(batch.x);
            // A handle of its own, in case the module gives its input back.
            return reshape(out, out.shape);
          }),
        ),
      );
      if (parts.length % AHEAD === 0) await batch.x.device.sync();
    }
    return step('predict', () => cat(parts));
  } finally {
    for (const part of parts) part.dispose();
    restore();
  }
}

/** @internal See `Module.trainOnBatch`. */
export async function trainOnBatch(model: Module, x: Rows, y: Rows): Promise<Logs> {
  const how = compiledOf('trainOnBatch', model);
  const device = deviceOf(model);
  const totals = new Totals(['loss', ...how.metrics.keys()], device);
  try {
    const restore = inMode(model, true);
    try {
      withTensors('trainOnBatch', { x, y }, device, (batch) => trainStep(model, how, batch, totals));
    } finally {
      restore();
    }
    return await totals.read();
  } finally {
    totals.dispose();
  }
}
