import type * as autograd from '../autograd/methods.ts';
import type { DType } from '../core/dtype.ts';
import type { PrintOptions } from '../core/format.ts';
import type { UniqueOptions, UniqueValues } from '../ops/masks.ts';
import type * as ops from '../ops/methods.ts';
import type { DimOptions, ValuesIndices } from '../ops/reductions.ts';
import type { GPUBufferRange } from '../ops/sharing.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** The ops as methods: the first argument is the tensor itself. */
type Methods<Ops> = {
  [K in keyof Ops]: Ops[K] extends (x: never, ...rest: infer Rest) => infer Result ? (...rest: Rest) => Result : never;
};

/** Methods with several signatures. */
export interface Overloaded {
  /** The largest element of all, or the largest along a dim and where they are. See the function `max`. */
  max(): Tensor;
  max(options: DimOptions): ValuesIndices;
  /** The smallest element of all, or the smallest along a dim and where they are. See the function `min`. */
  min(): Tensor;
  min(options: DimOptions): ValuesIndices;
  /** A new last dim that is 1 at the place of the class. See the function `oneHot`. */
  oneHot(numClasses: number): Tensor;
  oneHot(): Promise<Tensor>;
  /** The tensor converted to a dtype, or a copy of it on another device. See the function `to`. */
  to(dtype: DType): Tensor;
  to(device: Device): Promise<Tensor>;
  /** The distinct elements in ascending order. See the function `unique`. */
  unique(): Promise<Tensor>;
  unique(options: UniqueOptions): Promise<UniqueValues>;
  /** The `GPUBuffer` that the tensor lies in, for commands of your own. See the function `gpuBuffer`. */
  gpuBuffer(): Promise<GPUBufferRange>;
  /** The tensor as PyTorch prints it, read where it is not known yet. See the function `format`. */
  format(options?: PrintOptions): Promise<string>;
}

/** Every op that is a method of Tensor, derived from the free functions. */
export interface TensorMethods extends Methods<typeof ops>, Methods<typeof autograd>, Overloaded {}
