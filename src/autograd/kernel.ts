import { DTYPES, type DType, isDType } from '../core/dtype.ts';
import { DTypeError, UnsupportedError } from '../core/errors.ts';
import { checkShape, contiguousStrides, type Shape } from '../core/shape.ts';
import { template } from '../engine/node.ts';
import { position } from '../ir/expr.ts';
import type { CustomSource, HostArray } from '../ir/kernel.ts';
import { checkFunction, checkOptions, describe, deviceOf, produce, taped } from '../ops/record.ts';
import type { GradientContext } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkGradients } from './custom.ts';

export type { HostArray };

/** What `customKernel` is made from. */
export interface CustomKernelOptions {
  /** What plans and errors call it. */
  readonly name: string;
  /** Shape and dtype (float32 unless given) of the output, from those of the inputs. */
  readonly output: (...inputs: readonly { readonly shape: Shape; readonly dtype: DType }[]) => {
    readonly shape: Shape;
    readonly dtype?: DType | undefined;
  };
  /**
   * For WebGPU: WGSL that defines `fn element(i: u32) -> f32` (`i32`, `u32` or `bool` by the dtype), element `i` of the output in
   * row-major order. It may call `input0(i)`, an element of the first input, `shape0(dim)`, a size of it, the same of the others by
   * number, and `output_shape(dim)`.
   */
  readonly wgsl: string;
  /** For the CPU and the reference: fills `output.data` from `inputs[k].data`, row by row; must not keep or change the inputs. */
  readonly cpu: (inputs: readonly HostArray[], output: HostArray) => void;
  /** From the gradient of the output those of the inputs, made from tensor ops; null for those that have none. None unless given. */
  readonly gradient?:
    | ((gradient: Tensor, context: GradientContext) => Tensor | null | readonly (Tensor | null | undefined)[])
    | undefined;
}

let made = 0;

/**
 * An op that runs a kernel of your own: WGSL on WebGPU, a function on the other devices. It takes tensors, which it sees without
 * gaps in row-major order, and gives one; nothing is fused into it. Make it once and call it often: each has pipelines of its own.
 *
 * @throws UnsupportedError for more inputs than a kernel of the device can bind, and in the backward pass, when the gradient is not
 * one for each input.
 * @throws DeviceError at the next await, when the WGSL does not compile.
 * @example
 * ```ts
 * const reverse = tl.customKernel({
 *   name: 'reverse',
 *   output: (a) => ({ shape: a!.shape }),
 *   wgsl: 'fn element(i: u32) -> f32 { return input0(output_shape(0) - 1u - i); }',
 *   cpu: ([a], out) => out.data.set(a!.data.slice().reverse()),
 *   gradient: (g) => reverse(g),
 * });
 * const last = reverse(tl.tensor([1, 2, 3])); // [3, 2, 1]
 * ```
 */
export function customKernel(options: CustomKernelOptions): (...inputs: readonly Tensor[]) => Tensor {
  checkOptions('customKernel', options, ['name', 'output', 'wgsl', 'cpu', 'gradient']);
  const { name, output, wgsl, cpu, gradient } = options;
  if (
    typeof name !== 'string' ||
    name === '' ||
    typeof wgsl !== 'string' ||
    typeof output !== 'function' ||
    typeof cpu !== 'function'
  )
    throw new UnsupportedError('customKernel: give it a name, the functions output and cpu, and wgsl as text');
  if (gradient !== undefined) checkFunction('customKernel', gradient);
  const source: CustomSource = { id: ++made, name, wgsl, cpu };
  const structure = template('custom', position, [], { source });
  return (...inputs) => {
    const device = deviceOf(name, inputs);
    const { bindings } = device.backend.limits;
    if (inputs.length >= bindings)
      throw new UnsupportedError(
        `${name}: ${inputs.length} inputs and the output are more than the ${bindings} buffers that a kernel can bind here; join some with cat()`,
      );
    const found = output(...inputs.map((x) => ({ shape: x.shape, dtype: x.dtype })));
    if (typeof found !== 'object' || found === null)
      throw new UnsupportedError(
        `${name}: output returned ${describe(found)}; it gives the shape, and the dtype if that is not float32`,
      );
    const { shape, dtype = 'float32' } = found;
    checkShape(name, shape);
    if (!isDType(dtype)) throw new DTypeError(`${name}: output gives the dtype ${describe(dtype)}; use ${DTYPES}`);
    const y = produce(device, name, dtype, shape, {
      template: structure,
      space: shape,
      inputs: inputs.map((x) => {
        const { node, offset } = x.dense();
        const strides = contiguousStrides(x.shape);
        return { node, access: { mode: 'indirect', shape: x.shape, strides, offset, check: null } };
      }),
    });
    const rule = gradient && {
      gradient: (g: Tensor, context: GradientContext) =>
        checkGradients(name, gradient(g, context), context.shapes, g.device),
      saves: 'both' as const,
    };
    return rule ? taped(name, rule, inputs, y) : y;
  };
}
