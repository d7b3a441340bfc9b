import { gradientsOrNull, noGrad } from '../autograd/grad.ts';
import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { sameShape, showShape } from '../core/shape.ts';
import { assign_ } from '../ops/assign.ts';
import { full, tensor, zeros } from '../ops/creation.ts';
import { add, cast, mul, neg } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { checkFunction, checkOptions, compose, describe } from '../ops/record.ts';
import { internal, keep, Loan, step } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type ClipGradNormOptions, checkClipNorm, checkClipValue, clippedByNorm, clippedByValue } from './clipping.ts';
import { Counts, hasValue, type Numbers } from './counts.ts';
import { plus, type Scalar } from './scalars.ts';

/** Elements of a state that the host makes. */
const MOST_FROM_HOST = 2 ** 20;

/** Options that every optimizer has, for all parameters or for a group of them. */
export interface OptimizerOptions {
  /** The learning rate; a number that may change from step to step. */
  readonly lr?: number | undefined;
  /** Add this share of the parameter to its gradient (L2 penalty); 0 unless given. */
  readonly weightDecay?: number | undefined;
  /** Go up the gradient rather than down. */
  readonly maximize?: boolean | undefined;
}

/** The options of a group with all defaults filled in; they may be changed between steps. */
export type Settings<O extends OptimizerOptions> = { -readonly [K in keyof O]-?: Exclude<O[K], undefined> };

/** Parameters that are updated with the same options. */
export type ParamGroup<O extends OptimizerOptions> = Settings<O> & { params: Tensor[] };

/** What an optimizer takes: parameters, or groups of them with options of their own (PyTorch's `[{ params, lr }]`). */
export type Params<O extends OptimizerOptions> = Iterable<Tensor> | Iterable<{ readonly params: Iterable<Tensor> } & O>;

/** What the update of one parameter reads. */
export interface Update<O extends OptimizerOptions, Slot extends string> {
  /** The parameter. */
  readonly p: Tensor;
  /** Its gradient. */
  readonly g: Tensor;
  /** How many updates there are, this one included; a scalar tensor where a GradScaler decides on the device which of them count. */
  readonly t: Scalar;
  /** The state before this update: at first what `start` says. */
  readonly state: Readonly<Record<Slot, Tensor>>;
  /** The numbers that `numbers` names, before this update. */
  readonly numbers: Numbers;
  readonly options: Settings<O>;
}

/** The values after an update. */
export interface Updated<Slot extends string> {
  readonly p: Tensor;
  readonly state: Readonly<Partial<Record<Slot, Tensor>>>;
  readonly numbers?: Numbers;
}

/** State of one parameter in a state dict: the number of updates (`step`), a scalar tensor where the device counts, and its tensors. */
export type ParameterState = Readonly<Record<string, Tensor | number>>;

/** What `Optimizer.stateDict` gives: parameters are named by their place over all groups, as in PyTorch. */
export interface OptimizerStateDict {
  readonly state: Readonly<Record<number, ParameterState>>;
  readonly paramGroups: readonly (Readonly<Record<string, unknown>> & { readonly params: readonly number[] })[];
}

/** What `minimize` and the like need of a scaler of gradients, such as `nn.amp.GradScaler`. */
export interface LossScaler {
  /** The loss times the scale. */
  scale(loss: Tensor): Tensor;
  /** @internal Gradients over the scale, and whether any is not finite: then the step does not count. */
  unscaled(gradients: readonly Tensor[]): { readonly gradients: readonly Tensor[]; readonly skip: Tensor | null };
  /** @internal Adapts the scale to what was found. */
  adapt(skip: Tensor | null): void;
}

/** Options of `minimize`. */
export interface MinimizeOptions {
  /** Leave the gradients in the parameters' `.grad`, in place of what is there: as they are after scaling and clipping. */
  readonly keepGrads?: boolean | undefined;
  /** Scale the gradients so that their norm, as of one vector, is at most this; see `nn.utils.clipGradNorm`. */
  readonly clipGradNorm?: number | ({ readonly maxNorm: number } & ClipGradNormOptions) | undefined;
  /** Limit the elements of the gradients to ± this; see `nn.utils.clipGradValue`. */
  readonly clipGradValue?: number | undefined;
  /** Scale the loss and its gradients back; a step whose gradients are not finite does not count. */
  readonly scaler?: LossScaler | undefined;
}

