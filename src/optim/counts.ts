import type { Node } from '../engine/node.ts';
import { assign_ } from '../ops/assign.ts';
import { full } from '../ops/creation.ts';
import { mul } from '../ops/elementwise.ts';
import { reshape } from '../ops/structure.ts';
import { keep } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Scalar } from './scalars.ts';

/** Numbers of a parameter's state, `step` among them: all on the host, or all on the device. */
export type Numbers = Readonly<Record<string, Scalar>>;

/** Numbers on the device, which parameters that were always updated together share. */
interface Clock {
  readonly scalars: Readonly<Record<string, Tensor>>;
  readonly members: Set<Tensor>;
}

/** A refused flush leaves what was made in it without a value. */
export const hasValue = ({ node }: Tensor): boolean =>
  node.error === null && (node.pending || node.buffer !== null || node.host !== null);

function isOnHost(numbers: Numbers): boolean {
  for (const name in numbers) if (typeof numbers[name] !== 'number') return false;
  return true;
}

/** Scalars on the device of a tensor, with the values of numbers. */
const onDevice = ({ device }: Tensor, numbers: Numbers): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(numbers).map(([name, x]) => [
      name,
      typeof x === 'number' ? full([], x, { device }) : reshape(mul(x, 1), []),
    ]),
  );

/** A parameter that is updated, and the first tensor of its state, if it has any. */
export interface Counted {
  readonly p: Tensor;
  readonly first: Tensor | undefined;
}

/**
 * How often the parameters of an optimizer were updated, and what other numbers change with every update. On the host they are
 * known by the node of the first state tensor, on the device they are updated in place: so a flush that the device refuses takes
 * state and numbers back together.
 */
export class Counts {
  private readonly host = new WeakMap<Node, Numbers>();
  private readonly clocks = new Map<Tensor, Clock>();

  /** `start` is what the numbers are before the first update. */
  constructor(private readonly start: () => Numbers) {}

  of({ p, first }: Counted): Numbers {
    const clock = this.clocks.get(p);
    if (clock && Object.values(clock.scalars).every(hasValue)) return clock.scalars;
    return (first && this.host.get(first.node)) ?? this.start();
  }

  /** The numbers of parameters that are updated together, moved to the device where it decides; who shares them gets the same record. */
  before(updated: readonly (Counted & { readonly fresh: boolean })[], decided: boolean): Map<Tensor, Numbers> {
    const found = new Map<Tensor, Numbers>();
    const sharing = new Map<unknown, { numbers: Numbers; members: Tensor[] }>();
    for (const x of updated) {
      const numbers = x.fresh ? this.start() : this.of(x);
      found.set(x.p, numbers);
      const host = isOnHost(numbers);
      if (!x.first || (host && !decided)) continue;
      const key = host ? JSON.stringify(numbers) : numbers;
      const known = sharing.get(key) ?? { numbers, members: [] };
      known.members.push(x.p);
      sharing.set(key, known);
    }
    for (const { numbers, members } of sharing.values()) {
      const [one] = members as [Tensor];
      const clock = this.clocks.get(one);
      const whole = clock?.scalars === numbers && clock.members.size === members.length;
      const scalars = whole ? numbers : onDevice(one, numbers);
      for (const p of members) found.set(p, scalars);
    }
    return found;
  }

  /** Takes over the numbers after an update, from what `before` gave. */
  after(
    updated: readonly (Counted & { readonly before: Numbers; readonly after: { readonly numbers: Numbers } })[],
  ): void {
    const clocks = new Map<Numbers, Clock>();
    for (const { p, first, before, after } of updated) {
      const { numbers } = after;
      if (!first) continue;
      if (isOnHost(before)) {
        this.host.set(first.node, numbers);
        continue;
      }
      const scalars = before as Readonly<Record<string, Tensor>>;
      const clock = clocks.get(before) ?? { scalars, members: new Set() };
      if (!clocks.has(before))
        for (const [name, scalar] of Object.entries(scalars)) {
          const next = numbers[name];
          if (next !== undefined) assign_(scalar, next);
          keep(scalar);
        }
      clocks.set(before, clock);
      clock.members.add(p);
      this.join(p, clock);
    }
  }

  private join(p: Tensor, clock: Clock): void {
    this.leave(p, clock.scalars);
    this.clocks.set(p, clock);
  }

  private leave(p: Tensor, next?: Numbers): void {
    const clock = this.clocks.get(p);
    clock?.members.delete(p);
    if (clock?.members.size === 0 && clock.scalars !== next) for (const x of Object.values(clock.scalars)) x.dispose();
    this.clocks.delete(p);
  }

  /** Takes over given numbers; parameters that are given the same tensors share them. */
  load(given: readonly (Counted & { readonly numbers: Numbers })[]): void {
    const copies = new Map<string, Numbers>();
    const places = new Map<Tensor, number>();
    const place = (x: Tensor): number => places.get(x) ?? places.set(x, places.size).size - 1;
    this.after(
      given.map((x) => {
        if (isOnHost(x.numbers)) return { ...x, before: x.numbers, after: x };
        const key = JSON.stringify(Object.values(x.numbers).map((n) => (typeof n === 'number' ? [n] : place(n))));
        const copy = copies.get(key) ?? onDevice(x.p, x.numbers);
        copies.set(key, copy);
        return { ...x, before: copy, after: { numbers: {} } };
      }),
    );
  }

  /** Forgets all, and frees what is on the device. */
  forget(): void {
    for (const p of [...this.clocks.keys()]) this.leave(p);
  }
}
