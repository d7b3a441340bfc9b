export {
  type BackwardOptions,
  backward,
  detach,
  type GradOptions,
  grad,
  noGrad,
  registerHook,
  retainGrad,
  type ScalarFunction,
  valueAndGrad,
} from './grad.ts';
export { type GradcheckOptions, gradcheck } from './gradcheck.ts';