/** The clipping that `minimize` is asked for: first the norm, then single elements. */
function clipping(options: MinimizeOptions): (gradients: readonly Tensor[]) => readonly Tensor[] {
  const { clipGradNorm, clipGradValue } = options;
  const { maxNorm, ...normOptions } = typeof clipGradNorm === 'object' ? clipGradNorm : { maxNorm: clipGradNorm };
  if (clipGradNorm !== undefined) checkClipNorm('minimize', maxNorm, normOptions);
  if (clipGradValue !== undefined) checkClipValue('minimize', clipGradValue);
  return (gradients) => {
    if (!gradients.some((g) => g.size > 0)) return gradients;
    const short =
      maxNorm === undefined ? gradients : clippedByNorm('clipGradNorm', gradients, maxNorm, normOptions).gradients;
    return clipGradValue === undefined ? short : clippedByValue('clipGradValue', short, clipGradValue);
  };
}

/** A parameter that is to be updated. */
interface Given<O extends OptimizerOptions, Slot extends string> {
  readonly p: Tensor;
  readonly g: Tensor;
  readonly options: Settings<O>;
  readonly slots: Record<Slot, Tensor>;
  readonly first: Tensor | undefined;
  readonly fresh: boolean;
}

/** @internal Throws unless a number fulfils a rule. */
export function rule(op: string, name: string, value: unknown, fits: (v: number) => boolean, text: string): void {
  if (typeof value !== 'number' || !fits(value))
    throw new UnsupportedError(`${op}: ${name} is ${describe(value)}, but it must be ${text}`);
}

/** @internal A finite number of at least 0. */
export const atLeastZero = (op: string, name: string, value: unknown): void =>
  rule(op, name, value, (v) => v >= 0 && Number.isFinite(v), 'a finite number of at least 0');

/** @internal A number from 0 up to, not including, 1. */
export const belowOne = (op: string, name: string, value: unknown): void =>
  rule(op, name, value, (v) => v >= 0 && v < 1, 'at least 0 and less than 1');

/** @internal A pair of shares of old averages, such as [0.9, 0.999]. */
export function checkBetas(op: string, betas: unknown): void {
  if (!Array.isArray(betas) || betas.length !== 2)
    throw new UnsupportedError(`${op}: betas is ${describe(betas)}, but it must be a pair such as [0.9, 0.999]`);
  belowOne(op, 'betas[0]', betas[0]);
  belowOne(op, 'betas[1]', betas[1]);
}

/** @internal The gradient with the L2 penalty. */
export const penalized = ({ p, g, options: { weightDecay } }: Update<OptimizerOptions, never>): Tensor =>
  weightDecay === 0 ? g : add(g, mul(p, weightDecay));

/** @internal The parameter after decay on its own, apart from the gradient (Loshchilov and Hutter, arXiv 1711.05101). */
export const decayed = ({ p, options: { lr, weightDecay } }: Update<OptimizerOptions, never>): Tensor =>
  weightDecay === 0 ? p : mul(p, 1 - lr * weightDecay);

/**
 * Base class of the optimizers (`torch.optim.Optimizer`): keeps the parameter groups and the state, and applies updates. An
 * optimizer of its own says which state it keeps and how one parameter moves, in tensor ops; see `SGD` for an example.
 *
 * Parameters and state change together or not at all: an exception in a step leaves both as they were.
 *
 * @throws UnsupportedError for parameters that are no leaf tensors or are given twice, and for options that it does not have or
 * whose values break their rule.
 */
export abstract class Optimizer<O extends OptimizerOptions = OptimizerOptions, Slot extends string = string> {
  /** The groups: their parameters, and options that may be changed between steps. */
  readonly paramGroups: ParamGroup<O>[] = [];
  private readonly defaults: Settings<O>;
  private readonly flags: readonly string[];
  private readonly states = new Map<Tensor, Record<Slot, Tensor>>();
  private readonly counts = new Counts(() => ({ step: 0, ...this.numbers() }));
  private readonly loan = new Loan('by the next minimize() of its optimizer; read it before, or call keep() on it');

