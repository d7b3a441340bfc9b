/*
 * Mixed precision (`torch.amp`): products in float16, everything that needs more in float32.
 */
import { noGrad } from '../autograd/grad.ts';
import { isThenable, type Synchronous } from '../core/check.ts';
import { UnsupportedError } from '../core/errors.ts';
import { assign_ } from '../ops/assign.ts';
import { withAutocast } from '../ops/autocast.ts';
import { full } from '../ops/creation.ts';
import { add, eq, isfinite, logicalAnd, logicalNot, logicalOr, mul, reciprocal } from '../ops/elementwise.ts';
import { where } from '../ops/functions.ts';
import { any } from '../ops/masks.ts';
import { checkFlag, checkFunction, checkOptions, checkTensor, compose, describe } from '../ops/record.ts';
import { hasValue } from '../optim/counts.ts';
import { type LossScaler, Optimizer, rule } from '../optim/optimizer.ts';
import type { Device } from '../tensor/device.ts';
import { internal, keep } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Options of `autocast`. */
export interface AutocastOptions {
  /** Off, the function computes as it would outside; true unless given. */
  readonly enabled?: boolean | undefined;
}

/**
 * Runs a function with mixed precision (`torch.autocast`). In it, products (`matmul`, `linear`, `einsum`, convolutions, attention) of
 * float32 tensors take them as float16, add up in float32 and give float16; sums, means, norms, normalisations, softmax, losses, powers,
 * exponentials and logarithms of float16 give float32; all other ops keep the dtype they are given. Parameters and what optimizers keep
 * stay float32, and so do gradients of parameters. Run the reverse pass outside; `minimize` does.
 *
 * Where a device has no float16 (the CPU, and WebGPU adapters without `shader-f16`) it changes nothing, and all is computed in float32:
 * so the same program runs on every device.
 *
 * @throws UnsupportedError when the function is async.
 * @example
 * ```ts
 * const model = new tl.nn.Linear(4, 2);
 * const sgd = new tl.optim.SGD(model.parameters(), { lr: 0.1 });
 * const scaler = new tl.nn.amp.GradScaler();
 * const x = tl.rand([8, 4]);
 * sgd.minimize(() => tl.nn.amp.autocast(() => model.forward(x).square().mean()), { scaler });
 * ```
 */
export function autocast<T>(fn: (() => T) & Synchronous<T>, options: AutocastOptions = {}): T {
  checkFunction('autocast', fn);
  checkOptions('autocast', options, ['enabled']);
  checkFlag('autocast', 'enabled', options.enabled);
  const out = withAutocast(options.enabled ?? true, fn);
  if (isThenable(out)) {
    out.then(undefined, () => undefined);
    throw new UnsupportedError(
      'autocast: the function returned a promise, but autocast ends when the function returns; await outside it, and wrap the synchronous parts',
    );
  }
  return out;
}

/** Options of `GradScaler`. */
export interface GradScalerOptions {
  /** The scale at the start; 65,536 unless given. */
  readonly initScale?: number | undefined;
  /** Factor of the scale after `growthInterval` good steps; 2 unless given. */
  readonly growthFactor?: number | undefined;
  /** Factor of the scale after a step whose gradients were not finite; 0.5 unless given. */
  readonly backoffFactor?: number | undefined;
  /** Good steps one after the other until the scale grows; 2000 unless given. */
  readonly growthInterval?: number | undefined;
  /** Off, nothing is scaled and no step is skipped; true unless given. */
  readonly enabled?: boolean | undefined;
}

/** What `GradScaler.stateDict` gives; tensors, once the scaler was used. */
export interface GradScalerStateDict {
  readonly scale: Tensor | number;
  readonly growthTracker: Tensor | number;
  readonly growthFactor: number;
  readonly backoffFactor: number;
  readonly growthInterval: number;
}

/** The scale, and good steps since it last changed, on a device. */
interface Place {
  readonly scale: Tensor;
  readonly tracker: Tensor;
}

/** What was found in the gradients of an optimizer since the last `update`. */
interface Found {
  readonly skip: Tensor;
  stepped: boolean;
}

