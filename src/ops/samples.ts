import type { DType } from '../core/dtype.ts';
import type { Shape } from '../core/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/*
 * What the records of ops that are no elementwise expression tell the tests: calls to make. Every file with such ops exports a
 * function `samples`, which nothing in the library calls, so that bundles leave it out.
 */

/** How a tensor of a sample is drawn. */
export interface Drawn {
  readonly shape: Shape;
  /** float32 unless given; only float tensors are differentiated. */
  readonly dtype?: DType;
  /** Whole numbers for integers and bools; [-2, 2] unless given. */
  readonly range?: readonly [low: number, high: number];
  /** The elements themselves, in place of random ones. */
  readonly values?: readonly number[];
  /** No two elements closer than a thousandth of the range: for ops that jump where elements are equal. */
  readonly distinct?: boolean;
}

/** A call of an op, on tensors that the test draws, on every device, contiguous and through views. */
export interface Sample {
  readonly inputs: readonly (Shape | Drawn)[];
  readonly call: (...inputs: Tensor[]) => Tensor | readonly Tensor[];
}

/** The record of an op for the tests. */
export interface OpSamples {
  readonly calls: readonly Sample[];
  /** Why there is no gradient, where there is none. */
  readonly noGradient?: string;
  /** It gives a promise, because its shape depends on the elements: it has tests of its own in place of calls. */
  readonly asynchronous?: true;
}

/** Records by the name of the op. */
export type Samples = Readonly<Record<string, OpSamples>>;

/** One call: what it is given, and how it is made. */
export const sample = (inputs: readonly (Shape | Drawn)[], call: Sample['call']): Sample => ({ inputs, call });

/** Whole numbers from 0 up to, not including, `n`: what an index tensor is drawn from. */
export const indices = (shape: Shape, n: number): Drawn => ({ shape, dtype: 'int32', range: [0, n - 1] });