  /** `name` stands in errors and plans; `defaults` has a value for every option. */
  protected constructor(
    protected readonly name: string,
    params: Params<O>,
    options: O,
    defaults: Settings<O>,
  ) {
    checkOptions(name, options, Object.keys(defaults));
    this.flags = Object.keys(defaults).filter((key) => typeof (defaults as Record<string, unknown>)[key] === 'boolean');
    this.defaults = { ...defaults, ...withoutUndefined(options) };
    this.checkAll(this.defaults);
    if (typeof (params as Iterable<unknown> | undefined)?.[Symbol.iterator] !== 'function')
      throw new UnsupportedError(`${name}: the parameters are ${describe(params)}; pass model.parameters(), or a list`);
    const given = [...params] as (Tensor | ({ readonly params: Iterable<Tensor> } & O))[];
    if (given.length === 0)
      throw new UnsupportedError(
        `${name}: the list of parameters is empty; pass model.parameters(), or a list of leaf tensors`,
      );
    const loose = given.filter((x): x is Tensor => x instanceof Tensor);
    if (loose.length === given.length)
      this.addParamGroup({ params: loose } as unknown as { readonly params: Iterable<Tensor> } & O);
    else for (const group of given) this.addParamGroup(group as { readonly params: Iterable<Tensor> } & O);
  }

  /** Throws UnsupportedError where a value breaks its rule. */
  protected abstract check(options: Settings<O>): void;

  /** Names of the state tensors that a parameter needs, each of its shape. */
  protected abstract slots(options: Settings<O>): readonly Slot[];

  /** What the state tensors of a parameter start with: 0, unless overridden. */
  protected start(_options: Settings<O>): number {
    return 0;
  }

  /** Numbers that change with every update besides their count, and what they start with: none, unless overridden. */
  protected numbers(): Readonly<Record<string, number>> {
    return {};
  }

  /** The update line: new values from old ones. Per-step numbers go in as operands of ops, so that the plan stays the same. */
  protected abstract update(step: Update<O, Slot>): Updated<Slot>;

  /** The learning rate of the first group; setting it sets all groups. */
  get lr(): number {
    return this.paramGroups[0]?.lr ?? this.defaults.lr;
  }

  set lr(value: number) {
    atLeastZero(this.name, 'lr', value);
    for (const group of this.paramGroups) group.lr = value as Settings<O>['lr'];
  }

  /** Adds parameters with options of their own (`torch.optim.Optimizer.add_param_group`). */
  addParamGroup(group: { readonly params: Iterable<Tensor> } & O): void {
    if (typeof group !== 'object' || group === null || typeof group.params !== 'object')
      throw new UnsupportedError(
        `${this.name}: ${describe(group)} is neither a tensor nor a group; pass tensors, or objects { params, lr }`,
      );
    const { params, ...options } = group;
    checkOptions(this.name, options, Object.keys(this.defaults));
    const list = [...params];
    const known = new Set(this.parameters());
    for (const p of list) {
      if (!(p instanceof Tensor))
        throw new UnsupportedError(`${this.name}: a parameter is ${describe(p)}; pass tensors`);
      p.alive(this.name);
      if (!p.isLeaf)
        throw new UnsupportedError(
          `${this.name}: a parameter of shape ${showShape(p.shape)} is the result of an op; only leaves can be optimized`,
        );
      if (known.has(p))
        throw new UnsupportedError(
          `${this.name}: a parameter of shape ${showShape(p.shape)} is given twice; name each in one group, once`,
        );
      known.add(p);
    }
    const settings = { ...this.defaults, ...withoutUndefined(options) };
    this.checkAll(settings);
    this.paramGroups.push({ ...settings, params: list });
  }

  /**
   * One update from the gradients in the parameters' `.grad`; parameters without one are skipped
   * (`torch.optim.Optimizer.step`).
   */
  step(): void {
    this.apply('step', (p) => p.grad);
  }

  /** @internal As `step`, but where a bool holds on the device, everything keeps the value it has. */
  stepUnless(skip: Tensor): void {
    this.apply('step', (p) => p.grad, skip);
  }

