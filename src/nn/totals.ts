import { noGrad } from '../autograd/grad.ts';
import { ShapeError } from '../core/errors.ts';
import { showShape } from '../core/shape.ts';
import { assign_ } from '../ops/assign.ts';
import { add, cast, div, mul } from '../ops/elementwise.ts';
import { stack } from '../ops/joins.ts';
import { reshape } from '../ops/structure.ts';
import { type Device, defaultDevice } from '../tensor/device.ts';
import { keep, step } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { hostZeros, type Metric } from './metrics/metric.ts';
import type { CompiledMetric } from './metrics/named.ts';
import type { Logs } from './progress.ts';
import type { BatchLoss } from './weights.ts';

/** @internal Loss and metrics of a pass, on the device: one read gives them all. */
export class Totals {
  private readonly loss: Tensor;
  private readonly weight: Tensor;
  private readonly metrics: readonly Metric<unknown>[];
  /** Those that were made for this pass. */
  private readonly own: readonly Metric<unknown>[];

  constructor(op: string, metrics: readonly CompiledMetric[], device: Device | undefined) {
    const place = device ?? defaultDevice(op);
    // From the host, so that the first step of an epoch is planned like the others.
    [this.loss, this.weight] = [keep(hostZeros([], 'float32', place)), keep(hostZeros([], 'float32', place))];
    this.metrics = metrics.map(({ make }) => make());
    this.own = this.metrics.filter((_, i) => !metrics[i]?.shared);
    for (const metric of this.metrics) metric.reset();
  }

  /** Takes in a batch; part of its step. */
  add({ value, weight }: BatchLoss, prediction: Tensor, y: Tensor): void {
    noGrad(() => {
      if (value.size !== 1)
        throw new ShapeError(
          `loss: it has shape ${showShape(value.shape)} for a batch, but it must be a scalar; reduce it with mean()`,
        );
      for (const metric of this.metrics) metric.update(prediction, y);
      assign_(this.loss, add(this.loss, mul(cast(reshape(value, []), 'float32'), weight)));
      assign_(this.weight, add(this.weight, weight));
    });
  }

  /** The figures so far, or those of them that cost little. Starts at once; batches may go on coming in. */
  async read(what: 'all' | 'running'): Promise<Logs> {
    const names = ['loss'];
    const all = step('fit', () =>
      noGrad(() => {
        const figures = [div(this.loss, this.weight)];
        for (const metric of this.metrics) {
          if (what === 'running' && !metric.running) continue;
          const value = metric.value();
          if (value.ndim > 0) continue;
          names.push(metric.name);
          figures.push(cast(value, 'float32'));
        }
        return stack(figures);
      }),
    );
    const values = all.numbers('fit');
    all.dispose();
    const figures = await values;
    return Object.fromEntries(names.map((name, i) => [name, figures[i] ?? Number.NaN]));
  }

  dispose(): void {
    this.loss.dispose();
    this.weight.dispose();
    for (const metric of this.own) metric.dispose();
  }
}

const AHEAD = 16;
const BREATH = 50;

/** @internal Lets the host run ahead of the device by a few steps and no more, and the event loop breathe. */
export class Pace {
  private steps = 0;
  private pending: Promise<Logs> | null = null;
  private breathed = performance.now();

  /** What was reached some steps ago, now and then. */
  async after(totals: Totals): Promise<Logs | null> {
    if (++this.steps % AHEAD !== 0) return null;
    const before = this.pending;
    this.pending = totals.read('running');
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
