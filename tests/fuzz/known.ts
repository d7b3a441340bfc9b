// Differences between the library and the model that are known and wait for a decision. While one is listed as true, programs
// that show it are not made; set it to false to have them again.
export const avoid = {
  /** `zerosLike` takes disposed tensors. */
  likeOfDisposed: true,
};
