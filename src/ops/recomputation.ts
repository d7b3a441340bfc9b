import { DisposedError, UnsupportedError } from '../core/errors.ts';
import { replaying } from '../core/random.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import { gradEnabled, type Recomputation, recordTape, type Saved, type TapeNode, withGrad } from '../tensor/tape.ts';
import { Cell, Tensor } from '../tensor/tensor.ts';
import { autocasting, withAutocast } from './autocast.ts';

interface Kept extends Saved {
  readonly device: Device;
}

/** A run of a function, which can be repeated. Keeps nodes and places on the tape, no handles. */
class Run<Args extends readonly unknown[]> implements Recomputation {
  private holders = 0;
  private readonly kept: readonly (Kept | null)[];
  private readonly others: readonly unknown[];
  /** What it put on the tape. */
  nodes: TapeNode[] = [];

  constructor(
    private readonly fn: (...args: Args) => unknown,
    args: Args,
    private readonly replay: <T>(again: () => T) => T,
  ) {
    this.kept = args.map((x) =>
      x instanceof Tensor ? { node: x.node, view: x.view, tape: x.tape, device: x.device } : null,
    );
    this.others = args.map((x) => (x instanceof Tensor ? null : x));
    for (const x of this.kept) {
      x?.node.hold();
      x?.tape?.hold();
    }
    this.hold();
  }

  hold(): void {
    this.holders++;
  }

  release(): void {
    if (--this.holders > 0) return;
    for (const x of this.kept) {
      x?.node.release();
      x?.tape?.release();
    }
  }

  redirect(from: TapeNode, to: TapeNode): void {
    this.nodes[this.nodes.indexOf(from)] = to;
  }

  restore(): void {
    this.hold();
    try {
      internal('checkpoint', () => {
        const { nodes: again } = withGrad(true, () =>
          this.replay(() =>
            recordTape(true, () => {
              const args = this.kept.map((x, i) =>
                x ? new Tensor(x.device, new Cell(x.node), x.view, x.tape) : this.others[i],
              );
              return this.fn(...(args as unknown as Args));
            }),
          ),
        );
        const { nodes } = this;
        const differs = nodes.findIndex((node, i) => !again[i]?.resembles(node));
        if (differs >= 0 || again.length !== nodes.length) {
          const at = differs < 0 ? nodes.length : differs;
          throw new UnsupportedError(
            `checkpoint: the function did something else when it ran again for the gradient: op ${at} was ${nodes[at]?.label ?? 'none'} ` +
              `and is now ${again[at]?.label ?? 'none'}; it must do the same on the same inputs`,
          );
        }
        nodes.forEach((node, i) => {
          if (!node.adopt(again[i] as TapeNode))
            throw new UnsupportedError(
              `checkpoint: a leaf that ${node.label} reads was changed in place before the backward pass; change it afterwards`,
            );
        });
      });
    } catch (error) {
      if (!(error instanceof DisposedError)) throw error;
      throw new DisposedError(
        `checkpoint: the function closes over a tensor that was disposed before it ran again for the gradient; give it as an input (${error.message})`,
      );
    } finally {
      this.release();
    }
  }
}

/** @internal Runs a function without keeping what its gradient needs: see `checkpoint`. */
export function recomputed<Args extends readonly unknown[], Out>(fn: (...args: Args) => Out, ...inputs: Args): Out {
  if (!gradEnabled()) return fn(...inputs);
  const [replay, cast] = [replaying(), autocasting()];
  const run = new Run(fn, inputs, (again) => withAutocast(cast, () => replay(again)));
  try {
    return internal('checkpoint', () => {
      const { result, nodes } = recordTape(false, () => fn(...inputs));
      run.nodes = nodes;
      const inside = new Set(nodes);
      for (const node of nodes) node.lend(run, inside);
      return result;
    });
  } finally {
    run.release();
  }
}
