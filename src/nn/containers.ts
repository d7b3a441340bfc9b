import { IndexError, UnsupportedError } from '../core/errors.ts';
import { describe } from '../ops/record.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type AnyModule, Module } from './module.ts';

const define = (owner: object, name: string, value: AnyModule): void => {
  Object.defineProperty(owner, name, { value, writable: true, enumerable: true, configurable: true });
};

/** Modules in order, under the names 0, 1, …: what `Sequential` and `ModuleList` have in common. */
abstract class Numbered<M extends AnyModule, Inputs extends readonly unknown[] = readonly [Tensor], Output = Tensor>
  extends Module<Inputs, Output>
  implements Iterable<M>
{
  /** The module at a place. */
  [index: number]: M;

  /** Number of modules. */
  get length(): number {
    return this.children().length;
  }

  /** The module at a place; negative places count from the end. */
  at(index: number): M {
    const found = this[index < 0 ? index + this.length : index];
    if (!found) throw new IndexError(`${this.constructor.name}: there is no module ${index}; it has ${this.length}`);
    return found;
  }

  /** Adds a module at the end. */
  append(module: M): this {
    return this.extend([module]);
  }

  /** Adds modules at the end, all or, on an error, none. */
  extend(modules: Iterable<M>): this {
    const added = [...modules];
    added.forEach((module, i) => {
      if (!(module instanceof Module))
        throw new UnsupportedError(
          `${this.constructor.name}: argument ${i} is ${describe(module)}, but it must be a module`,
        );
    });
    const start = this.length;
    added.forEach((module, i) => {
      define(this, String(start + i), module);
    });
    return this;
  }

  /** Puts a module before the one at a place; negative places count from the end. Those behind it move on by one. */
  insert(index: number, module: M): this {
    const { length } = this;
    const place = index < 0 ? index + length : index;
    if (!Number.isInteger(place) || place < 0 || place > length)
      throw new IndexError(
        `${this.constructor.name}.insert: there is no place ${index}; use a whole number from 0 to ${length}`,
      );
    const behind = [...this].slice(place);
    this.append(module);
    [module, ...behind].forEach((one, i) => {
      define(this, String(place + i), one);
    });
    return this;
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<M> {
    return (this.children() as unknown as M[])[Symbol.iterator]();
  }
}

/**
 * Modules one after the other (`torch.nn.Sequential`); they can be had by index, and iterated.
 *
 * @example
 * ```ts
 * const model = new tl.nn.Sequential(new tl.nn.Linear(64, 32), new tl.nn.ReLU(), new tl.nn.Linear(32, 10));
 * model[0]; // the first Linear, whose weight is the parameter `0.weight`
 * ```
 */
export class Sequential extends Numbered<Module> {
  constructor(...modules: Module[]) {
    super();
    this.extend(modules);
  }

  override forward(x: Tensor): Tensor {
    // In a scope of its own, so that what passes between the modules is never live; what the reverse pass needs is on the tape.
    return internal('Sequential', () => {
      let out = x;
      for (const module of this) out = module.forward(out);
      return out;
    });
  }
}

/** The forward pass of a container that has none. */
function noForward(container: Module<never, never>, use: string): never {
  const { name } = container.constructor;
  throw new UnsupportedError(`${name}: it only holds modules and computes nothing; ${use}`);
}

/**
 * A list of modules for a `forward` of one's own (`torch.nn.ModuleList`): the module that has it among its properties finds their
 * parameters, which a plain array would hide.
 *
 * @example
 * ```ts
 * class Residual extends tl.nn.Module {
 *   readonly layers = new tl.nn.ModuleList([1, 2, 3].map(() => new tl.nn.Linear(8, 8)));
 *   override forward(x: tl.Tensor): tl.Tensor {
 *     let out = x;
 *     for (const layer of this.layers) out = out.add(layer.forward(out).relu());
 *     return out;
 *   }
 * }
 * ```
 */
export class ModuleList<M extends AnyModule = Module> extends Numbered<M, never, never> {
  constructor(modules: Iterable<M> = []) {
    super();
    this.extend(modules);
  }

  /** @throws UnsupportedError always: a list says nothing of an order of computation. */
  override forward(): never {
    return noForward(this, 'call its modules in the forward() of the module that holds it, or use Sequential');
  }
}

/**
 * Modules by names, for a `forward` of one's own (`torch.nn.ModuleDict`). It has the methods of a Map.
 *
 * @throws UnsupportedError for what is no module, and for names that are empty, contain a dot or are those of properties.
 * @example
 * ```ts
 * const heads = new tl.nn.ModuleDict({ digit: new tl.nn.Linear(32, 10), parity: new tl.nn.Linear(32, 2) });
 * heads.get('parity').forward(tl.zeros([4, 32])); // its weight is the parameter `parity.weight`
 * ```
 */
export class ModuleDict<M extends AnyModule = Module> extends Module<never, never> implements Iterable<[string, M]> {
  constructor(modules: Readonly<Record<string, M>> | Iterable<readonly [string, M]> = {}) {
    super();
    if (typeof modules !== 'object' || modules === null)
      throw new UnsupportedError(`ModuleDict: ${describe(modules)} holds no modules; give an object { name: module }`);
    const pairs = Symbol.iterator in modules ? (modules as Iterable<readonly [string, M]>) : Object.entries(modules);
    for (const [name, module] of pairs) this.set(name, module);
  }

  /** Number of modules. */
  get size(): number {
    return this.children().length;
  }

  /** Whether there is a module of that name. */
  has(name: string): boolean {
    return this.namedChildren().some(([known]) => known === name);
  }

  /** The module of that name. */
  get(name: string): M {
    const found = this.namedChildren().find(([known]) => known === name);
    if (!found)
      throw new IndexError(`ModuleDict: there is no module ${name}; it has ${[...this.keys()].join(', ') || 'none'}`);
    return found[1] as unknown as M;
  }

  /** Adds a module, or puts it in the place of the one of that name. */
  set(name: string, module: M): this {
    if (!(module instanceof Module))
      throw new UnsupportedError(`ModuleDict: ${name} is ${describe(module)}, but it must be a module`);
    if (name === '' || name.includes('.') || (name in this && !this.has(name)))
      throw new UnsupportedError(
        `ModuleDict: a module cannot be called '${name}'; choose a name without dots that is no property of a module`,
      );
    define(this, name, module);
    return this;
  }

  /** Takes a module out; says whether there was one of that name. It is not disposed. */
  delete(name: string): boolean {
    return this.has(name) && Reflect.deleteProperty(this, name);
  }

  /** The names. */
  keys(): IterableIterator<string> {
    return this.namedChildren()
      .map(([name]) => name)
      .values();
  }

  /** The modules. */
  values(): IterableIterator<M> {
    return (this.children() as unknown as M[]).values();
  }

  /** Names and modules. */
  entries(): IterableIterator<[string, M]> {
    return (this.namedChildren() as unknown as [string, M][]).values();
  }

  /** Names and modules. */
  [Symbol.iterator](): IterableIterator<[string, M]> {
    return this.entries();
  }

  /** @throws UnsupportedError always: a dictionary says nothing of an order of computation. */
  override forward(): never {
    return noForward(this, 'call its modules in the forward() of the module that holds it');
  }
}
