import { checkFlag, checkOptions } from '../../ops/record.ts';
import { rule } from '../../optim/optimizer.ts';
import type { Callback } from './callback.ts';
import { Monitor, type MonitorOptions } from './monitor.ts';
import { Snapshot } from './snapshot.ts';

/** Options of `earlyStopping`. */
export interface EarlyStoppingOptions extends MonitorOptions {
  /** So many epochs without an improvement end the training; 0, unless given, ends it with the first. */
  readonly patience?: number | undefined;
  /** When training ends, early or not, the module gets back the parameters and buffers of its best epoch; false unless given. */
  readonly restoreBestWeights?: boolean | undefined;
}

/** What `earlyStopping` gives: a callback that says what it found. */
export interface EarlyStopping extends Callback {
  /** The best that the figure was, or null before the first epoch. */
  readonly best: number | null;
  /** The epoch of the best figure, or null. */
  readonly bestEpoch: number | null;
  /** The epoch after which training was ended, or null. */
  readonly stoppedEpoch: number | null;
}

/**
 * Ends training when a figure has stopped to improve (Keras `EarlyStopping`).
 *
 * @throws UnsupportedError for options whose values break their rule; after the first epoch, for a figure that is not in the logs.
 * @example
 * ```ts
 * const stopping = tl.nn.earlyStopping({ patience: 5, restoreBestWeights: true });
 * await model.fit(x, y, { epochs: 200, validationSplit: 0.2, callbacks: [stopping] });
 * console.log(stopping.bestEpoch, stopping.best);
 * ```
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): EarlyStopping {
  const op = 'earlyStopping';
  checkOptions(op, options, ['monitor', 'patience', 'minDelta', 'mode', 'restoreBestWeights']);
  const { patience = 0, restoreBestWeights = false } = options;
  rule(op, 'patience', patience, (v) => Number.isInteger(v) && v >= 0, 'a whole number of at least 0');
  checkFlag(op, 'restoreBestWeights', restoreBestWeights);
  let monitor = new Monitor(op, options);
  let snapshot = new Snapshot();
  let bestEpoch: number | null = null;
  let stoppedEpoch: number | null = null;
  let waited = 0;
  return {
    get best() {
      return monitor.best;
    },
    get bestEpoch() {
      return bestEpoch;
    },
    get stoppedEpoch() {
      return stoppedEpoch;
    },
    onTrainBegin() {
      monitor = new Monitor(op, options);
      snapshot = new Snapshot();
      bestEpoch = null;
      stoppedEpoch = null;
      waited = 0;
    },
    onEpochEnd(epoch, logs, run) {
      if (monitor.improved(logs)) {
        bestEpoch = epoch;
        waited = 0;
        if (restoreBestWeights) for (const copy of snapshot.take(run.model)) run.scope.track(copy);
        return;
      }
      if (++waited < patience) return;
      stoppedEpoch = epoch;
      run.stop();
    },
    onTrainEnd({ model }) {
      if (snapshot.state) model.loadStateDict(snapshot.state);
    },
  };
}
