import { checkFunction, describe, isThenable, type Synchronous } from '../core/check.ts';
import { ensureDisposeSymbol } from '../core/dispose.ts';
import { DisposedError, UnsupportedError } from '../core/errors.ts';
import { flushAll } from './device.ts';
import type { Tensor } from './tensor.ts';

// Before the first class that has a method of that name.
ensureDisposeSymbol();

/** What scopes own: the base of Tensor, so that this file need not load it. */
export abstract class Handle {
  /** @internal What it belongs to, and its place there. */
  owner: Handles | null = null;
  /** @internal */
  place = 0;
}

/** Handles that belong to something that ends; each to one at most. */
class Handles {
  private list: Tensor[] = [];

  get all(): readonly Tensor[] {
    return this.list;
  }

  add(t: Tensor): void {
    t.owner = this;
    t.place = this.list.push(t) - 1;
  }

  /** The last one takes the place of the one that goes. */
  delete(t: Tensor): void {
    const last = this.list.pop()!;
    if (last !== t) {
      this.list[t.place] = last;
      last.place = t.place;
    }
    t.owner = null;
  }

  /** Ends them all. */
  end(reason: string): void {
    const { list } = this;
    this.list = [];
    // First, for one may dispose another: its gradient.
    for (const t of list) t.owner = null;
    for (const t of list) t.end(reason);
  }
}

/** Handles made since a scope opened. */
class Frame extends Handles {
  constructor(readonly name: string) {
    super();
  }
}

const frames: Frame[] = [];
let flushing = 0;

/** @internal Enters a new handle into the innermost scope; false where there is none. */
export function adopt(tensor: Tensor): boolean {
  const frame = frames[frames.length - 1];
  if (!frame) return false;
  frame.add(tensor);
  return true;
}

/** Visits tensors anywhere in arrays, maps, sets and plain objects, some more than once. */
function visitTensors(value: unknown, visit: (t: Tensor) => void, seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  if (value instanceof Handle) {
    visit(value as Tensor);
    return;
  }
  seen.add(value);
  if (Array.isArray(value) || value instanceof Set) for (const v of value) visitTensors(v, visit, seen);
  else if (value instanceof Map) {
    for (const [k, v] of value) {
      visitTensors(k, visit, seen);
      visitTensors(v, visit, seen);
    }
  } else {
    const proto = Object.getPrototypeOf(value);
    if (proto === Object.prototype || proto === null)
      for (const name of Object.keys(value)) visitTensors((value as Record<string, unknown>)[name], visit, seen);
  }
}

/** Tensors anywhere in arrays, maps, sets and plain objects. */
export function tensorsIn(value: unknown): Set<Tensor> {
  const found = new Set<Tensor>();
  visitTensors(value, (t) => found.add(t), new Set());
  return found;
}

/** @internal Handles that the open scopes will dispose. */
export const scoped = (): Tensor[] => frames.flatMap((frame) => frame.all);

/** Ends a frame, but for the tensors in a value; gives back those that belong to no scope from now on. */
function close(frame: Frame, value: unknown): Tensor[] {
  const index = frames.lastIndexOf(frame);
  frames.splice(index, 1);
  const parent = frames[index - 1];
  const escaped: Tensor[] = [];
  const survive = (t: Tensor): void => {
    if (t.owner !== frame) return;
    frame.delete(t);
    if (parent) parent.add(t);
    else {
      t.escape();
      escaped.push(t);
    }
  };
  if (value instanceof Handle) survive(value as Tensor);
  else if (typeof value === 'object' && value !== null) visitTensors(value, survive, new Set());
  frame.end(`by the end of ${frame.name}; return it from there or call keep() on it`);
  return escaped;
}

/** Computes what is wanted; where that fails, nobody will get the results to dispose them. */
function flushResults(name: string, results: readonly Tensor[]): void {
  try {
    flushAll();
  } catch (error) {
    for (const t of results) t.end(`by the end of ${name}, whose flush failed`);
    throw error;
  }
}

