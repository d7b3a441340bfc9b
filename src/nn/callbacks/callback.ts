import type { Optimizer } from '../../optim/optimizer.ts';
import type { Scope } from '../../tensor/scope.ts';
import type { History } from '../history.ts';
import type { Module } from '../module.ts';
import type { Logs } from '../progress.ts';

/** What callbacks see of a run. */
export interface TrainingRun {
  readonly model: Module;
  readonly optimizer: Optimizer;
  /** How many epochs were asked for. */
  readonly epochs: number;
  /** What was reached so far. */
  readonly history: History;
  /** Owns tensors until the run ends, however it ends: `run.scope.track(tensor)`. */
  readonly scope: Scope;
  /** Ends the run after this epoch. */
  stop(): void;
}

/**
 * Functions that `fit` calls on its way, and awaits (Keras callbacks). Epochs and batches count from 0.
 *
 * @example
 * ```ts
 * const shout: tl.nn.Callback = {
 *   onEpochEnd(epoch, logs, run) {
 *     console.log(epoch, logs.loss);
 *     if ((logs.loss ?? 1) < 0.01) run.stop();
 *   },
 * };
 * await model.fit(x, y, { epochs: 100, callbacks: [shout] });
 * ```
 */
export interface Callback {
  /** Before the first epoch. */
  onTrainBegin?(run: TrainingRun): void | Promise<void>;
  /** Before each epoch. */
  onEpochBegin?(epoch: number, run: TrainingRun): void | Promise<void>;
  /** After each step; losses are on the device then. */
  onBatchEnd?(batch: number, run: TrainingRun): void | Promise<void>;
  /** With the losses and metrics of the epoch. */
  onEpochEnd?(epoch: number, logs: Logs, run: TrainingRun): void | Promise<void>;
  /** After the last epoch, unless the run ended by an error. */
  onTrainEnd?(run: TrainingRun): void | Promise<void>;
}
