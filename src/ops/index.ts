// The ops as free functions: what `tensorloom/functional` exports, and the namespace of the main entry takes up.
export * from './assign.ts';
export * from './creation.ts';
export * from './elementwise.ts';
export * from './functions.ts';
export * from './joins.ts';
export * from './losses.ts';
export * from './matmul.ts';
export { bernoulli } from './random.ts';
export * from './reductions.ts';
export {
  broadcastTo,
  chunk,
  contiguous,
  diagonal,
  expand,
  expandAs,
  flatten,
  gather,
  indexSelect,
  movedim,
  narrow,
  pad,
  permute,
  type ReduceOptions,
  reshape,
  select,
  slice,
  split,
  squeeze,
  sum,
  t,
  transpose,
  unbind,
  unsqueeze,
} from './structure.ts';
export { to } from './transfer.ts';
