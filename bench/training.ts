// The training steps that benchmarks and counts share, of images of 784 pixels in ten classes with cross-entropy and Adam: an MLP
// 784-256-128-10, a LeNet on 28 x 28, and an LSTM that reads 28 rows.
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

export interface Training {
  readonly model: tl.nn.Module;
  /** The shape of a sample. */
  readonly sample: readonly number[];
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

/** A model with its optimizer on the default device. */
function training(model: tl.nn.Module, sample: readonly number[], lr: number): Training {
  const adam = new tl.optim.Adam(model.parameters(), { lr });
  return {
    model,
    sample,
    adam,
    step: (x, y) => adam.minimize(() => tl.nn.functional.crossEntropy(model.forward(x), y)),
    dispose() {
      adam.dispose();
      for (const p of model.parameters()) p.dispose();
    },
  };
}

export function makeMlp(lr = 1e-3): Training {
  const { Sequential, Linear, ReLU } = tl.nn;
  const [a, b, c, d] = SIZES;
  const model = new Sequential(new Linear(a, b), new ReLU(), new Linear(b, c), new ReLU(), new Linear(c, d));
  return training(model, [a], lr);
}

/** LeNet-5 (LeCun et al., 1998) with ReLU and maxima, as it is taught today. */
export function makeLeNet(lr = 1e-3): Training {
  const { Sequential, Conv2d, ReLU, MaxPool2d, Flatten, Linear } = tl.nn;
  const model = new Sequential(
    ...[new Conv2d(1, 6, 5, { padding: 2 }), new ReLU(), new MaxPool2d(2)],
    ...[new Conv2d(6, 16, 5), new ReLU(), new MaxPool2d(2), new Flatten()],
    ...[new Linear(400, 120), new ReLU(), new Linear(120, 84), new ReLU(), new Linear(84, 10)],
  );
  return training(model, [1, 28, 28], lr);
}

class RowReader extends tl.nn.Module {
  lstm = new tl.nn.LSTM(28, 64, { batchFirst: true });
  head = new tl.nn.Linear(64, 10);

  override forward(rows: tl.Tensor): tl.Tensor {
    return this.head.forward(this.lstm.forward(rows)[0].select(1, -1));
  }
}

/** An LSTM of 64 units over the 28 rows of an image. */
export const makeLstm = (lr = 1e-3): Training => training(new RowReader(), [28, 28], lr);
