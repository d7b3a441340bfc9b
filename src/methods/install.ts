import * as autograd from '../autograd/methods.ts';
import * as ops from '../ops/methods.ts';
import * as overloads from '../ops/overloads.ts';
import { showKnown } from '../ops/print.ts';
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

const summary = Tensor.prototype.toString;
Object.defineProperty(Tensor.prototype, 'toString', {
  value(this: Tensor): string {
    return showKnown(this) ?? summary.call(this);
  },
  writable: true,
  configurable: true,
});

// What Node's console shows. It indents what an object gives, and not what a string is.
const inspect = Symbol.for('nodejs.util.inspect.custom');
Object.defineProperty(Tensor.prototype, inspect, {
  value(this: Tensor, depth: number): unknown {
    const text = depth < 0 ? summary.call(this) : this.toString();
    return { [inspect]: () => text };
  },
  configurable: true,
});
