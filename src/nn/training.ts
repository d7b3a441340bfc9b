import { noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { randomState, setRandomState } from '../core/random.ts';
import { showShape } from '../core/shape.ts';
import { asRows, countRows, isRows, type Rows, Subset, TensorDataset, toTensor } from '../data/dataset.ts';
import { DataLoader } from '../data/loader.ts';
import { assign_ } from '../ops/assign.ts';
import { cat } from '../ops/joins.ts';
import { checkFlag, checkOptions, describe } from '../ops/record.ts';
import { reshape } from '../ops/structure.ts';
import { Optimizer, rule } from '../optim/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import { internal, Scope, step } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import {
  type Batches,
  Endless,
  given,
  isIterable,
  type Samples,
  samplesOf,
  type Uploaded,
  uploaded,
} from './batches.ts';
import type { Callback, TrainingRun } from './callbacks/callback.ts';
import { keptCopy } from './callbacks/snapshot.ts';
import { History } from './history.ts';
import { type CompiledMetric, type Loss, type LossFunction, type MetricLike, metricsOf } from './metrics/named.ts';
import { inMode } from './mode.ts';
import type { Module } from './module.ts';
import { type Logs, Progress, type Verbosity } from './progress.ts';
import { Pace, Totals } from './totals.ts';
import { batchLoss, type ClassWeight, classTable, lossFunction, weightsOf } from './weights.ts';

/** Options of `compile`. */
export interface CompileOptions {
  /** Updates the module's parameters. */
  readonly optimizer: Optimizer;
  /** What is minimized. */
  readonly loss: Loss;
  /** What is reported besides the loss: names, what `nn.metrics` has, or functions. Weights of samples do not touch them. */
  readonly metrics?: readonly MetricLike[] | undefined;
}

/** What samples count for in the loss: a batch's loss is the weighted mean over its samples. */
export interface WeightOptions {
  /** One number of at least 0 for each sample; batches carry theirs under this name instead (Keras `sample_weight`). */
  readonly sampleWeight?: Rows | undefined;
  /** Weights of classes by their numbers, 1 unless given; validation heeds none (Keras `class_weight`). */
  readonly classWeight?: ClassWeight | undefined;
}

/** Options of `fit`. */
export interface FitOptions extends WeightOptions {
  /** The epoch at which training ends: the number of passes over the data, those before `initialEpoch` included; 1 unless given. */
  readonly epochs?: number | undefined;
  /** The epoch to start with, for a run that is resumed; 0 unless given. */
  readonly initialEpoch?: number | undefined;
  /**
   * Batches in an epoch, where it is not one pass over the data: the next epoch goes on where the last one ended, and data that is
   * used up starts again.
   */
  readonly stepsPerEpoch?: number | undefined;
  /** Samples in a step; 32 unless given. Batches from a loader have their own size. */
  readonly batchSize?: number | undefined;
  /** Share of the samples that is kept for validation: the last ones, before shuffling. */
  readonly validationSplit?: number | undefined;
  /** Samples to validate on after every epoch: `[x, y]`, `[x, y, sampleWeight]`, an object of them, or batches. */
  readonly validationData?: readonly [Rows, Rows] | readonly [Rows, Rows, Rows] | Samples | Batches | undefined;
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
  /** One number of at least 0 for each sample, by which the loss is a weighted mean. */
  readonly sampleWeight?: Rows | undefined;
}

/** Options of `predict`. */
export interface PredictOptions {
  /** Samples at a time; 32 unless given. */
  readonly batchSize?: number | undefined;
}

/** Batches of inputs, for `predict`. */
export type InputBatches = Iterable<{ readonly x: Rows }> | AsyncIterable<{ readonly x: Rows }>;

