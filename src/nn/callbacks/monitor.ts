import { UnsupportedError } from '../../core/errors.ts';
import { describe } from '../../ops/record.ts';
import { atLeastZero } from '../../optim/optimizer.ts';
import type { Logs } from '../progress.ts';

/** Whether less or more of a figure is better; 'auto' knows it of losses and of the metrics of `nn.metrics`. */
export type MonitorMode = 'auto' | 'min' | 'max';

/** Options of callbacks that look at a figure. */
export interface MonitorOptions {
  /** The figure, as it is called in the logs; 'valLoss' unless given. */
  readonly monitor?: string | undefined;
  /** 'auto' unless given. */
  readonly mode?: MonitorMode | undefined;
  /** A smaller change than this is no improvement; 0 unless given. */
  readonly minDelta?: number | undefined;
}

const LESS = /^(val)?(loss|mse|mae)$/i;
const MORE = /^(val)?(accuracy|top\d+|precision|recall|f1|auc|r2)$/i;

/** @internal The best that a figure was. */
export class Monitor {
  readonly name: string;
  private readonly sign: 1 | -1;
  private readonly minDelta: number;
  /** Null before the first improvement. */
  best: number | null = null;

  constructor(
    private readonly op: string,
    options: MonitorOptions,
  ) {
    const { monitor = 'valLoss', mode = 'auto', minDelta = 0 } = options;
    if (typeof monitor !== 'string')
      throw new UnsupportedError(
        `${op}: monitor is ${describe(monitor)}; give the name of a figure, such as 'valLoss'`,
      );
    if (!['auto', 'min', 'max'].includes(mode))
      throw new UnsupportedError(`${op}: mode is ${describe(mode)}; use 'auto', 'min' or 'max'`);
    if (mode === 'auto' && !LESS.test(monitor) && !MORE.test(monitor))
      throw new UnsupportedError(
        `${op}: it is not known whether less or more ${monitor} is better; give mode: 'min' or mode: 'max'`,
      );
    atLeastZero(op, 'minDelta', minDelta);
    this.name = monitor;
    this.sign = mode === 'max' || (mode === 'auto' && MORE.test(monitor)) ? 1 : -1;
    this.minDelta = minDelta;
  }

  /** The figure of an epoch. */
  of(logs: Logs): number {
    const value = logs[this.name];
    if (value === undefined)
      throw new UnsupportedError(
        `${this.op}: the logs have no ${this.name}, but ${Object.keys(logs).join(', ')}; monitor one of these, or give fit validation data`,
      );
    return value;
  }

  /** Whether the figure of an epoch is better than all before, which it is remembered for. NaN never is. */
  improved(logs: Logs): boolean {
    const value = this.of(logs);
    if (Number.isNaN(value)) return false;
    if (this.best !== null && !(this.sign * (value - this.best) > this.minDelta)) return false;
    this.best = value;
    return true;
  }
}
