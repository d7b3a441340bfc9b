// What `methods/` installs on Tensor: ops whose first argument is a tensor, under the names of the free functions.
export * from './assign.ts';
export * from './elementwise.ts';
export {
  index,
  indexAdd,
  indexAdd_,
  indexCopy,
  indexCopy_,
  indexFill,
  indexFill_,
  indexPut,
  indexPut_,
  take,
  takeAlongDim,
} from './indexing.ts';
export {
  all,
  any,
  countNonzero,
  maskedFill,
  maskedFill_,
  maskedSelect,
  nanmean,
  nansum,
  nonzero,
} from './masks.ts';
export { addmm, bmm, dot, linear, matmul, outer } from './matmul.ts';
export { norm } from './norms.ts';
export {
  amax,
  amin,
  aminmax,
  argmax,
  argmin,
  logSoftmax,
  logsumexp,
  mean,
  softmax,
  std,
  variance as var,
} from './reductions.ts';
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
