/**
 * Linear algebra, as `torch.linalg`.
 *
 * @packageDocumentation
 */
export { linalgNorm as norm, matrixNorm, vectorNorm } from './ops/norms.ts';
