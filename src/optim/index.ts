export { Adam, type AdamOptions } from './adam.ts';
export {
  type MinimizeOptions,
  Optimizer,
  type OptimizerOptions,
  type OptimizerStateDict,
  type ParameterState,
  type ParamGroup,
  type Params,
  type Settings,
  type Update,
  type Updated,
} from './optimizer.ts';
export { RMSprop, type RMSpropOptions } from './rmsprop.ts';
export {
  ExponentialLR,
  type ExponentialLROptions,
  LambdaLR,
  LRScheduler,
  type Scheduled,
  type SchedulerStateDict,
  StepLR,
  type StepLROptions,
} from './scheduler.ts';
export { SGD, type SGDOptions } from './sgd.ts';
