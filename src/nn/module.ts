import { noGrad } from '../autograd/grad.ts';
import { FormatError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import type { Rows } from '../data/dataset.ts';
import { assign_ } from '../ops/assign.ts';
import { tensor } from '../ops/creation.ts';
import { checkFlag, checkFunction, checkOptions, describe } from '../ops/record.ts';
import { Device } from '../tensor/device.ts';
import { internal, keep } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Batches } from './batches.ts';
import type { History } from './history.ts';
import type { Logs } from './progress.ts';
import { type SummaryInput, summaryOf } from './summary.ts';
import {
  type CompileOptions,
  compile,
  type EvaluateOptions,
  evaluate,
  type FitOptions,
  fit as fitModule,
  type InputBatches,
  type PredictOptions,
  predict,
  predictOnBatch,
  testOnBatch,
  trainOnBatch,
  type WeightOptions,
  warmup,
} from './training.ts';

/**
 * A tensor that a module learns (`torch.nn.Parameter`): a leaf on the storage of the given tensor that requires a gradient and
 * outlives the scope it is made in. Modules find it among their properties.
 *
 * @example
 * ```ts
 * class Scale extends tl.nn.Module {
 *   readonly factor: tl.Tensor = new tl.nn.Parameter(tl.ones([1]));
 *   override forward(x: tl.Tensor): tl.Tensor {
 *     return x.mul(this.factor);
 *   }
 * }
 * ```
 */
export class Parameter extends Tensor {
  /** A parameter with the elements of a tensor, whose storage it shares; `requiresGrad` is true unless given. */
  constructor(data: Tensor, options: { readonly requiresGrad?: boolean | undefined } = {}) {
    data.alive('Parameter');
    super(data.device, data.cell, data.view, null);
    this.requiresGrad = options.requiresGrad ?? true;
    keep(this);
  }
}

/** A module of any signature, as containers hold it. */
export type AnyModule = Module<never, unknown>;

/** Tensors by the names of a module's state: parameters, then buffers, as `0.weight`. */
export type StateDict = Readonly<Record<string, Tensor>>;

/** What `loadStateDict` found. */
export interface LoadReport {
  /** Names of the module that the state dict lacks. */
  readonly missing: readonly string[];
  /** Names of the state dict that the module lacks. */
  readonly unexpected: readonly string[];
}

/** Options of `loadStateDict`. */
export interface LoadStateDictOptions {
  /** Refuse missing and unexpected names; true unless given. Shapes must always fit. */
  readonly strict?: boolean | undefined;
}

/** Options of `registerBuffer`. */
export interface BufferOptions {
  /** Whether it is in the state dict; true unless given. It moves with the module and is disposed with it in any case. */
  readonly persistent?: boolean | undefined;
}

/** @internal A tensor among the properties of a module. */
export interface OwnTensor {
  readonly name: string;
  readonly value: Tensor;
  readonly buffer: boolean;
  /** In the state dict. */
  readonly persistent: boolean;
}

const isParameter = (value: Tensor): boolean => value instanceof Parameter || (value.requiresGrad && value.isLeaf);

/**
 * Base class of everything that has parameters (`torch.nn.Module`). Parameters, buffers and child modules are the module's own
 * properties, in the order in which they were set; their names are the properties' names, joined by dots.
 *
 * A subclass extends it with the types of its inputs and output, tensors unless given, and defines `forward`.
 *
 * @example
 * ```ts
 * class Residual extends tl.nn.Module {
 *   readonly inner = new tl.nn.Linear(8, 8);
 *   override forward(x: tl.Tensor): tl.Tensor {
 *     return x.add(this.inner.forward(x).relu());
 *   }
 * }
 * ```
 */
export abstract class Module<Inputs extends readonly unknown[] = readonly [Tensor], Output = Tensor> {
  /** True in training mode, which Dropout and the like look at. Set by `train()` and `eval()`. */
  training = true;
  /** Names of buffers, and whether they are part of the state dict. */
  readonly #buffers = new Map<string, boolean>();
  /** Tensors that were found to be parameters: freezing them does not change that. */
  readonly #parameters = new WeakSet<Tensor>();

  /** The output for the given inputs. */
  abstract forward(...inputs: Inputs): Output;

  /** What stands between the brackets of `toString()`, such as `inFeatures=64`. */
  protected extra(): string {
    return '';
  }

