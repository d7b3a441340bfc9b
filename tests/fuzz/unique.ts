// Functions of factorisations that no choice of signs changes, so that their values and gradients are defined.
import * as tl from '../../src/index.ts';

const scaled = (u: tl.Tensor, s: tl.Tensor): tl.Tensor => u.mul(s.unsqueeze(-2));
const T = (x: tl.Tensor): tl.Tensor => x.transpose(-1, -2);

/** q r, which is the matrix itself. */
export const qrProduct = (a: tl.Tensor): tl.Tensor =>
  tl.tidy(() => {
    const { q, r } = tl.qr(a);
    return q.matmul(r);
  });
/** The products of r's columns, which are those of the matrix. */
export const qrGram = (a: tl.Tensor): tl.Tensor =>
  tl.tidy(() => {
    const { r } = tl.qr(a);
    return T(r).matmul(r);
  });
/** The sine of a symmetric matrix. */
export const eighSin = (a: tl.Tensor): tl.Tensor =>
  tl.tidy(() => {
    const { eigenvalues, eigenvectors } = tl.eigh(a);
    return scaled(eigenvectors, eigenvalues.sin()).matmul(T(eigenvectors));
  });
/** u diag(s) vh, which is the matrix itself. */
export const svdProduct = (a: tl.Tensor): tl.Tensor =>
  tl.tidy(() => {
    const { u, s, vh } = tl.svd(a);
    return scaled(u, s).matmul(vh);
  });
/** The matrix with the sines of its singular values in their place. */
export const svdSin = (a: tl.Tensor): tl.Tensor =>
  tl.tidy(() => {
    const { u, s, vh } = tl.svd(a);
    return scaled(u, s.sin()).matmul(vh);
  });
