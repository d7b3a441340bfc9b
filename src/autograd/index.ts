export type { GradientContext } from '../tensor/tape.ts';
export { type CheckpointFunction, checkpoint } from './checkpoint.ts';
export { type CustomContext, type CustomOp, customOp } from './custom.ts';
export {
  type Arguments,
  type Gradients,
  grad,
  hessian,
  hvp,
  jacobian,
  jvp,
  type Like,
  type Pullback,
  type ScalarFunction,
  type Tensors,
  type TransformOptions,
  valueAndGrad,
  vjp,
} from './functional.ts';
export { type BackwardOptions, backward, detach, type GradOptions, noGrad, registerHook, retainGrad } from './grad.ts';
export { type CheckedFunction, type GradcheckOptions, gradcheck, gradgradcheck } from './gradcheck.ts';
export { type CustomKernelOptions, customKernel, type HostArray } from './kernel.ts';