  /** Forgets the gradients of all parameters (`zero_grad(set_to_none=True)`). */
  zeroGrad(): void {
    for (const p of this.parameters()) if (p.grad) p.grad = null;
  }

  /**
   * A whole training step: computes the loss, its gradients, and the update, as one fused plan. Nothing of it is left but the
   * loss, which is given back without its history. Parameters that the loss does not depend on are skipped. Sets no `.grad`
   * unless `keepGrads` is given.
   *
   * Outside a scope the loss lives until the next `minimize` of this optimizer, unless `keep` is called on it; a loop that
   * disposes nothing therefore needs no more memory with every step.
   *
   * @param fn computes the loss, a scalar; it must not be async.
   * @throws UnsupportedError when the function gives no scalar that depends on a parameter.
   * @example
   * ```ts
   * const w = tl.tensor([1, 2], { requiresGrad: true });
   * const sgd = new tl.optim.SGD([w], { lr: 0.1 });
   * const loss = sgd.minimize(() => w.square().sum());
   * console.log(await loss.item()); // 5
   * ```
   */
  minimize(fn: () => Tensor, options: MinimizeOptions = {}): Tensor {
    checkOptions('minimize', options, ['clipGradNorm', 'clipGradValue', 'scaler'], ['keepGrads']);
    checkFunction('minimize', fn);
    const clipped = clipping(options);
    const { scaler, keepGrads } = options;
    const loss = step('minimize', () => {
      const value = fn();
      if (!(value instanceof Tensor)) throw notATensor(value);
      const watched = this.parameters().filter((p) => p.requiresGrad);
      const found = gradientsOrNull('minimize', [scaler ? scaler.scale(value) : value], watched);
      const reached = watched.filter((_, i) => found[i]);
      noGrad(() => {
        const raw = found.filter((g) => g !== null);
        const { gradients, skip } = scaler ? scaler.unscaled(raw) : { gradients: raw, skip: null };
        const final = clipped(gradients);
        const of = new Map(reached.map((p, i) => [p, final[i] as Tensor]));
        this.apply('minimize', (p) => of.get(p) ?? null, skip);
        scaler?.adapt(skip);
        if (!keepGrads) return;
        this.zeroGrad();
        for (const [p, g] of of) p.grad = keep(g);
      });
      return new Tensor(value.device, value.cell, value.view, null);
    });
    return this.loan.lend(loss);
  }

  /**
   * Options, and the state of every parameter that has one. The tensors are the optimizer's own, not copies: they go on
   * changing, and belong to it.
   */
  stateDict(): OptimizerStateDict {
    const params = this.parameters();
    const state: Record<number, ParameterState> = {};
    params.forEach((p, i) => {
      const slots = this.states.get(p);
      if (slots) state[i] = { ...this.counts.of({ p, first: firstOf(slots) }), ...slots };
    });
    const place = new Map(params.map((p, i) => [p, i]));
    const paramGroups = this.paramGroups.map(({ params: list, ...options }) => ({
      ...options,
      params: list.map((p) => place.get(p) ?? -1),
    }));
    return { state, paramGroups };
  }

