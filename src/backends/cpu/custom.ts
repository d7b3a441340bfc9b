import type { DType } from '../../core/dtype.ts';
import { type Shape, sizeOf } from '../../core/shape.ts';
import type { CustomKernel, HostArray } from '../../ir/kernel.ts';
import type { Heap } from './heap.ts';
import type { Runnable } from './program.ts';

/** Hands the user's function the arrays as they lie in memory. */
export class CustomProgram implements Runnable {
  readonly scratch = 0;

  constructor(private readonly kernel: CustomKernel) {}

  launch(heap: Heap, addresses: readonly number[]): void {
    const { inputs, outputs, space, source } = this.kernel;
    const array = (dtype: DType, binding: number, offset: number, shape: Shape): HostArray => ({
      data: heap.view(dtype, addresses[binding]!, offset, sizeOf(shape)),
      shape,
    });
    const [{ dtype, binding }] = outputs;
    source.cpu(
      inputs.map(({ dtype: t, binding: b, access }) =>
        array(t, b, access.offset, access.mode === 'indirect' ? access.shape : space),
      ),
      array(dtype, binding, 0, space),
    );
  }
}
