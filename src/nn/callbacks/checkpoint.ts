import { checkFlag, checkFunction, checkOptions } from '../../ops/record.ts';
import { type OptimizerStateDict, rule } from '../../optim/optimizer.ts';
import type { StateDict } from '../module.ts';
import type { Logs } from '../progress.ts';
import type { Callback } from './callback.ts';
import { Monitor, type MonitorOptions } from './monitor.ts';
import { Snapshot } from './snapshot.ts';

/**
 * What there is to save of a run. The tensors are those of the module and the optimizer, which go on changing: a `save` function
 * reads or copies them before its promise is fulfilled; training waits for it.
 */
export interface Checkpoint {
  /** The epoch that has just ended. */
  readonly epoch: number;
  /** Its losses and metrics. */
  readonly logs: Logs;
  /** Parameters and buffers of the module. */
  readonly model: StateDict;
  readonly optimizer: OptimizerStateDict;
}

/** Takes a checkpoint to where it is kept. */
export type SaveCheckpoint = (checkpoint: Checkpoint) => void | Promise<void>;

/** Options of `modelCheckpoint`. */
export interface ModelCheckpointOptions extends MonitorOptions {
  /** Keeps the checkpoint; unless given, the module's state is kept in memory, on its device. */
  readonly save?: SaveCheckpoint | undefined;
  /** Save only when the figure has improved; false unless given. */
  readonly saveBestOnly?: boolean | undefined;
  /** Save every so many epochs; 1 unless given. */
  readonly every?: number | undefined;
}

/** What `modelCheckpoint` gives: a callback with the last state that it kept in memory. */
export interface ModelCheckpoint extends Callback {
  /** The epoch that was saved last, or null. */
  readonly epoch: number | null;
  /** What is kept in memory, for `loadStateDict`; null with a `save` function, and before the first epoch. */
  readonly stateDict: StateDict | null;
  /** Frees what is kept in memory. */
  dispose(): void;
  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Saves the module after epochs, or after those that were better than all before (Keras `ModelCheckpoint`).
 *
 * @throws UnsupportedError for options whose values break their rule; after the first epoch, for a figure that is not in the logs.
 * @example
 * ```ts
 * using best = tl.nn.modelCheckpoint({ monitor: 'loss', saveBestOnly: true });
 * await model.fit(x, y, { epochs: 20, callbacks: [best] });
 * if (best.stateDict) model.loadStateDict(best.stateDict);
 * ```
 */
export function modelCheckpoint(options: ModelCheckpointOptions = {}): ModelCheckpoint {
  const op = 'modelCheckpoint';
  checkOptions(op, options, ['save', 'monitor', 'mode', 'minDelta', 'saveBestOnly', 'every']);
  const { save, saveBestOnly = false, every = 1 } = options;
  if (save !== undefined) checkFunction(op, save);
  checkFlag(op, 'saveBestOnly', saveBestOnly);
  rule(op, 'every', every, (v) => Number.isInteger(v) && v >= 1, 'a whole number of at least 1');
  const monitor = (): Monitor | null => (saveBestOnly ? new Monitor(op, options) : null);
  let best = monitor();
  const snapshot = new Snapshot();
  let saved: number | null = null;
  let passed = 0;
  const dispose = (): void => snapshot.dispose();
  return {
    get epoch() {
      return saved;
    },
    get stateDict() {
      return snapshot.state;
    },
    dispose,
    [Symbol.dispose]: dispose,
    onTrainBegin() {
      dispose();
      best = monitor();
      saved = null;
      passed = 0;
    },
    async onEpochEnd(epoch, logs, { model, optimizer }) {
      if (++passed % every !== 0 || (best && !best.improved(logs))) return;
      if (save) await save({ epoch, logs, model: model.stateDict(), optimizer: optimizer.stateDict() });
      else snapshot.take(model);
      saved = epoch;
    },
  };
}