  /**
   * Goes on from a state dict: options and state are taken over, the tensors copied. All of it or, on an error, nothing.
   *
   * @throws UnsupportedError when the groups or the options differ.
   * @throws ShapeError when a state tensor has not the shape of its parameter.
   */
  loadStateDict(dict: OptimizerStateDict): void {
    const op = `${this.name}.loadStateDict`;
    const sizes = (groups: readonly { readonly params: { readonly length: number } }[]): string =>
      groups.map((g) => g.params.length).join(', ');
    if (sizes(dict.paramGroups) !== sizes(this.paramGroups))
      throw new UnsupportedError(
        `${op}: the groups have ${sizes(dict.paramGroups)} parameters, those of this optimizer ${sizes(this.paramGroups)}; make it with the same groups`,
      );
    const groups = dict.paramGroups.map(({ params: _, ...options }) => {
      checkOptions(op, options, Object.keys(this.defaults));
      const settings = { ...this.defaults, ...(options as Partial<O>) };
      this.checkAll(settings);
      return settings;
    });
    // By their number in the dict, which need not be the place: PyTorch numbers groups that were added later differently.
    const numbers = dict.paramGroups.flatMap((g) => g.params);
    internal(op, () =>
      noGrad(() => {
        const made: { p: Tensor; slots: Record<Slot, Tensor>; first: Tensor | undefined; numbers: Numbers }[] = [];
        const names = ['step', ...Object.keys(this.numbers())];
        this.parameters().forEach((p, i) => {
          const given = dict.state[numbers[i] ?? i];
          if (!given) return;
          const counted = names.map((name): [string, Scalar] => [
            name,
            numberOf(op, `${name} of parameter ${i}`, name, given[name]),
          ]);
          const slots = {} as Record<Slot, Tensor>;
          for (const [name, value] of Object.entries(given))
            if (!names.includes(name)) slots[name as Slot] = copyOf(op, `${name} of parameter ${i}`, p, value);
          made.push({ p, slots, first: firstOf(slots), numbers: Object.fromEntries(counted) });
        });
        this.forget();
        for (const { p, slots } of made) {
          for (const s of Object.values<Tensor>(slots)) keep(s);
          if (firstOf(slots)) this.states.set(p, slots);
        }
        this.counts.load(made);
      }),
    );
    this.paramGroups.forEach((group, i) => {
      Object.assign(group, groups[i]);
    });
  }

