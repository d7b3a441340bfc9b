// Methods whose types `methods/types.ts` writes out, because a mapped type sees only the last overload of a function.
export { oneHot } from './indexing.ts';
export { unique } from './masks.ts';
export { format } from './print.ts';
export { max, min } from './reductions.ts';
export { gpuBuffer } from './sharing.ts';
export { to } from './transfer.ts';
