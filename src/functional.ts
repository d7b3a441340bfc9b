/**
 * The ops as free functions, without methods on tensors: what is not imported is not bundled.
 *
 * @packageDocumentation
 */
export * from './autograd/index.ts';
export { autotune } from './autotune.ts';
export * from './core/errors.ts';
export { manualSeed } from './core/random.ts';
export { device, init } from './init.ts';
export { debug, explain, memory } from './inspect.ts';
export * as linalg from './linalg.ts';
export * from './ops/index.ts';
export { profile } from './profile.ts';
export { setDefaultDevice } from './tensor/device.ts';
export { keep, scope, tidy } from './tensor/scope.ts';
export type { Tensor } from './tensor/tensor.ts';
