export { Adadelta, type AdadeltaOptions } from './adadelta.ts';
export { Adagrad, type AdagradOptions } from './adagrad.ts';
export { Adam, type AdamOptions, AdamW } from './adam.ts';
export { Adamax, type AdamaxOptions } from './adamax.ts';
export type { ClipGradNormOptions } from './clipping.ts';
export type { Numbers } from './counts.ts';
export type { DecouplingOptions, MomentOptions } from './moments.ts';
export { NAdam, type NAdamOptions } from './nadam.ts';
export {
  type LossScaler,
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
export { RAdam, type RAdamOptions } from './radam.ts';
export { RMSprop, type RMSpropOptions } from './rmsprop.ts';
export type { Scalar } from './scalars.ts';
export {
  CosineAnnealingLR,
  type CosineAnnealingLROptions,
  CosineAnnealingWarmRestarts,
  type CosineAnnealingWarmRestartsOptions,
} from './schedulers/cosine.ts';
export { OneCycleLR, type OneCycleLROptions } from './schedulers/cycle.ts';
export {
  ConstantLR,
  type ConstantLROptions,
  ExponentialLR,
  type ExponentialLROptions,
  LinearLR,
  type LinearLROptions,
  MultiStepLR,
  type MultiStepLROptions,
  PolynomialLR,
  type PolynomialLROptions,
  StepLR,
  type StepLROptions,
} from './schedulers/decay.ts';
export { type PlateauStateDict, ReduceLROnPlateau, type ReduceLROnPlateauOptions } from './schedulers/plateau.ts';
export { LambdaLR, LRScheduler, type Scheduled, type SchedulerStateDict } from './schedulers/scheduler.ts';
export { SequentialLR, type SequentialLROptions } from './schedulers/sequential.ts';
export { SGD, type SGDOptions } from './sgd.ts';
