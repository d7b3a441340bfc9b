import * as autograd from '../autograd/methods.ts';
import * as ops from '../ops/methods.ts';
import * as overloads from '../ops/overloads.ts';
import { Tensor } from '../tensor/tensor.ts';

for (const [name, op] of Object.entries({ ...ops, ...overloads, ...autograd })) {
  if (name in Tensor.prototype) throw new Error(`the op ${name} would hide a member of Tensor`);
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: unknown[]): unknown {
      return (op as (x: Tensor, ...rest: unknown[]) => unknown)(this, ...rest);
    },
    writable: true,
    configurable: true,
  });
}

// What Node's console shows.
Object.defineProperty(Tensor.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Tensor): string {
    return this.toString();
  },
  configurable: true,
});