function enter<T>(name: string, flushes: boolean, fn: () => T): T {
  checkFunction(name, fn);
  const frame = new Frame(name);
  frames.push(frame);
  if (flushes) flushing++;
  let results: Tensor[] | null = null;
  try {
    const out = fn();
    if (isThenable(out)) {
      out.then(undefined, () => undefined);
      throw new UnsupportedError(
        `${name}: the function returned a promise, but a scope ends when the function returns; await outside it, ` +
          'or use `using s = scope()` with s.run(() => …) around the synchronous parts',
      );
    }
    results = close(frame, out);
    return out;
  } finally {
    if (!results) close(frame, null);
    if (flushes && --flushing === 0 && results) flushResults(name, results);
  }
}

/**
 * Runs a function and disposes every tensor made in it but those it returns (alone or anywhere in arrays, maps, sets and plain
 * objects). Leaving the outermost scope computes what is still wanted, as one fused plan.
 *
 * @throws UnsupportedError when the function returns a promise.
 * @example
 * ```ts
 * const y = tl.tidy(() => tl.tensor([1, 2, 3]).mul(2).sum());
 * ```
 */
export function tidy<T>(fn: (() => T) & Synchronous<T>): T {
  return enter('tidy', true, fn);
}

/** @internal A scope for the temporaries of a library function, which does not flush. */
export function internal<T>(name: string, fn: () => T): T {
  return enter(name, false, fn);
}

/** @internal A flushing scope with a name of its own, for `minimize` and the like. */
export function step<T>(name: string, fn: () => T): T {
  return enter(name, true, fn);
}

/**
 * Takes a tensor out of the scope it was made in: it lives until `dispose()`.
 *
 * @throws DisposedError when the tensor is disposed already.
 */
export function keep<T extends Tensor>(tensor: T): T {
  if (!(tensor instanceof Handle))
    throw new UnsupportedError(`keep: expected a tensor, got ${describe(tensor)}; call it on each tensor by itself`);
  if (tensor.disposed)
    throw new DisposedError('keep: the tensor is disposed already; call keep() inside the scope that made it');
  if (tensor.owner) {
    tensor.owner.delete(tensor);
    tensor.escape();
  }
  return tensor;
}

/**
 * A container for tensors that live until it is disposed, for code that awaits: `using s = scope()`. Never current by itself:
 * only what is made in `s.run(fn)` or handed to `s.track(t)` belongs to it.
 */
export class Scope implements Disposable {
  private readonly handles = new Set<Tensor>();
  private ended = false;

  /** Runs a function; the tensors it returns belong to this scope, the others are disposed. */
  run<T>(fn: (() => T) & Synchronous<T>): T {
    this.alive('run');
    const out = enter('scope().run', true, fn);
    for (const t of tensorsIn(out)) this.track(t);
    return out;
  }

  /** Makes a tensor belong to this scope. */
  track<T extends Tensor>(tensor: T): T {
    this.alive('track');
    this.handles.add(keep(tensor));
    return tensor;
  }

  /** Disposes what belongs to the scope. */
  dispose(): void {
    this.ended = true;
    for (const t of this.handles) if (!t.disposed) t.end('by its scope(); call keep() before the scope ends');
    this.handles.clear();
  }

  /** The same as `dispose()`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  private alive(op: string): void {
    if (this.ended) throw new DisposedError(`scope().${op}: the scope has ended; open another one`);
  }
}

/** Opens a container for tensors, to be disposed as a whole. */
export function scope(): Scope {
  return new Scope();
}

/**
 * @internal Tensors lent to a caller until the next ones: a loader's batch, the loss of a step. `keep` takes one out; inside a
 * scope the scope owns them instead.
 */
export class Loan {
  private readonly handles = new Handles();

  /** `reason` completes "was disposed …" in the error of one that is used too late. */
  constructor(private readonly reason: string) {}

  /** Takes back what was lent before, and lends what is found in a value. */
  lend<T>(value: T): T {
    this.takeBack();
    for (const t of tensorsIn(value)) {
      if (!t.owner && !t.disposed) this.handles.add(t);
    }
    return value;
  }

  takeBack(): void {
    this.handles.end(this.reason);
  }
}
