import { UnsupportedError } from '../../core/errors.ts';
import { checkOptions, describe } from '../../ops/record.ts';
import type { Callback } from './callback.ts';
import { Monitor } from './monitor.ts';

/** A schedule of the optimizer's rates, such as those of `optim`. */
export interface Schedule {
  /** Sets the next rate; `figure` is what a schedule such as `ReduceLROnPlateau` looks at. */
  step(figure?: number): void;
}

/** Options of `lrScheduler`. */
export interface LRSchedulerOptions {
  /** When the schedule goes on: after an epoch, unless given, or after every batch. */
  readonly interval?: 'epoch' | 'batch' | undefined;
  /** The figure of an epoch that `step` is given, for schedules that look at one. */
  readonly monitor?: string | undefined;
}

/**
 * Changes the learning rate on the way: by a schedule of `optim`, whose `step()` is called after every epoch or batch, or by a
 * function of the epoch and the rate so far, which is called before every epoch (Keras `LearningRateScheduler`).
 *
 * @throws UnsupportedError for options whose values break their rule, and in training for a rate that is no number of at least 0.
 * @example
 * ```ts
 * const adam = new tl.optim.Adam(model.parameters(), { lr: 0.01 });
 * const decay = tl.nn.lrScheduler(new tl.optim.ExponentialLR(adam, { gamma: 0.9 }));
 * const warmUp = tl.nn.lrScheduler((epoch, lr) => (epoch < 5 ? 0.002 * (epoch + 1) : lr));
 * ```
 */
export function lrScheduler(
  schedule: Schedule | ((epoch: number, lr: number) => number),
  options: LRSchedulerOptions = {},
): Callback {
  const op = 'lrScheduler';
  checkOptions(op, options, ['interval', 'monitor']);
  const { interval = 'epoch', monitor } = options;
  if (interval !== 'epoch' && interval !== 'batch')
    throw new UnsupportedError(`${op}: interval is ${describe(interval)}; use 'epoch' or 'batch'`);
  const byFunction = typeof schedule === 'function';
  if (!byFunction && typeof schedule?.step !== 'function')
    throw new UnsupportedError(
      `${op}: ${describe(schedule)} is no schedule; pass one such as new optim.StepLR(…), or a function of epoch and rate`,
    );
  if ((byFunction || monitor !== undefined) && interval === 'batch')
    throw new UnsupportedError(
      `${op}: ${byFunction ? 'a function' : 'monitor'} goes with epochs, not with batches; leave interval out`,
    );
  if (byFunction)
    return {
      onEpochBegin(epoch, { optimizer }) {
        optimizer.lr = schedule(epoch, optimizer.lr);
      },
    };
  if (interval === 'batch')
    return {
      onBatchEnd() {
        schedule.step();
      },
    };
  // The mode does not matter: only the figure is asked for.
  const figure = monitor === undefined ? null : new Monitor(op, { monitor, mode: 'min' });
  return {
    onEpochEnd(_, logs) {
      if (figure) schedule.step(figure.of(logs));
      else schedule.step();
    },
  };
}
