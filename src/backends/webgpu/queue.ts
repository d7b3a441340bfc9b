import type { TensorloomError } from '../../core/errors.ts';
import { attend } from '../waiting.ts';

const ignore = (): void => {};

/**
 * Runs tasks in the order they come. A task that waits for nothing, and behind nobody, runs at once, in the call; others
 * wait for what they name, and everything later waits behind them.
 */
export class OrderedQueue {
  private tail: Promise<void> | undefined;
  private death: TensorloomError | undefined;
  private readonly mourners = new Set<() => void>();

  get error(): TensorloomError | undefined {
    return this.death;
  }

  /** From now on every task fails with the error, and so do those that wait. */
  kill(error: TensorloomError): void {
    if (this.death) return;
    this.death = error;
    for (const mourner of this.mourners) mourner();
    this.mourners.clear();
  }

  /** The promise, or a rejection when the queue dies before it settles. */
  unlessDead<T>(promise: Promise<T>): Promise<T> {
    const settled = new Promise<T>((resolve, reject) => {
      if (this.death) return reject(this.death);
      const mourner = (): void => reject(this.death);
      this.mourners.add(mourner);
      const leave = (): boolean => this.mourners.delete(mourner);
      promise.then(
        (value) => leave() && resolve(value),
        (reason) => leave() && reject(reason),
      );
    });
    attend(settled);
    return settled;
  }

  /** What the task returns, or a promise of it. `waits` never reject. */
  run<T>(waits: readonly Promise<unknown>[], task: () => T): T | Promise<Awaited<T>> {
    if (this.death) throw this.death;
    if (!this.tail && waits.length === 0) return task();
    const before = this.tail;
    // In an object, so that what comes later waits for the start of the task only.
    const started = (async (): Promise<{ value: T }> => {
      await before;
      await this.unlessDead(Promise.all(waits));
      return { value: task() };
    })();
    const done: Promise<void> = started.then(ignore, ignore).then(() => {
      if (this.tail === done) this.tail = undefined;
    });
    this.tail = done;
    return started.then(({ value }) => value) as Promise<Awaited<T>>;
  }
}