interface Compiled {
  readonly optimizer: Optimizer;
  readonly loss: LossFunction;
  readonly metrics: readonly CompiledMetric[];
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
  const call = lossFunction(loss);
  if (!call)
    throw new UnsupportedError(
      `compile: loss is ${describe(loss)}; pass a function of prediction and target, such as nn.functional.crossEntropy`,
    );
  if (!Array.isArray(metrics))
    throw new UnsupportedError(`compile: metrics are ${describe(metrics)}; pass an array, such as ['accuracy']`);
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

const deviceOf = (model: Module): Device | undefined => model.parameters()[0]?.device;

/** How a pass goes over its batches. */
interface Pass {
  readonly op: string;
  readonly model: Module;
  readonly how: Compiled;
  /** Weights of classes, as a table on the device. */
  readonly classes: Tensor | null;
  readonly training: boolean;
}

/** One update on a batch, or none where the pass only evaluates, as one flush. */
function runBatch({ op, model, how, classes, training }: Pass, { x, y, sampleWeight }: Uploaded, totals: Totals): void {
  const forward = (): Tensor => {
    const prediction = model.forward(x);
    const found = batchLoss(op, how.loss, prediction, y, weightsOf(op, y, sampleWeight, classes));
    totals.add(found, prediction, y);
    return found.value;
  };
  step(op, () => {
    if (training) how.optimizer.minimize(forward);
    else noGrad(forward);
  });
}

/** A pass over batches; gives loss and metrics over all samples. */
async function passOver(
  pass: Pass,
  batches: Batches,
  after?: (batch: number, logs: Logs | null) => Promise<void>,
): Promise<Logs> {
  const { op, model, how } = pass;
  const device = deviceOf(model);
  const totals = new Totals(op, how.metrics, device);
  const pace = new Pace();
  let done = 0;
  try {
    for await (const batch of batches) {
      uploaded(op, batch, device, (tensors) => runBatch(pass, tensors, totals));
      const logs = await pace.after(totals);
      await after?.(done, logs);
      done++;
    }
    if (done === 0)
      throw new ShapeError(
        `${op}: there was no batch; the data is empty, smaller than one batch with dropLast, or an iterator that was used up: pass something that can be iterated again`,
      );
    await pace.settle();
    return await totals.read('all');
  } finally {
    totals.dispose();
  }
}

async function evaluateOn(op: string, model: Module, how: Compiled, batches: Batches): Promise<Logs> {
  const restore = inMode(model, false);
  try {
    return await passOver({ op, model, how, classes: null, training: false }, batches);
  } finally {
    restore();
  }
}

const wholeFrom =
  (least: number) =>
  (op: string, name: string, value: unknown): void =>
    rule(op, name, value, (v) => Number.isInteger(v) && v >= least, `a whole number of at least ${least}`);
const positive = wholeFrom(1);

async function validation(
  data: NonNullable<FitOptions['validationData']>,
  batchSize: number,
  device: Device | undefined,
): Promise<Batches> {
  const listed = Array.isArray(data) && (data.length === 2 || data.length === 3) && data.every(isRows);
  const [x, y, sampleWeight] = listed ? (data as readonly Rows[]) : [];
  const samples = x && y ? { x, y, sampleWeight } : data;
  if (isIterable(samples)) return samples as Batches;
  if (typeof samples !== 'object' || samples === null || !('x' in samples) || !('y' in samples))
    throw new UnsupportedError(`fit: validationData is ${describe(data)}; give [x, y], { x, y }, or batches`);
  return new DataLoader(await samplesOf('fit', samples), { batchSize, device }) as Batches;
}

const FIT_OPTIONS = [
  'epochs',
  'batchSize',
  'initialEpoch',
  'stepsPerEpoch',
  'validationSplit',
  'validationData',
  'sampleWeight',
  'classWeight',
  'shuffle',
  'dropLast',
  'callbacks',
  'verbose',
];

function checkFitOptions(options: FitOptions): void {
  checkOptions('fit', options, FIT_OPTIONS);
  const { epochs = 1, initialEpoch = 0, stepsPerEpoch = 1, batchSize = 32, validationSplit = 0 } = options;
  positive('fit', 'epochs', epochs);
  wholeFrom(0)('fit', 'initialEpoch', initialEpoch);
  positive('fit', 'stepsPerEpoch', stepsPerEpoch);
  positive('fit', 'batchSize', batchSize);
  rule('fit', 'validationSplit', validationSplit, (v) => v >= 0 && v < 1, 'at least 0 and less than 1');
  if (initialEpoch >= epochs)
    throw new UnsupportedError(
      `fit: initialEpoch ${initialEpoch} leaves nothing of ${epochs} epochs; epochs is where training ends, not how many come`,
    );
  if (validationSplit > 0 && options.validationData)
    throw new UnsupportedError('fit: give validationSplit or validationData, not both');
  checkFlag('fit', 'shuffle', options.shuffle);
  checkFlag('fit', 'dropLast', options.dropLast);
  const { callbacks = [] } = options;
  if (!Array.isArray(callbacks) || callbacks.some((c) => typeof c !== 'object' || c === null))
    throw new UnsupportedError(
      `fit: callbacks are ${describe(callbacks)}; pass an array of objects such as { onEpochEnd(epoch, logs) {} }`,
    );
}

/** The data of a run: what to train on and what to validate on. */
async function dataOf(
  what: { x: Rows; y: Rows } | { batches: Batches },
  options: FitOptions,
  device: Device | undefined,
): Promise<{ batches: Batches; held: Batches | null }> {
  const {
    batchSize = 32,
    validationSplit = 0,
    validationData,
    sampleWeight,
    shuffle = true,
    dropLast = false,
  } = options;
  const held = validationData ? await validation(validationData, batchSize, device) : null;
  if ('batches' in what) {
    if (validationSplit > 0)
      throw new UnsupportedError('fit: validationSplit needs x and y; with batches, pass validationData');
    if (sampleWeight !== undefined)
      throw new UnsupportedError('fit: sampleWeight needs x and y; batches carry theirs: { x, y, sampleWeight }');
    return { batches: what.batches, held };
  }
  const all = await samplesOf('fit', { ...what, sampleWeight });
  const kept = all.length - Math.floor(all.length * validationSplit);
  const range = (from: number, to: number): Subset =>
    new Subset(
      all,
      Int32Array.from({ length: to - from }, (_, i) => from + i),
    );
  const loader = { batchSize, shuffle, dropLast, device };
  if (kept === all.length) return { batches: new DataLoader(all, loader) as Batches, held };
  return {
    batches: new DataLoader(range(0, kept), loader) as Batches,
    held: new DataLoader(range(kept, all.length), { batchSize, device }) as Batches,
  };
}

/** @internal See `Module.fit`. */
export async function fit(
  model: Module,
  first: Rows | Batches,
  second?: Rows | FitOptions,
  third?: FitOptions,
): Promise<History> {
  const how = compiledOf('fit', model);
  const { options, ...what } = given('fit', first, second, third);
  checkFitOptions(options);
  const { epochs = 1, initialEpoch = 0, stepsPerEpoch, callbacks = [], verbose = 1 } = options;
  const device = deviceOf(model);
  const { batches, held } = await dataOf(what, options, device);
  const endless = stepsPerEpoch === undefined ? null : new Endless('fit', batches);
  const history = new History();
  const scope = new Scope();
  let stopped = false;
  const run: TrainingRun = {
    model,
    optimizer: how.optimizer,
    epochs,
    history,
    scope,
    stop: () => {
      stopped = true;
    },
  };
  const progress = new Progress(verbose, epochs);
  const length = stepsPerEpoch ?? (batches instanceof DataLoader ? batches.length : null);
  const restore = inMode(model, true);
  try {
    const classes = options.classWeight ? scope.track(classTable('fit', options.classWeight, device)) : null;
    const pass: Pass = { op: 'fit', model, how, classes, training: true };
    for (const c of callbacks) await c.onTrainBegin?.(run);
    for (let epoch = initialEpoch; epoch < epochs && !stopped; epoch++) {
      for (const c of callbacks) await c.onEpochBegin?.(epoch, run);
      progress.begin();
      model.train();
      const some = endless && stepsPerEpoch ? endless.take(stepsPerEpoch) : batches;
      const trained = await passOver(pass, some, async (batch, logs) => {
        if (logs) progress.batch(epoch, batch + 1, length, logs);
        for (const c of callbacks) await c.onBatchEnd?.(batch, run);
      });
      const logs: Record<string, number> = { ...trained };
      if (held)
        for (const [name, value] of Object.entries(await evaluateOn('fit', model, how, held)))
          logs[`val${name.charAt(0).toUpperCase()}${name.slice(1)}`] = value;
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
    await endless?.close();
    scope.dispose();
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
  const { options, ...what } = given('evaluate', first, second, third);
  checkOptions('evaluate', options, ['batchSize', 'sampleWeight']);
  const { batchSize = 32, sampleWeight } = options;
  positive('evaluate', 'batchSize', batchSize);
  if ('batches' in what) {
    if (sampleWeight !== undefined)
      throw new UnsupportedError('evaluate: sampleWeight needs x and y; batches carry theirs: { x, y, sampleWeight }');
    return evaluateOn('evaluate', model, how, what.batches);
  }
  const samples = await samplesOf('evaluate', { ...what, sampleWeight });
  return evaluateOn('evaluate', model, how, new DataLoader(samples, { batchSize, device: deviceOf(model) }) as Batches);
}

/** The output for a batch of inputs. */
const predictRows = (op: string, model: Module, x: Rows): Tensor =>
  step(op, () =>
    noGrad(() => {
      const out = model.forward(toTensor(op, x, deviceOf(model)));
      // A handle of its own, in case the module gives its input back.
      return reshape(out, out.shape);
    }),
  );

const AHEAD = 16;

/** @internal See `Module.predict`. */
export async function predict(model: Module, x: Rows | InputBatches, options: PredictOptions = {}): Promise<Tensor> {
  checkOptions('predict', options, ['batchSize']);
  const { batchSize = 32 } = options;
  positive('predict', 'batchSize', batchSize);
  const batches = isIterable(x) ? (x as InputBatches) : inputs(x, batchSize, deviceOf(model));
  const restore = inMode(model, false);
  const parts: Tensor[] = [];
  try {
    for await (const batch of batches) {
      if (typeof batch !== 'object' || batch === null || !isRows(batch.x))
        throw new UnsupportedError(
          `predict: a batch is ${describe(batch)}; it must be an object { x } of a tensor or an array`,
        );
      const part = predictRows('predict', model, batch.x);
      parts.push(part);
      if (parts.length % AHEAD === 0) await part.device.sync();
    }
    if (parts.length === 0)
      throw new ShapeError('predict: there was no batch; pass inputs, or batches that can be iterated again');
    return step('predict', () => cat(parts));
  } finally {
    for (const part of parts) part.dispose();
    restore();
  }
}

function inputs(x: Rows, batchSize: number, device: Device | undefined): InputBatches {
  const rows = asRows('predict', x);
  if (countRows(rows) === 0)
    throw new ShapeError(`predict: there are no samples; x has the shape ${showShape(rows.shape)}`);
  return new DataLoader(new TensorDataset<{ x: Tensor }>({ x: rows }), { batchSize, device });
}

/** One batch: a step or an evaluation, and its figures. */
async function onBatch(
  op: string,
  model: Module,
  samples: Samples,
  classWeight: ClassWeight | undefined,
  training: boolean,
): Promise<Logs> {
  const how = compiledOf(op, model);
  const device = deviceOf(model);
  using scope = new Scope();
  const classes = classWeight ? scope.track(classTable(op, classWeight, device)) : null;
  const totals = new Totals(op, how.metrics, device);
  try {
    const restore = inMode(model, training);
    try {
      uploaded(op, samples, device, (batch) => runBatch({ op, model, how, classes, training }, batch, totals));
    } finally {
      restore();
    }
    return await totals.read('all');
  } finally {
    totals.dispose();
  }
}

/** What training changes, to be put back: tensors by what they held, and the optimizer's state. */
function keptState(model: Module, optimizer: Optimizer<object, string>): () => void {
  const { state, paramGroups } = optimizer.stateDict();
  const copies: Tensor[] = [];
  const copy = (from: Tensor): Tensor => {
    const to = keptCopy(from);
    copies.push(to);
    return to;
  };
  const apart = <T>(of: Readonly<Record<string, T>>): Record<string, T | Tensor> =>
    Object.fromEntries(Object.entries(of).map(([name, x]) => [name, x instanceof Tensor ? copy(x) : x]));
  const changed = new Set([
    ...model.parameters(),
    ...model.buffers(),
    ...optimizer.paramGroups.flatMap((g) => g.params),
  ]);
  const { values, dict } = internal('warmup', () =>
    noGrad(() => ({
      values: [...changed].map((x) => [x, copy(x)] as const),
      dict: {
        state: Object.fromEntries(
          Object.entries(state).map(([i, of]) => [i, apart(of) as Record<string, Tensor | number>]),
        ),
        paramGroups,
      },
    })),
  );
  return () => {
    step('warmup', () =>
      noGrad(() => {
        for (const [x, before] of values) assign_(x, before);
        optimizer.loadStateDict(dict);
      }),
    );
    for (const x of copies) x.dispose();
  };
}

/** @internal See `Module.warmup`. */
export async function warmup(model: Module, x: Rows, y?: Rows): Promise<void> {
  const op = 'warmup';
  const how = y === undefined ? null : compiledOf(op, model);
  const random = randomState();
  const restore = inMode(model, false);
  try {
    const out = predictRows(op, model, x);
    try {
      await out.device.sync();
    } finally {
      out.dispose();
    }
    if (!how || y === undefined) return;
    const putBack = keptState(model, how.optimizer);
    try {
      for (const training of [true, false]) {
        model.train(training);
        const totals = new Totals(op, how.metrics, out.device);
        try {
          const pass = { op, model, how, classes: null, training };
          // The first batch of a pass meets new totals, those that follow the ones before.
          for (let i = 0; i < 2; i++) uploaded(op, { x, y }, out.device, (batch) => runBatch(pass, batch, totals));
          await totals.read('all');
        } finally {
          totals.dispose();
        }
      }
    } finally {
      putBack();
      await out.device.sync();
    }
  } finally {
    restore();
    setRandomState(random);
  }
}

/** @internal See `Module.trainOnBatch`. */
export async function trainOnBatch(model: Module, x: Rows, y: Rows, options: WeightOptions = {}): Promise<Logs> {
  checkOptions('trainOnBatch', options, ['sampleWeight', 'classWeight']);
  const { sampleWeight, classWeight } = options;
  return onBatch('trainOnBatch', model, { x, y, sampleWeight }, classWeight, true);
}

/** @internal See `Module.testOnBatch`. */
export async function testOnBatch(
  model: Module,
  x: Rows,
  y: Rows,
  options: Pick<WeightOptions, 'sampleWeight'> = {},
): Promise<Logs> {
  checkOptions('testOnBatch', options, ['sampleWeight']);
  return onBatch('testOnBatch', model, { x, y, sampleWeight: options.sampleWeight }, undefined, false);
}

/** @internal See `Module.predictOnBatch`. */
export async function predictOnBatch(model: Module, x: Rows): Promise<Tensor> {
  const restore = inMode(model, false);
  try {
    return predictRows('predictOnBatch', model, x);
  } finally {
    restore();
  }
}
