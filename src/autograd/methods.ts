// What autograd adds to Tensor as methods.
export { backward, detach, registerHook, retainGrad } from './grad.ts';
