import { type Shape, sizeOf } from '../../core/shape.ts';
import type { Input } from '../../ir/kernel.ts';

/** Calls `visit` for each point of a space in row-major order; `offsets` are those of walks with the given strides there. */
export function forEachOffset(
  space: Shape,
  walks: readonly (readonly number[])[],
  visit: (offsets: readonly number[], point: number) => void,
): void {
  const at = new Array<number>(space.length).fill(0);
  const offsets = new Array<number>(walks.length).fill(0);
  const points = sizeOf(space);
  for (let point = 0; point < points; point++) {
    visit(offsets, point);
    for (let d = space.length - 1; d >= 0; d--) {
      const back = ++at[d]! === space[d] ? space[d]! : 0;
      for (let w = 0; w < walks.length; w++) offsets[w]! += walks[w]![d]! * (1 - back);
      if (back === 0) break;
      at[d] = 0;
    }
  }
}

/** Strides and offset of an input that is read directly. */
export function directAccess({ access }: Input): { readonly strides: readonly number[]; readonly offset: number } {
  if (access.mode !== 'direct') throw new Error('boundary kernels read their inputs directly');
  return access;
}
