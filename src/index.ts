/**
 * PyTorch-style tensors and reverse-mode autodiff on WebGPU and the CPU.
 *
 * @packageDocumentation
 */
import './methods/install.ts';

export * from './autograd/index.ts';
export { type AutotuneOptions, autotune } from './autotune.ts';
export type {
  OperandLayout,
  ProductKind,
  TileVariant,
  TunedAdapter,
  TuningEntry,
  TuningProgress,
  TuningTable,
  Variant,
} from './backends/tuning.ts';
export type { DType, TypedArrays } from './core/dtype.ts';
export * from './core/errors.ts';
export type { PrintOptions, PrintSettings } from './core/format.ts';
export { manualSeed } from './core/random.ts';
export type { Shape } from './core/shape.ts';
export * as data from './data/index.ts';
export * as estimators from './estimators/index.ts';
export { type DeviceName, device, type InitOptions, init } from './init.ts';
export { type DebugOptions, debug, explain, type MemoryReport, memory } from './inspect.ts';
export * as linalg from './linalg.ts';
export * as nn from './nn/index.ts';
export * from './ops/index.ts';
export * as optim from './optim/index.ts';
export * from './plot/index.ts';
export { type KernelTime, type LaunchTime, Profile, type ProfileOptions, profile } from './profile.ts';
export { type Device, setDefaultDevice } from './tensor/device.ts';
export { keep, Scope, scope, tidy } from './tensor/scope.ts';
export { type NestedArray, Tensor } from './tensor/tensor.ts';
