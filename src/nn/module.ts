import { noGrad } from '../autograd/grad.ts';
import { FormatError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, sameShape, showShape } from '../core/shape.ts';
import type { Rows } from '../data/dataset.ts';
import { assign_ } from '../ops/assign.ts';
import { tensor, zeros } from '../ops/creation.ts';
import { checkOptions, describe } from '../ops/record.ts';
import { Device } from '../tensor/device.ts';
import { internal, keep, tensorsIn, tidy } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import {
  type Batches,
  type CompileOptions,
  compile,
  type EvaluateOptions,
  evaluate,
  type FitOptions,
  fit as fitModule,
  type History,
  inMode,
  type Logs,
  type PredictOptions,
  predict,
  trainOnBatch,
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

const isParameter = (value: unknown): value is Tensor =>
  value instanceof Parameter || (value instanceof Tensor && value.requiresGrad && value.isLeaf);

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
  readonly #buffers = new Set<string>();

  /** The output for the given inputs. */
  abstract forward(...inputs: Inputs): Output;

  /** What stands between the brackets of `toString()`, such as `inFeatures=64`. */
  protected extra(): string {
    return '';
  }

  /** Makes a tensor part of the state that is not learned, such as a running mean (`torch.nn.Module.register_buffer`). */
  protected registerBuffer(name: string, value: Tensor): void {
    if (name in this && !this.#buffers.has(name))
      throw new UnsupportedError(`registerBuffer: the module has a property ${name} already; choose another name`);
    this.#buffers.add(name);
    Object.defineProperty(this, name, { value: keep(value), writable: true, enumerable: true, configurable: true });
  }

  /** Its own tensors: the one place that finds them. */
  #own(): { name: string; value: Tensor; buffer: boolean }[] {
    const found: { name: string; value: Tensor; buffer: boolean }[] = [];
    for (const [name, value] of Object.entries(this)) {
      const buffer = this.#buffers.has(name) && value instanceof Tensor;
      if (!buffer && !isParameter(value)) continue;
      if (value.frame && !value.disposed) keep(value);
      found.push({ name, value, buffer });
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
      for (const { name, value, buffer } of module.#own())
        if (buffer === buffers && !found.has(value)) found.set(value, path ? `${path}.${name}` : name);
    return [...found].map(([value, name]) => [name, value]);
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
   * All parameters and buffers by name (`torch.nn.Module.state_dict`). They are the module's own tensors, not copies: they go
   * on changing, and belong to the module.
   */
  stateDict(): StateDict {
    const dict: Record<string, Tensor> = {};
    for (const [path, module] of this.#paths(''))
      for (const { name, value } of module.#own()) dict[path ? `${path}.${name}` : name] = value;
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
    const places = this.modules().flatMap((module) => module.#own().map((own) => ({ module, ...own })));
    const old = [...new Set(places.map(({ value }) => value))].filter((value) => value.device !== device);
    const data = await Promise.all(old.map((value) => value.numbers('to')));
    const moved = internal('to', () => {
      const made = old.map((value, i): Tensor => {
        const copy = tensor(data[i] ?? [], { shape: value.shape, dtype: value.dtype, device });
        return value instanceof Parameter ? new Parameter(copy, { requiresGrad: value.requiresGrad }) : copy;
      });
      made.forEach((copy, i) => {
        if (!(copy instanceof Parameter) && old[i]?.requiresGrad) copy.requiresGrad = true;
        keep(copy);
      });
      return new Map(old.map((value, i) => [value, made[i] as Tensor]));
    });
    for (const { module, name, value } of places) {
      const copy = moved.get(value);
      if (copy)
        Object.defineProperty(module, name, { value: copy, writable: true, enumerable: true, configurable: true });
    }
    for (const value of old)
      value.end(
        'by to(device), which moved its module; take the tensor from the module again, and make the optimizer after moving',
      );
    return this;
  }

  /** Disposes all parameters and buffers. */
  dispose(): void {
    for (const value of Object.values(this.stateDict())) value.dispose();
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
   * A table of the modules with their parameters, as text. With the shape of an input (the batch included), it shows the shape
   * of each module's output, too.
   *
   * @example
   * ```ts
   * console.log(new tl.nn.Sequential(new tl.nn.Linear(64, 32), new tl.nn.ReLU()).summary([1, 64]));
   * ```
   */
  summary(inputShape?: Shape): string {
    const named = this.namedModules();
    const outputs = inputShape
      ? outputShapes(this as unknown as Module, named, inputShape)
      : new Map<AnyModule, string>();
    const seen = new Set<Tensor>();
    const rows = named.map(([name, module]) => {
      let count = 0;
      const shapes: string[] = [];
      for (const { name: own, value, buffer } of module.#own()) {
        if (buffer) continue;
        shapes.push(`${own} ${showShape(value.shape)}`);
        if (!seen.has(value)) count += value.size;
        seen.add(value);
      }
      const extra = module.children().length > 0 ? '' : module.extra();
      return [
        name || '(all)',
        `${module.constructor.name}${extra ? `(${extra})` : ''}`,
        ...(inputShape ? [outputs.get(module) ?? ''] : []),
        shapes.join(', '),
        count.toLocaleString('en'),
      ];
    });
    const head = ['name', 'module', ...(inputShape ? ['output'] : []), 'parameters', 'count'];
    const table = [head, ...rows];
    const widths = head.map((_, c) => Math.max(...table.map((row) => row[c]?.length ?? 0)));
    const line = (row: readonly string[]): string =>
      row
        .map((cell, c) => (c === row.length - 1 ? cell.padStart(widths[c] ?? 0) : cell.padEnd(widths[c] ?? 0)))
        .join('  ');
    const rule = widths.map((w) => '-'.repeat(w)).join('  ');
    const all = this.parameters();
    const total = all.reduce((n, p) => n + p.size, 0);
    const frozen = all.reduce((n, p) => n + (p.requiresGrad ? 0 : p.size), 0);
    const note = frozen > 0 ? `, ${frozen.toLocaleString('en')} of them frozen` : '';
    return [line(head), rule, ...rows.map(line), rule, `${total.toLocaleString('en')} parameters${note}`].join('\n');
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

  /** The outputs for given inputs, batch by batch, in evaluation mode (Keras `predict`). The tensor is the caller's. */
  predict(this: Module, x: Rows, options?: PredictOptions): Promise<Tensor> {
    return predict(this, x, options);
  }

  /**
   * One step on one batch (Keras `train_on_batch`): gives its loss and metrics from before the update. For streams: memory does
   * not grow with the number of calls.
   */
  trainOnBatch(this: Module, x: Rows, y: Rows): Promise<Logs> {
    return trainOnBatch(this, x, y);
  }
}

/** Runs the module once on zeros and notes what each module gives. */
function outputShapes(
  model: Module,
  named: readonly (readonly [string, AnyModule])[],
  inputShape: Shape,
): Map<AnyModule, string> {
  const shapes = new Map<AnyModule, string>();
  const restore = inMode(model, false);
  const watched = named.map(([, module]) => module);
  for (const module of watched) {
    const forward = module.forward.bind(module) as (...inputs: unknown[]) => unknown;
    const watch = (...inputs: unknown[]): unknown => {
      const out = forward(...inputs);
      shapes.set(module, [...tensorsIn(out)].map((t) => showShape(t.shape)).join(', '));
      return out;
    };
    Object.defineProperty(module, 'forward', { value: watch, configurable: true, enumerable: false });
  }
  try {
    const device = model.parameters()[0]?.device;
    tidy(() => {
      noGrad(() => model.forward(zeros(inputShape, device ? { device } : {})));
    });
  } finally {
    for (const module of watched) Reflect.deleteProperty(module, 'forward');
    restore();
  }
  return shapes;
}
