// What a program in TypeScript sees of the package, installed or here: methods, namespaces, mistakes that must not compile.

import { relu, sum } from '../../src/functional.ts';
import * as tl from '../../src/index.ts';

const device: tl.Device = await tl.init({ device: 'cpu' });
const a: tl.Tensor = tl.tensor(
  [
    [1, 2],
    [3, 4],
  ],
  { requiresGrad: true },
);
const loss: tl.Tensor = a
  .matmul(a.transpose(0, 1))
  .relu()
  .sum({ dim: [0, 1] });
loss.backward();
const grad: tl.Tensor | null = a.grad;
const values: Float32Array | Int32Array | Uint32Array | Uint8Array = await a.data();
const model = new tl.nn.Sequential(new tl.nn.Linear(2, 2), new tl.nn.ReLU());
const adam = new tl.optim.Adam(model.parameters(), { lr: 1e-3 });
const free: tl.Tensor = sum(relu(a));
const largest: tl.Tensor = a.max();
const places: tl.Tensor = a.max({ dim: 1 }).indices.to('int32');
const moved: Promise<tl.Tensor> = a.to(device);
console.log(device.name, grad, values, adam.lr, free, largest, places, moved);

// @ts-expect-error: there is no such option
new tl.optim.Adam(model.parameters(), { learningRate: 1e-3 });
// @ts-expect-error: an op takes tensors and numbers
a.add('1');
// @ts-expect-error: there is no such method
a.frobnicate();
