// What `methods/` installs on Tensor: ops whose first argument is a tensor, under the names of the free functions.
export { add_, assign_, div_, fill_, mul_, sub_, zero_ } from './assign.ts';
export * from './elementwise.ts';
export { gather, indexSelect, scatter, scatterAdd } from './gather.ts';
export { index, take, takeAlongDim } from './indexing.ts';
export {
  cholesky,
  det,
  eigh,
  inverse,
  lstsq,
  matrixRank,
  pinv,
  qr,
  ridge,
  slogdet,
  solve,
  solveTriangular,
  svd,
} from './linalg.ts';
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
export {
  diag,
  flip,
  fliplr,
  flipud,
  repeat,
  repeatInterleave,
  roll,
  rot90,
  tile,
  trace,
  tril,
  triu,
  unflatten,
} from './movement.ts';
export { norm } from './norms.ts';
export {
  indexAdd,
  indexAdd_,
  indexCopy,
  indexCopy_,
  indexFill,
  indexFill_,
  indexPut,
  indexPut_,
} from './puts.ts';
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
export { cummax, cummin, cumprod, cumsum, prod } from './scans.ts';
export { argsort, sort, topk } from './sorting.ts';
export {
  broadcastTo,
  chunk,
  contiguous,
  diagonal,
  expand,
  expandAs,
  flatten,
  movedim,
  narrow,
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
export { pad, unfold } from './windows.ts';