/**
 * Scales losses so that small gradients survive in float16, and leaves out steps whose gradients are not finite (`torch.amp.GradScaler`).
 * All of it happens on the device: a step that does not count leaves parameters and state as they are, by a choice in its kernels, and the
 * host never waits.
 *
 * The simple way is `optimizer.minimize(fn, { scaler })`, which scales, goes back, scales the gradients back, clips, steps and adapts the
 * scale as one plan. By hand it is as in PyTorch: `scaler.scale(loss).backward()`, perhaps `scaler.unscale_(optimizer)` and clipping, then
 * `scaler.step(optimizer)` and `scaler.update()`.
 *
 * @throws UnsupportedError for options that break their rule.
 * @example
 * ```ts
 * const w = tl.ones([3], { requiresGrad: true });
 * const adam = new tl.optim.Adam([w], { lr: 0.1 });
 * const scaler = new tl.nn.amp.GradScaler({ initScale: 1024 });
 * scaler.scale(w.square().sum()).backward();
 * scaler.step(adam);
 * scaler.update();
 * adam.zeroGrad();
 * console.log(await scaler.getScale()); // 1024
 * ```
 */
export class GradScaler implements LossScaler {
  private readonly options: {
    readonly [K in keyof GradScalerOptions]-?: Exclude<GradScalerOptions[K], undefined>;
  };
  /** Made on the device of the first loss. */
  private place: Place | null = null;
  private start: { readonly scale: number; readonly tracker: number };
  private readonly found = new Map<Optimizer, Found>();