  /**
   * Makes a tensor part of the state that is not learned, such as a running mean (`torch.nn.Module.register_buffer`).
   *
   * @throws UnsupportedError when there is a property of that name that is no buffer.
   */
  protected registerBuffer(name: string, value: Tensor, options: BufferOptions = {}): void {
    checkOptions('registerBuffer', options, ['persistent']);
    checkFlag('registerBuffer', 'persistent', options.persistent);
    if (!(value instanceof Tensor))
      throw new UnsupportedError(`registerBuffer: ${name} is ${describe(value)}, but it must be a tensor`);
    if (name in this && !this.#buffers.has(name))
      throw new UnsupportedError(`registerBuffer: the module has a property ${name} already; choose another name`);
    this.#buffers.set(name, options.persistent ?? true);
    Object.defineProperty(this, name, { value: keep(value), writable: true, enumerable: true, configurable: true });
  }

  /** @internal Its own tensors, without those of its modules: the one place that finds them. */
  ownTensors(): OwnTensor[] {
    const found: OwnTensor[] = [];
    for (const [name, value] of Object.entries(this)) {
      if (!(value instanceof Tensor)) continue;
      const buffer = this.#buffers.has(name);
      if (!buffer && !this.#parameters.has(value) && !isParameter(value)) continue;
      if (!buffer) this.#parameters.add(value);
      if (value.owner && !value.disposed) keep(value);
      found.push({ name, value, buffer, persistent: this.#buffers.get(name) ?? true });
    }
    return found;
  }

  /** The modules among its properties, by name (`torch.nn.Module.named_children`). */
  namedChildren(): [string, AnyModule][] {
    return Object.entries(this).filter((entry): entry is [string, AnyModule] => entry[1] instanceof Module);
  }

  /** The modules among its properties. */
  children(): AnyModule[] {
    return this.namedChildren().map(([, child]) => child);
  }

  /** Itself, under the empty name, and all modules below, each once. */
  namedModules(): [string, AnyModule][] {
    const found = new Map<AnyModule, string>();
    for (const [name, module] of this.#paths('')) if (!found.has(module)) found.set(module, name);
    return [...found].map(([module, name]) => [name, module]);
  }

  /** The same, but one that is used twice comes twice. */
  *#paths(name: string, above: readonly AnyModule[] = []): Generator<[string, AnyModule]> {
    yield [name, this];
    for (const [child, module] of this.namedChildren())
      if (module !== this && !above.includes(module))
        yield* module.#paths(name ? `${name}.${child}` : child, [...above, this]);
  }

  /** Itself and all modules below, each once. */
  modules(): AnyModule[] {
    return this.namedModules().map(([, module]) => module);
  }

  /** All parameters, its own first, by name, each once (`torch.nn.Module.named_parameters`). */
  namedParameters(): [string, Tensor][] {
    return this.#named(false);
  }

  /** All parameters, each once, for an optimizer. */
  parameters(): Tensor[] {
    return this.namedParameters().map(([, p]) => p);
  }

  /** All buffers by name, each once. */
  namedBuffers(): [string, Tensor][] {
    return this.#named(true);
  }

  /** All buffers: state that is not learned. */
  buffers(): Tensor[] {
    return this.namedBuffers().map(([, b]) => b);
  }

  #named(buffers: boolean): [string, Tensor][] {
    const found = new Map<Tensor, string>();
    for (const [path, module] of this.namedModules())
      for (const { name, value, buffer } of module.ownTensors())
        if (buffer === buffers && !found.has(value)) found.set(value, path ? `${path}.${name}` : name);
    return [...found].map(([value, name]) => [name, value]);
  }

  /**
   * Calls a function on all modules below, children before parents, and on itself last (`torch.nn.Module.apply`).
   *
   * @example
   * ```ts
   * model.apply((module) => {
   *   if (module instanceof tl.nn.Linear) tl.nn.init.xavierUniform_(module.weight);
   * });
   * ```
   */
  apply(fn: (module: AnyModule) => void): this {
    checkFunction('apply', fn);
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /**
   * Makes all parameters learn, or freezes them (`torch.nn.Module.requires_grad_`): a frozen parameter has no gradient, and
   * optimizers leave it as it is.
   *
   * @example
   * ```ts
   * const backbone = new tl.nn.Linear(64, 32).requiresGrad_(false);
   * const model = new tl.nn.Sequential(backbone, new tl.nn.Linear(32, 10));
   * ```
   */
  requiresGrad_(on = true): this {
    checkFlag('requiresGrad_', 'its argument', on);
    for (const p of this.parameters()) p.requiresGrad = on;
    return this;
  }

  /** Switches itself and all modules below to training mode, or out of it. */
  train(on = true): this {
    for (const module of this.modules()) module.training = on;
    return this;
  }

  /** Switches itself and all modules below to evaluation mode: no dropout. */
  eval(): this {
    return this.train(false);
  }

  /**
   * All parameters and persistent buffers by name (`torch.nn.Module.state_dict`). They are the module's own tensors, not copies: they go
   * on changing, and belong to the module.
   */
  stateDict(): StateDict {
    const dict: Record<string, Tensor> = {};
    for (const [path, module] of this.#paths(''))
      for (const { name, value, persistent } of module.ownTensors())
        if (persistent) dict[path ? `${path}.${name}` : name] = value;
    return dict;
  }

  /**
   * Takes over the elements of a state dict, all of them or, on an error, none. The tensors of the dict stay their owner's.
   *
   * @throws ShapeError when shapes differ; it names each with both.
   * @throws FormatError when names are missing or unexpected, unless `strict` is false; it lists them.
   */
  loadStateDict(dict: StateDict, options: LoadStateDictOptions = {}): LoadReport {
    const op = 'loadStateDict';
    checkOptions(op, options, [], ['strict']);
    const { strict = true } = options;
    if (typeof dict !== 'object' || dict === null)
      throw new FormatError(`${op}: ${describe(dict)} is no state dict; pass what stateDict() gives`);
    const own = Object.entries(this.stateDict());
    const names = new Set(own.map(([name]) => name));
    const missing = own.map(([name]) => name).filter((name) => !Object.hasOwn(dict, name));
    const unexpected = Object.keys(dict).filter((name) => !names.has(name));
    const pairs: [Tensor, Tensor][] = [];
    const wrong: string[] = [];
    for (const [name, to] of own) {
      if (!Object.hasOwn(dict, name)) continue;
      const from: unknown = dict[name];
      if (!(from instanceof Tensor))
        throw new FormatError(`${op}: ${name} is ${describe(from)}; a state dict holds tensors`);
      from.alive(op);
      to.alive(op);
      if (!sameShape(from.shape, to.shape) || from.dtype !== to.dtype)
        wrong.push(
          `${name} is ${from.dtype} ${showShape(from.shape)} there and ${to.dtype} ${showShape(to.shape)} in the module`,
        );
      else pairs.push([to, from]);
    }
    if (wrong.length > 0)
      throw new ShapeError(
        `${op}: shapes differ: ${wrong.join('; ')}; build the module with the sizes it was saved with`,
      );
    if (strict && missing.length + unexpected.length > 0) {
      const lists = [
        missing.length > 0 ? `missing: ${missing.join(', ')}` : '',
        unexpected.length > 0 ? `unexpected: ${unexpected.join(', ')}` : '',
      ];
      throw new FormatError(
        `${op}: the names differ: ${lists.filter(Boolean).join('; ')}; pass { strict: false } to load what fits`,
      );
    }
    const foreign = pairs.find(([to, from]) => to.device !== from.device);
    if (foreign)
      throw new UnsupportedError(
        `${op}: the state is on a ${foreign[1].device.name} device, the module on a ${foreign[0].device.name} one; move the module with to()`,
      );
    internal(op, () =>
      noGrad(() => {
        for (const [to, from] of pairs) assign_(to, from);
      }),
    );
    return { missing, unexpected };
  }

  /**
   * Moves all parameters and buffers to another device, in the modules' properties; the old tensors are disposed. Make the
   * optimizer afterwards. All of them move or, on an error, none.
   */
  async to(device: Device): Promise<this> {
    if (!(device instanceof Device))
      throw new UnsupportedError(`to: ${describe(device)} is no device; pass what init() or device() gave`);
    const places = this.modules().flatMap((module) => module.ownTensors().map((own) => ({ module, ...own })));
    const old = places.filter(
      ({ value }, i) => value.device !== device && places.findIndex((place) => place.value === value) === i,
    );
    const data = await Promise.all(old.map(({ value }) => value.numbers('to')));
    const moved = internal('to', () => {
      const made = old.map(({ value, buffer }, i): Tensor => {
        const copy = tensor(data[i] ?? [], { shape: value.shape, dtype: value.dtype, device });
        return buffer ? copy : new Parameter(copy, { requiresGrad: value.requiresGrad });
      });
      for (const copy of made) keep(copy);
      return new Map(old.map(({ value }, i) => [value, made[i] as Tensor]));
    });
    for (const { module, name, value } of places) {
      const copy = moved.get(value);
      if (copy)
        Object.defineProperty(module, name, { value: copy, writable: true, enumerable: true, configurable: true });
    }
    for (const { value } of old)
      value.end(
        'by to(device), which moved its module; take the tensor from the module again, and make the optimizer after moving',
      );
    return this;
  }

  /** Disposes all parameters and buffers. */
  dispose(): void {
    for (const module of this.modules()) for (const { value } of module.ownTensors()) value.dispose();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The module and those below it, as PyTorch prints them. */
  toString(): string {
    const children = this.namedChildren().map(
      ([name, child]) => `  (${name}): ${String(child).replaceAll('\n', '\n  ')}`,
    );
    const head = `${this.constructor.name}(${this.extra()}`;
    return children.length > 0 ? `${head}\n${children.join('\n')}\n)` : `${head})`;
  }

  /**
   * A table of the modules with their parameters, and whether they are trained, as text. With an input, it shows the shape of each
   * module's output, too: from the shapes alone, nothing is computed. Give the shape of a float32 input (the batch included), or
   * a tensor such as `tl.zeros([1, 16], { dtype: 'int32' })`, or a list of them for a module of several inputs.
   *
   * @throws ShapeError and the like where the module does not take the input.
   * @example
   * ```ts
   * console.log(new tl.nn.Sequential(new tl.nn.Linear(64, 32), new tl.nn.ReLU()).summary([1, 64]));
   * ```
   */
  summary(input?: SummaryInput): string {
    return summaryOf(this, input);
  }

  /**
   * Says how the module is trained (Keras `compile`): with which optimizer and loss, and which metrics are reported.
   *
   * @throws UnsupportedError for unknown options and metrics.
   */
  compile(this: Module, options: CompileOptions): void {
    compile(this, options);
  }

  /**
   * Trains the module (Keras `fit`): on inputs `x` and targets `y`, one row a sample, or on batches `{ x, y }` from a `DataLoader`
   * or anything else that can be iterated once an epoch.
   *
   * The device is awaited only now and then; memory does not grow with the number of steps or epochs.
   *
   * @returns losses and metrics of every epoch; those of the validation data are named `valLoss` and so on.
   * @throws UnsupportedError before `compile`, and for options that do not exist or break their rule.
   * @throws ShapeError for no samples, or another number of targets than of inputs.
   * @throws DTypeError for NaN among the targets.
   * @throws IndexError for labels that are no classes, which the device finds on the way.
   * @example
   * ```ts
   * const history = await model.fit(x, y, { epochs: 20, batchSize: 64, validationSplit: 0.2 });
   * ```
   */
  fit(this: Module, x: Rows, y: Rows, options?: FitOptions): Promise<History>;
  fit(this: Module, batches: Batches, options?: FitOptions): Promise<History>;
  fit(this: Module, first: Rows | Batches, second?: Rows | FitOptions, third?: FitOptions): Promise<History> {
    return fitModule(this, first, second, third);
  }

  /** The loss and the metrics over given samples, in evaluation mode (Keras `evaluate`). Errors as in `fit`. */
  evaluate(this: Module, x: Rows, y: Rows, options?: EvaluateOptions): Promise<Logs>;
  evaluate(this: Module, batches: Batches, options?: EvaluateOptions): Promise<Logs>;
  evaluate(
    this: Module,
    first: Rows | Batches,
    second?: Rows | EvaluateOptions,
    third?: EvaluateOptions,
  ): Promise<Logs> {
    return evaluate(this, first, second, third);
  }

  /**
   * The outputs for given inputs, or for batches `{ x }` such as a `DataLoader` gives, one after the other and in evaluation mode
   * (Keras `predict`). The tensor is the caller's.
   */
  predict(this: Module, x: Rows | InputBatches, options?: PredictOptions): Promise<Tensor> {
    return predict(this, x, options);
  }

  /**
   * One step on one batch (Keras `train_on_batch`): gives its loss and metrics from before the update. For streams: memory does
   * not grow with the number of calls.
   */
  trainOnBatch(this: Module, x: Rows, y: Rows, options?: WeightOptions): Promise<Logs> {
    return trainOnBatch(this, x, y, options);
  }

  /** The loss and the metrics of one batch, in evaluation mode (Keras `test_on_batch`). */
  testOnBatch(this: Module, x: Rows, y: Rows, options?: Pick<WeightOptions, 'sampleWeight'>): Promise<Logs> {
    return testOnBatch(this, x, y, options);
  }

  /**
   * Has the device compile what the module runs, so that the first real call is as fast as those that follow: `predict` for inputs like
   * `x`, and with targets like `y` also training and `evaluate`, as `compile` says. Give batches of the size that will come. The module,
   * its optimizer and the random numbers are as before; meanwhile their state is there twice. Metrics given as objects start again.
   *
   * @throws UnsupportedError for targets before `compile`.
   * @throws ShapeError for another number of targets than of inputs.
   * @example
   * ```ts
   * const small = new tl.nn.Sequential(new tl.nn.Linear(4, 3));
   * await small.warmup(tl.rand([32, 4]));
   * ```
   */
  warmup(this: Module, x: Rows, y?: Rows): Promise<void> {
    return warmup(this, x, y);
  }

  /** The outputs for one batch of inputs, in evaluation mode (Keras `predict_on_batch`). The tensor is the caller's. */
  predictOnBatch(this: Module, x: Rows): Promise<Tensor> {
    return predictOnBatch(this, x);
  }
}
