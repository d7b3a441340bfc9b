import { noGrad } from '../../autograd/grad.ts';
import type { DType, TypedArrays } from '../../core/dtype.ts';
import { UnsupportedError } from '../../core/errors.ts';
import { type Shape, sizeOf } from '../../core/shape.ts';
import { assign_ } from '../../ops/assign.ts';
import { tensor } from '../../ops/creation.ts';
import { checkTensor, compose } from '../../ops/record.ts';
import type { Device } from '../../tensor/device.ts';
import { keep, step } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * Base class of the metrics (as in torchmetrics): `update` takes in a batch, `compute` gives the figure over all batches since
 * `reset`. It is exact for batches of different sizes, since not figures of batches are kept but what they are made of, on the
 * device; nothing is read before `compute`. A metric of one's own extends `Accumulated`.
 */
export abstract class Metric<Result = number> {
  /** The name under which it is reported. */
  constructor(readonly name: string) {}

  /**
   * Takes in a batch: all of it or, on an error, nothing.
   *
   * @throws ShapeError and the like when prediction and target do not fit together.
   */
  abstract update(prediction: Tensor, target: Tensor): void;

  /**
   * The figure over all batches so far, as a tensor on the device.
   *
   * @throws UnsupportedError before the first batch.
   */
  abstract value(): Tensor;

  /** Forgets all batches, and frees what was kept of them. */
  abstract reset(): void;

  /** @internal Whether the figure is cheap enough to be shown within an epoch. */
  get running(): boolean {
    return true;
  }

  /** The figure over all batches so far, read from the device. */
  async compute(): Promise<Result> {
    const value = step(this.name, () => this.value());
    const read = value.toArray();
    value.dispose();
    return (await read) as Result;
  }

  /** The same as `reset()`; the metric can be used again. */
  dispose(): void {
    this.reset();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Base class of metrics that keep a few tensors, such as sums and counts. A metric of one's own says what it starts with, what it
 * keeps after a batch, and how the figure follows from that.
 *
 * @example
 * ```ts
 * type State = { readonly largest: tl.Tensor };
 * class LargestError extends tl.nn.metrics.Accumulated<State> {
 *   constructor() {
 *     super('largestError');
 *   }
 *   protected override start(prediction: tl.Tensor): State {
 *     return { largest: tl.tensor(0, { device: prediction.device }) };
 *   }
 *   protected override next({ largest }: State, prediction: tl.Tensor, target: tl.Tensor): State {
 *     return { largest: tl.maximum(largest, prediction.sub(target).abs().amax()) };
 *   }
 *   protected override result({ largest }: State): tl.Tensor {
 *     return largest.mul(1);
 *   }
 * }
 * ```
 */
export abstract class Accumulated<
  State extends Readonly<Record<string, Tensor>>,
  Result = number,
> extends Metric<Result> {
  private state: State | null = null;

  /** The state before the first batch; made from numbers on the host, so that all batches have the same plan. */
  protected abstract start(prediction: Tensor, target: Tensor): State;

  /** The state after a batch: new values for the tensors of the state, of the same shapes. */
  protected abstract next(state: State, prediction: Tensor, target: Tensor): State;

  /** The figure, as a new tensor. */
  protected abstract result(state: State): Tensor;

  override update(prediction: Tensor, target: Tensor): void {
    checkTensor(this.name, prediction);
    checkTensor(this.name, target);
    compose(this.name, () =>
      noGrad(() => {
        const state = this.state ?? this.start(prediction, target);
        const next = this.next(state, prediction, target);
        for (const [name, held] of Object.entries(state)) if (next[name]) assign_(held, next[name]);
        if (this.state) return;
        for (const held of Object.values(state)) keep(held);
        this.state = state;
      }),
    );
  }

  override value(): Tensor {
    const { state } = this;
    if (!state)
      throw new UnsupportedError(`${this.name}: there was no batch yet; call update(prediction, target) first`);
    return compose(this.name, () => noGrad(() => this.result(state)));
  }

  override reset(): void {
    for (const held of Object.values(this.state ?? {})) held.dispose();
    this.state = null;
  }
}

/** @internal Zeros from the host. */
export function hostZeros(shape: Shape, dtype: 'int32' | 'float32', device: Device): Tensor {
  const size = sizeOf(shape);
  const data: TypedArrays[DType] = dtype === 'int32' ? new Int32Array(size) : new Float32Array(size);
  return tensor(data, { shape, device });
}

/** A metric as a function of one batch: gives the figure as a tensor. In `compile` it stands for its class, which is exact. */
export interface MetricCall<Options> {
  (prediction: Tensor, target: Tensor, options?: Options): Tensor;
  /** @internal Makes the metric it stands for. */
  readonly metric: (options?: Options) => Metric<unknown>;
}

/** @internal A metric as a function. */
/* @__NO_SIDE_EFFECTS__ */
export function calling<Options>(metric: (options?: Options) => Metric<unknown>): MetricCall<Options> {
  const call = (prediction: Tensor, target: Tensor, options?: Options): Tensor => {
    const made = metric(options);
    try {
      return compose(made.name, () => {
        made.update(prediction, target);
        return made.value();
      });
    } finally {
      made.dispose();
    }
  };
  return Object.assign(call, { metric });
}
