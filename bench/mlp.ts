// The training step that benchmarks and counts share: an MLP 784-256-128-10, cross-entropy, Adam.
import * as tl from '../src/index.ts';

export const SIZES = [784, 256, 128, 10] as const;

/** Multiplications and additions of the products of one step: forward, and two backward but for the first layer's input. */
export function mlpFlops(batch: number): number {
  const [a, b, c, d] = SIZES;
  const forward = 2 * batch * (a * b + b * c + c * d);
  return 3 * forward - 2 * batch * a * b;
}

export interface HostBatch {
  readonly x: Float32Array;
  readonly y: Int32Array;
}

export interface Mlp {
  readonly model: tl.nn.Sequential;
  readonly adam: tl.optim.Adam;
  /** One step on a batch; the loss lives until the next step. */
  step(x: tl.Tensor, y: tl.Tensor): tl.Tensor;
  dispose(): void;
}

/** Numbers in [0, 1) that are the same in every run. */
export function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Elements spread evenly around zero. */
export function random(size: number, seed: number): Float32Array {
  const next = numbers(seed);
  return Float32Array.from({ length: size }, () => 2 * next() - 1);
}

/** Batches on the host. */
export function hostBatches(count: number, batch: number): HostBatch[] {
  const next = numbers(7);
  return Array.from({ length: count }, (_, i) => ({
    x: random(batch * SIZES[0], i + 1),
    y: Int32Array.from({ length: batch }, () => Math.floor(next() * SIZES[3])),
  }));
}

/** The model and its optimizer on the default device. */
export function makeMlp(lr = 1e-3): Mlp {
  const [a, b, c, d] = SIZES;
  const model = new tl.nn.Sequential(
    new tl.nn.Linear(a, b),
    new tl.nn.ReLU(),
    new tl.nn.Linear(b, c),
    new tl.nn.ReLU(),
    new tl.nn.Linear(c, d),
  );
  const adam = new tl.optim.Adam(model.parameters(), { lr });
  return {
    model,
    adam,
    step: (x, y) => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x), y)),
    dispose() {
      adam.dispose();
      for (const p of model.parameters()) p.dispose();
    },
  };
}
