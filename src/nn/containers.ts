import { UnsupportedError } from '../core/errors.ts';
import { type AnyModule, Module } from './module.ts';

/**
 * A list of modules for a `forward` of one's own (`torch.nn.ModuleList`): the module that has it among its properties finds their
 * parameters, which a plain array would hide.
 */
export class ModuleList<M extends AnyModule = Module> extends Module<never, never> implements Iterable<M> {
  constructor(modules: Iterable<M> = []) {
    super();
    for (const [i, value] of [...modules].entries())
      Object.defineProperty(this, i, { value, writable: true, enumerable: true, configurable: true });
  }

  /** The modules in order. */
  [Symbol.iterator](): Iterator<M> {
    return (this.children() as unknown as M[])[Symbol.iterator]();
  }

  /** @throws UnsupportedError always: a list says nothing of an order of computation. */
  override forward(): never {
    throw new UnsupportedError(
      'ModuleList: it only holds modules and computes nothing; call its modules in the forward() of the module that holds it',
    );
  }
}
