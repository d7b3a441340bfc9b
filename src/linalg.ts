/**
 * Linear algebra, as `torch.linalg`.
 *
 * @packageDocumentation
 */
export {
  cholesky,
  det,
  eigh,
  eigvalsh,
  inverse as inv,
  lstsq,
  matrixRank,
  pinv,
  qr,
  slogdet,
  solve,
  solveTriangular,
  svd,
  svdvals,
} from './ops/linalg.ts';
export { linalgNorm as norm, matrixNorm, vectorNorm } from './ops/norms.ts';
