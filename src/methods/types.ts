import type * as autograd from '../autograd/methods.ts';
import type * as ops from '../ops/methods.ts';

/** The ops as methods: the first argument is the tensor itself. */
type Methods<Ops> = {
  [K in keyof Ops]: Ops[K] extends (x: never, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;
};

/** Every op that is a method of Tensor, derived from the free functions. */
export interface TensorMethods extends Methods<typeof ops>, Methods<typeof autograd> {}
