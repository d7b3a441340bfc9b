// Differences between the library and the model that are known and wait for a decision. While one is listed as true, programs
// that show it are not made; set it to false to have them again.
export const avoid = {
  /** `cat` and `stack` of one tensor give a view of it, where PyTorch copies. */
  joinOfOne: false,
  /** `pad` by nothing gives a view. */
  padByNothing: false,
  /** `.grad` may repeat an element or share its storage with another `.grad`, so that it cannot be updated in place. */
  updateOfGrad: false,
  /** `backward({ gradient })` keeps the caller's tensor as `.grad`, with its place on the tape. */
  gradientKept: false,
  /** `grad` with respect to a result whose graph was used before goes on through it. */
  usedTarget: false,
  /** `retainGrad` takes disposed tensors. */
  retainGradOfDisposed: false,
};