  /** Frees the state and the last loss. The parameters stay. */
  dispose(): void {
    this.loan.takeBack();
    this.forget();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private parameters(): Tensor[] {
    return this.paramGroups.flatMap((group) => group.params);
  }

  private checkAll(options: Settings<O>): void {
    atLeastZero(this.name, 'lr', options.lr);
    atLeastZero(this.name, 'weightDecay', options.weightDecay);
    for (const name of this.flags) {
      const value = (options as Record<string, unknown>)[name];
      if (typeof value !== 'boolean')
        throw new UnsupportedError(`${this.name}: ${name} is ${describe(value)}, but it must be true or false`);
    }
    this.check(options);
  }

  /** Computes every new value, then assigns them all; where `skip` holds on the device, all keep the value they have. */
  private apply(op: string, gradient: (p: Tensor) => Tensor | null, skip: Tensor | null = null): void {
    internal(op, () =>
      noGrad(() => {
        const caller = `${this.name}.${op}`;
        const given: Given<O, Slot>[] = [];
        for (const group of this.paramGroups) {
          this.checkAll(group);
          const names = this.slots(group);
          for (const p of group.params) {
            p.alive(caller);
            const g = gradient(p);
            g?.alive(`${this.name}.step`);
            if (g) given.push({ p, g, options: group, ...this.stateOf(p, group, names) });
          }
        }
        const before = this.counts.before(given, skip !== null);
        const counts = new Map<Numbers, Scalar>();
        const changes = given.map((x) => {
          const numbers = before.get(x.p) as Numbers;
          const { step = 0 } = numbers;
          const t =
            typeof step === 'number' ? step + 1 : (counts.get(numbers) ?? compose(this.name, () => plus(step, 1)));
          counts.set(numbers, t);
          const { p, first, slots, fresh } = x;
          return {
            p,
            first,
            slots,
            fresh,
            before: numbers,
            after: compose(this.name, () => this.change(x, t, numbers, skip)),
          };
        });
        for (const { p, slots, fresh, after } of changes) {
          assign_(p, after.value);
          for (const slot of Object.keys(after.state) as Slot[]) {
            const next = after.state[slot];
            if (next) assign_(slots[slot], next);
          }
          if (!fresh) continue;
          for (const s of Object.values<Tensor>(slots)) keep(s);
          end(this.states.get(p));
          if (firstOf(slots)) this.states.set(p, slots);
        }
        this.counts.after(changes);
      }),
    );
  }

  /** The state of a parameter, made anew where there is none. */
  private stateOf(
    p: Tensor,
    options: Settings<O>,
    names: readonly Slot[],
  ): { slots: Record<Slot, Tensor>; first: Tensor | undefined; fresh: boolean } {
    const known = this.states.get(p);
    if (known && names.every((slot) => known[slot] && hasValue(known[slot])))
      return { slots: known, first: firstOf(known), fresh: false };
    const start = this.start(options);
    const made = compose(this.name, () => names.map((slot) => [slot, startOf(p, start)]));
    const slots = Object.fromEntries(made) as Record<Slot, Tensor>;
    return { slots, first: firstOf(slots), fresh: true };
  }

  /** The new values of a parameter, its state and its numbers. */
  private change(
    { p, g, options, slots }: Given<O, Slot>,
    t: Scalar,
    numbers: Numbers,
    skip: Tensor | null,
  ): { value: Tensor; state: Readonly<Partial<Record<Slot, Tensor>>>; numbers: Numbers } {
    // State is float32; so is the update, which the parameter rounds.
    const wide = (x: Tensor): Tensor => (x.dtype === 'float16' ? cast(x, 'float32') : x);
    const slope = wide(g);
    const next = this.update({
      p: wide(p),
      g: options.maximize ? neg(slope) : slope,
      t,
      state: slots,
      numbers,
      options,
    });
    const after = { value: next.p, state: next.state, numbers: { ...next.numbers, step: t } };
    if (!skip) return after;
    const unless = <K extends string, V extends Scalar>(
      old: Readonly<Record<K, V>>,
      values: Readonly<Partial<Record<K, V>>>,
    ): Record<K, Tensor> =>
      Object.fromEntries(
        Object.entries<V | undefined>(values).flatMap(([name, value]) =>
          value === undefined ? [] : [[name, where(skip, old[name as K], value)]],
        ),
      ) as Record<K, Tensor>;
    return {
      value: where(skip, wide(p), after.value),
      state: unless(slots, after.state),
      numbers: typeof t === 'number' ? after.numbers : unless(numbers, after.numbers),
    };
  }

  private forget(): void {
    for (const state of this.states.values()) end(state);
    this.states.clear();
    this.counts.forget();
  }
}

/** From the host, so that the first step is planned and compiled like the others, but where it would be much to hold there. */
function startOf({ shape, size, device }: Tensor, value: number): Tensor {
  if (size > MOST_FROM_HOST) return full(shape, value, { device });
  return tensor(new Float32Array(size).fill(value), { shape, device });
}

function firstOf(slots: Readonly<Record<string, Tensor>>): Tensor | undefined {
  for (const name in slots) return slots[name];
  return undefined;
}

function end(state: Readonly<Record<string, Tensor>> | undefined): void {
  for (const s of Object.values(state ?? {})) s.dispose();
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as Partial<T>;
}

/** A number of a state dict: the count of updates, or another one. */
function numberOf(op: string, what: string, name: string, value: unknown): Scalar {
  if (value instanceof Tensor && value.size === 1) {
    value.alive(op);
    return value;
  }
  const fits = name === 'step' ? Number.isInteger(value) && (value as number) >= 0 : Number.isFinite(value);
  if (typeof value !== 'number' || !fits)
    throw new UnsupportedError(
      `${op}: the ${what} is ${describe(value)}, but it must be ${name === 'step' ? 'a whole number of at least 0' : 'a number'}`,
    );
  return value;
}

/** A state tensor for a parameter with the elements of another one. */
function copyOf(op: string, what: string, p: Tensor, value: unknown): Tensor {
  if (!(value instanceof Tensor))
    throw new UnsupportedError(`${op}: ${what} is ${describe(value)}, but it must be a tensor`);
  value.alive(op);
  if (!sameShape(value.shape, p.shape))
    throw new ShapeError(
      `${op}: ${what} has shape ${showShape(value.shape)}, the parameter ${showShape(p.shape)}; they must be equal`,
    );
  return assign_(zeros(p.shape, { device: p.device }), value);
}

function notATensor(value: unknown): UnsupportedError {
  const promise =
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
  if (!promise)
    return new UnsupportedError(
      `minimize: the function gave ${describe(value)}; it must return the loss, a scalar tensor`,
    );
  (value as PromiseLike<unknown>).then(undefined, () => undefined);
  return new UnsupportedError(
    'minimize: the function returned a promise; await what it needs before, and pass a function that computes the loss at once',
  );
}
