import { noGrad } from '../../autograd/grad.ts';
import { assign_ } from '../../ops/assign.ts';
import { zeros } from '../../ops/creation.ts';
import { internal, keep } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Module, StateDict } from '../module.ts';

/** @internal A tensor with the elements of another one, in the place of an earlier copy. Nothing is copied before the other changes. */
export function keptCopy(from: Tensor, earlier?: Tensor): Tensor {
  const { shape, dtype, device } = from;
  return keep(assign_(earlier ?? zeros(shape, { dtype, device }), from));
}

/** @internal A module's state as it was at some time. Nothing is copied before the module goes on. */
export class Snapshot {
  private copies: Record<string, Tensor> | null = null;

  /** What was taken, or null; it belongs to the snapshot. */
  get state(): StateDict | null {
    return this.copies;
  }

  /** Takes the state as it is now, in the place of what was taken before. Gives the tensors that hold it. */
  take(model: Module): readonly Tensor[] {
    const copies = internal('stateDict', () =>
      noGrad(() => {
        const made = Object.entries(model.stateDict()).map(
          ([name, from]) => [name, keptCopy(from, this.copies?.[name])] as const,
        );
        return Object.fromEntries(made);
      }),
    );
    this.copies = copies;
    return Object.values(copies);
  }

  dispose(): void {
    for (const copy of Object.values(this.copies ?? {})) copy.dispose();
    this.copies = null;
  }
}
