// The ops as free functions: what `tensorloom/functional` exports, and the main entry as well.
export * from './creation.ts';
export * from './functions.ts';
export * from './joins.ts';
export * from './losses.ts';
export * from './methods.ts';
export * from './overloads.ts';
export { setPrintOptions } from './print.ts';
export { bernoulli } from './random.ts';
export {
  type ArgOptions,
  type DimOptions,
  type ValuesIndices,
  type VarianceOptions,
  variance,
} from './reductions.ts';
export type { ReduceOptions } from './structure.ts';