  constructor(options: GradScalerOptions = {}) {
    const name = 'GradScaler';
    const defaults = { initScale: 65536, growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000, enabled: true };
    checkOptions(name, options, Object.keys(defaults));
    const given = Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined));
    this.options = { ...defaults, ...given };
    const { initScale, growthFactor, backoffFactor, growthInterval, enabled } = this.options;
    const positive = (v: number): boolean => v > 0 && Number.isFinite(v);
    rule(name, 'initScale', initScale, positive, 'a finite number above 0');
    rule(name, 'growthFactor', growthFactor, (v) => v > 1 && Number.isFinite(v), 'a finite number above 1');
    rule(name, 'backoffFactor', backoffFactor, (v) => v > 0 && v < 1, 'above 0 and below 1');
    rule(name, 'growthInterval', growthInterval, (v) => Number.isInteger(v) && v > 0, 'a whole number of at least 1');
    checkFlag(name, 'enabled', enabled);
    this.start = { scale: initScale, tracker: 0 };
  }

  /** The loss, or another output, times the scale: what to go back from. */
  scale(loss: Tensor): Tensor {
    checkTensor('GradScaler.scale', loss);
    if (!this.options.enabled) return loss;
    const { scale } = this.placeOn(loss.device);
    return mul(loss, scale);
  }

  /**
   * Scales the gradients of an optimizer's parameters back, in place, for what looks at them before `step`, such as clipping.
   *
   * @throws UnsupportedError when it was done since the last `update`, or when there are no gradients.
   */
  unscale_(optimizer: Optimizer): void {
    const op = 'GradScaler.unscale_';
    checkOptimizer(op, optimizer);
    if (!this.options.enabled) return;
    if (this.found.has(optimizer))
      throw new UnsupportedError(
        `${op}: the gradients of this optimizer are scaled back already; call it once, before step(), and update() after all steps`,
      );
    const gradients = optimizer.paramGroups.flatMap(({ params }) => params.flatMap((p) => p.grad ?? []));
    if (gradients.length === 0)
      throw new UnsupportedError(`${op}: no parameter has a gradient; call scaler.scale(loss).backward() first`);
    internal(op, () =>
      noGrad(() => {
        const { gradients: scaled, skip } = this.unscaled(gradients);
        gradients.forEach((g, i) => {
          assign_(g, scaled[i] as Tensor);
        });
        if (skip) this.found.set(optimizer, { skip: keep(skip), stepped: false });
      }),
    );
  }

  /**
   * The optimizer's step, with gradients scaled back if they are not yet; where one of them is not finite, it leaves everything as it is.
   *
   * @throws UnsupportedError when it was done since the last `update`.
   */
  step(optimizer: Optimizer): void {
    checkOptimizer('GradScaler.step', optimizer);
    if (!this.options.enabled) {
      optimizer.step();
      return;
    }
    if (!this.found.has(optimizer)) this.unscale_(optimizer);
    const found = this.found.get(optimizer) as Found;
    if (found.stepped)
      throw new UnsupportedError(
        'GradScaler.step: this optimizer has stepped already; call update() after the steps of all optimizers',
      );
    optimizer.stepUnless(found.skip);
    found.stepped = true;
  }

  /**
   * Adapts the scale to what was found since the last call: less if a gradient was not finite, and more after `growthInterval` good steps.
   * A given scale is taken over instead.
   *
   * @throws UnsupportedError when there was no step since the last call.
   */
  update(newScale?: number): void {
    const op = 'GradScaler.update';
    if (newScale !== undefined)
      rule(op, 'the scale', newScale, (v) => v > 0 && Number.isFinite(v), 'a finite number above 0');
    if (!this.options.enabled) return;
    const found = [...this.found.values()].map(({ skip }) => skip);
    if (newScale !== undefined) {
      if (this.place) noGrad(() => assign_((this.place as Place).scale, newScale));
      else this.start = { ...this.start, scale: newScale };
    } else if (found.length === 0)
      throw new UnsupportedError(`${op}: there was no step since the last update(); call scaler.step(optimizer) first`);
    else internal(op, () => noGrad(() => this.adapt(found.reduce((a, b) => logicalOr(a, b)))));
    for (const skip of found) skip.dispose();
    this.found.clear();
  }

  /** @internal */
  unscaled(gradients: readonly Tensor[]): { readonly gradients: readonly Tensor[]; readonly skip: Tensor | null } {
    const [first] = gradients;
    if (!this.options.enabled || !first) return { gradients, skip: null };
    return compose('GradScaler', () => {
      const inverse = reciprocal(this.placeOn(first.device).scale);
      const bad = gradients.map((g) => any(logicalNot(isfinite(g))));
      return { gradients: gradients.map((g) => mul(g, inverse)), skip: bad.reduce((a, b) => logicalOr(a, b)) };
    });
  }

  /** @internal */
  adapt(skip: Tensor | null): void {
    if (!skip || !this.place) return;
    const { scale, tracker } = this.place;
    const { growthFactor, backoffFactor, growthInterval } = this.options;
    compose('GradScaler', () => {
      const good = where(skip, 0, add(tracker, 1));
      const full = eq(good, growthInterval);
      const grown = mul(scale, growthFactor);
      const next = where(logicalAnd(full, isfinite(grown)), grown, scale);
      assign_(scale, where(skip, mul(scale, backoffFactor), next));
      assign_(tracker, where(full, 0, good));
    });
  }

  /** The scale now; 1 where the scaler is off. */
  async getScale(): Promise<number> {
    if (!this.options.enabled) return 1;
    return this.place ? this.place.scale.item() : this.start.scale;
  }

  /** What a resumed run needs. The tensors are the scaler's own, not copies. */
  stateDict(): GradScalerStateDict {
    const { growthFactor, backoffFactor, growthInterval } = this.options;
    const { scale, tracker: growthTracker } = this.place ?? this.start;
    return { scale, growthTracker, growthFactor, backoffFactor, growthInterval };
  }

  /**
   * Goes on from a state dict; tensors are copied.
   *
   * @throws UnsupportedError for values that are no scale or count.
   */
  loadStateDict(dict: GradScalerStateDict): void {
    const op = 'GradScaler.loadStateDict';
    const { growthFactor, backoffFactor, growthInterval, scale, growthTracker } = dict;
    const { options } = new GradScaler({ growthFactor, backoffFactor, growthInterval });
    for (const [name, value] of Object.entries({ scale, growthTracker }))
      if (value instanceof Tensor ? value.size !== 1 : !(typeof value === 'number' && value >= 0))
        throw new UnsupportedError(`${op}: ${name} is ${describe(value)}, but it must be a number or a scalar tensor`);
    Object.assign(this.options, { ...options, initScale: this.options.initScale, enabled: this.options.enabled });
    const devices = [scale, growthTracker].flatMap((x) => (x instanceof Tensor ? x.device : []));
    const device = this.place?.scale.device ?? devices[0];
    if (!device) {
      this.start = { scale: scale as number, tracker: growthTracker as number };
      return;
    }
    const place = this.placeOn(device);
    internal(op, () =>
      noGrad(() => {
        assign_(place.scale, scale);
        assign_(place.tracker, growthTracker);
      }),
    );
  }

  /** Frees the scale and what is pending. */
  dispose(): void {
    for (const { skip } of this.found.values()) skip.dispose();
    this.found.clear();
    this.place?.scale.dispose();
    this.place?.tracker.dispose();
    this.place = null;
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private placeOn(device: Device): Place {
    // A refused flush leaves what was made in it without a value.
    const { place } = this;
    if (place && !(hasValue(place.scale) && hasValue(place.tracker))) {
      place.scale.dispose();
      place.tracker.dispose();
      this.place = null;
    }
    this.place ??= internal('GradScaler', () => ({
      scale: keep(full([], this.start.scale, { device })),
      tracker: keep(full([], this.start.tracker, { device, dtype: 'int32' })),
    }));
    return this.place;
  }
}

function checkOptimizer(op: string, optimizer: unknown): void {
  if (!(optimizer instanceof Optimizer))
    throw new UnsupportedError(`${op}: ${describe(optimizer)} is no optimizer; pass one, such as new Adam(…)`);
}
