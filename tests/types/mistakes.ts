// Obvious mistakes, which must not compile: an expected error that does not come is an error of `npm run types`.
import * as tl from '../../src/index.ts';

const device: tl.Device = await tl.init({ device: 'cpu' });
const x: tl.Tensor = tl.ones([2, 3]);
const labels: tl.Tensor = tl.zeros([2], { dtype: 'int32' });
const model = new tl.nn.Sequential(new tl.nn.Linear(3, 2), new tl.nn.ReLU());
const { SGD, Adam, RMSprop, StepLR, LambdaLR } = tl.optim;
const sgd = new SGD(model.parameters(), { lr: 0.1 });
const set = new tl.data.TensorDataset(x, labels);

// Devices
// @ts-expect-error: no such device
await tl.init({ device: 'cuda' });
// @ts-expect-error: no such option
await tl.init({ devise: 'cpu' });
// @ts-expect-error: the name belongs into an object
await tl.init('cpu');
// @ts-expect-error: no such precision
await tl.device('reference', { precision: 'float16' });
// @ts-expect-error: a name is no device
tl.setDefaultDevice('cpu');
// @ts-expect-error: a device is made asynchronously
tl.setDefaultDevice(tl.device('cpu'));
// @ts-expect-error: a name is no device
tl.ones([2], { device: 'cpu' });

// Creation
// @ts-expect-error: a shape is an array
tl.zeros(3);
// @ts-expect-error: sizes are not arguments
tl.zeros(2, 3);
// @ts-expect-error: sizes are numbers
tl.zeros(['2']);
// @ts-expect-error: no such dtype
tl.zeros([2], { dtype: 'float64' });
// @ts-expect-error: a dtype belongs into an object
tl.zeros([2], 'int32');
// @ts-expect-error: it is requiresGrad
tl.zeros([2], { requires_grad: true });
// @ts-expect-error: true or false
tl.zeros([2], { requiresGrad: 1 });
// @ts-expect-error: text is no data
tl.tensor('1, 2');
// @ts-expect-error: numbers are no text
tl.tensor(['1', '2']);
// @ts-expect-error: tensors are joined by stack
tl.tensor([x, x]);
// @ts-expect-error: 64-bit integers are no elements
tl.tensor(new BigInt64Array(2));
// @ts-expect-error: the value is missing
tl.full([2]);
// @ts-expect-error: a value is a number
tl.full([2], '1');
// @ts-expect-error: the number of steps is missing
tl.linspace(0, 1);
// @ts-expect-error: the shape is missing
tl.randint(0, 10);
// @ts-expect-error: a seed is a number
tl.manualSeed('42');
// @ts-expect-error: an array is no buffer
tl.fromBuffer([1, 2, 3]);
// @ts-expect-error: a shape is no tensor
tl.zerosLike([2, 3]);

// Elementwise
// @ts-expect-error: the other operand is missing
x.add();
// @ts-expect-error: text is no operand
x.add('1');
// @ts-expect-error: an array is no operand
x.mul([1, 2, 3]);
// @ts-expect-error: a promise is no operand
x.add(x.item());
// @ts-expect-error: true is no operand
x.add(true);
// @ts-expect-error: JavaScript's operators do not work on tensors
x + 1;
// @ts-expect-error: no such option
x.add(1, { beta: 2 });
// @ts-expect-error: no such rounding mode
x.div(2, { roundingMode: 'up' });
// @ts-expect-error: relu takes nothing more
x.relu(2);
// @ts-expect-error: bounds are an object
x.clamp(0, 1);
// @ts-expect-error: a number is no tensor
tl.exp(1);
// @ts-expect-error: no such op
x.exponential();
// @ts-expect-error: no such dtype
x.to('double');
// @ts-expect-error: a name is no device
x.to('webgpu');
// @ts-expect-error: the condition comes first
tl.where(0, x.gt(0), x);
// @ts-expect-error: both values are needed
tl.where(x.gt(0), x);
// @ts-expect-error: a condition is a tensor
tl.where(true, x, x);
// @ts-expect-error: no such approximation
x.gelu({ approximate: 'erf' });
// @ts-expect-error: the slope belongs into an object
x.leakyRelu(0.1);

// Reductions
// @ts-expect-error: a dim belongs into an object
x.sum(0);
// @ts-expect-error: it is keepDim
x.sum({ dim: 0, keepdim: true });
// @ts-expect-error: a dim is a number
x.mean({ dim: '0' });
// @ts-expect-error: one dim only
x.argmax({ dim: [0, 1] });
// @ts-expect-error: a maximum along a dim has values and indices
x.max({ dim: 1 }).add(1);
// @ts-expect-error: a maximum of all is a tensor
x.max().values;
// @ts-expect-error: a dim belongs into an object
x.max(1);
// @ts-expect-error: two tensors: maximum
x.max(x);
// @ts-expect-error: the dim is missing
x.softmax();
// @ts-expect-error: the dim is an argument
x.softmax({ dim: 1 });
// @ts-expect-error: correction is the option
x.var({ unbiased: false });

// Movement, joins, indexing
// @ts-expect-error: a shape is an array
x.reshape(3, 2);
// @ts-expect-error: a shape is an array
x.reshape(6);
// @ts-expect-error: dims are an array
x.permute(1, 0);
// @ts-expect-error: two dims
x.transpose();
// @ts-expect-error: dims are numbers
x.transpose('0', '1');
// @ts-expect-error: the place is missing
x.select(0);
// @ts-expect-error: a list of tensors
tl.cat(x, x);
// @ts-expect-error: the dim is an argument
tl.cat([x, x], { dim: 1 });
// @ts-expect-error: no numbers
tl.stack([1, 2]);
// @ts-expect-error: indices are a tensor
x.gather(0, [[0, 1]]);
// @ts-expect-error: indices are a tensor
x.indexSelect(0, [0]);
// @ts-expect-error: no such mode
x.pad([1, 1], { mode: 'mirror' });
// @ts-expect-error: matrices only
x.matmul(2);
// @ts-expect-error: the other operand is missing
x.matmul();
// @ts-expect-error: no such option
tl.addmm(x, x, x, { gamma: 1 });

// Reading
// @ts-expect-error: it is awaited
x.item() + 1;
// @ts-expect-error: it is awaited
x.data().length;
// @ts-expect-error: it is awaited
x.toArray()[0];
// @ts-expect-error: no such dtype
x.data<'float64'>();
// @ts-expect-error: int32 comes in an Int32Array
export const wrong: Float32Array = await labels.data<'int32'>();
// @ts-expect-error: uint8 comes in a Uint8Array
export const signed: Int8Array = await labels.data<'uint8'>();
// @ts-expect-error: a GPUBuffer is awaited
x.gpuBuffer().buffer;
// @ts-expect-error: a GPUBuffer has no shape of its own
tl.fromGPUBuffer((await x.gpuBuffer()).buffer, { dtype: 'uint8' });
// @ts-expect-error: a Float32Array is no array of arrays
export const nested: number[][] = await x.data();
// @ts-expect-error: a tensor has no elements to index
x[0];
// @ts-expect-error: a tensor is not iterable
[...x];
// @ts-expect-error: the shape is read only
x.shape = [3, 2];
// @ts-expect-error: the sizes are read only
x.shape[0] = 3;
// @ts-expect-error: the dtype is read only
x.dtype = 'int32';
// @ts-expect-error: the size is read only
x.size = 3;
// @ts-expect-error: size is a number
x.size();
// @ts-expect-error: ndim is a number
x.ndim();
// @ts-expect-error: precision is a number
await x.format({ precision: '2' });
// @ts-expect-error: it is lineWidth
tl.setPrintOptions({ linewidth: 100 });
// @ts-expect-error: true, false or 'nan'
tl.debug({ checkNumerics: 'infinity' });

// Autograd
// @ts-expect-error: options are an object
x.backward(x);
// @ts-expect-error: it is retainGraph
x.backward({ retain_graph: true });
// @ts-expect-error: a gradient is a tensor
x.backward({ gradient: 1 });
// @ts-expect-error: lists of tensors
tl.grad(x, x);
// @ts-expect-error: there may be no gradient
x.grad.add(1);
// @ts-expect-error: a gradient is a tensor
x.grad = 1;
// @ts-expect-error: requiresGrad is a property
x.requiresGrad(true);
// @ts-expect-error: a function of tensors
tl.grad((a: number) => a * 2);
// @ts-expect-error: the result is a tensor
tl.grad((a: tl.Tensor) => a.size);
// @ts-expect-error: a hook gives a tensor
x.registerHook(() => 3);
// @ts-expect-error: a function, not its result
tl.noGrad(x.add(1));

// Scopes
// @ts-expect-error: a scope cannot await
tl.tidy(async () => x.add(1));
// @ts-expect-error: a scope cannot await
tl.tidy(() => x.item());
// @ts-expect-error: a scope cannot await
tl.scope().run(async () => x.add(1));
// @ts-expect-error: recording goes on at the first await
tl.noGrad(async () => x.add(1));
// @ts-expect-error: a function, not its result
tl.tidy(x.add(1));
// @ts-expect-error: tensors only
tl.keep([x]);
// @ts-expect-error: tensors only
tl.scope().track(3);
// @ts-expect-error: a tensor
tl.explain([x]);

// Losses and modules
// @ts-expect-error: the target is missing
tl.mseLoss(x);
// @ts-expect-error: no such reduction
tl.mseLoss(x, x, { reduction: 'avg' });
// @ts-expect-error: labels are a tensor
tl.crossEntropy(x, [0, 1]);
// @ts-expect-error: it is labelSmoothing
tl.crossEntropy(x, labels, { label_smoothing: 0.1 });
// @ts-expect-error: weights are a tensor
tl.crossEntropy(x, labels, { weight: [1, 2, 3] });
// @ts-expect-error: the number of outputs is missing
new tl.nn.Linear(3);
// @ts-expect-error: sizes are numbers
new tl.nn.Linear('3', 2);
// @ts-expect-error: bias belongs into an object
new tl.nn.Linear(3, 2, false);
// @ts-expect-error: no such option
new tl.nn.Linear(3, 2, { useBias: false });
// @ts-expect-error: modules, not their classes
new tl.nn.Sequential(tl.nn.ReLU);
// @ts-expect-error: modules, not functions
new tl.nn.Sequential(tl.relu);
// @ts-expect-error: modules, not a list
new tl.nn.Sequential([new tl.nn.ReLU()]);
// @ts-expect-error: a probability is a number
new tl.nn.Dropout('0.5');
// @ts-expect-error: a tensor goes in
model.forward(3);
// @ts-expect-error: a module is no function
model(x);
// @ts-expect-error: the optimizer is missing
model.compile({ loss: tl.mseLoss });
// @ts-expect-error: a loss is a function
model.compile({ optimizer: sgd, loss: 'mse' });
// @ts-expect-error: no such metric
model.compile({ optimizer: sgd, loss: tl.mseLoss, metrics: ['acc'] });
// @ts-expect-error: it is batchSize
await model.fit(x, labels, { batch_size: 2 });
// @ts-expect-error: it is awaited
model.fit(x, labels).history;
// @ts-expect-error: no such nonlinearity
tl.nn.init.calculateGain('gelu');

// Optimizers and data
// @ts-expect-error: parameters are missing
new SGD();
// @ts-expect-error: the parameters, not the module
new SGD(model, { lr: 0.1 });
// @ts-expect-error: it is lr
new SGD(model.parameters(), { learningRate: 0.1 });
// @ts-expect-error: the rate belongs into an object
new SGD(model.parameters(), 0.1);
// @ts-expect-error: a rate is a number
new Adam(model.parameters(), { lr: '0.1' });
// @ts-expect-error: two betas
new Adam(model.parameters(), { betas: [0.9] });
// @ts-expect-error: an option of SGD
new RMSprop(model.parameters(), { nesterov: true });
// @ts-expect-error: an option of Adam
new SGD([{ params: model.parameters(), amsgrad: true }], { lr: 0.1 });
// @ts-expect-error: a loss is a tensor
sgd.minimize(() => 3);
// @ts-expect-error: a step cannot await
sgd.minimize(async () => x.sum());
// @ts-expect-error: a function, not its result
sgd.minimize(x.sum());
// @ts-expect-error: the size of a step is missing
new StepLR(sgd, {});
// @ts-expect-error: an optimizer comes first
new StepLR(model, { stepSize: 3 });
// @ts-expect-error: a function gives a number
new LambdaLR(sgd, () => '0.1');
// @ts-expect-error: targets are missing
new tl.data.TensorDataset(x);
// @ts-expect-error: a dataset, not a tensor
new tl.data.DataLoader(x, { batchSize: 2 });
// @ts-expect-error: it is batchSize
new tl.data.DataLoader(set, { batch: 2 });
// @ts-expect-error: batches are asynchronous
for (const batch of new tl.data.DataLoader(set)) console.log(batch);
// @ts-expect-error: labels are numbers
tl.data.oneHot(['cat', 'dog']);

// What is right must compile, too.
export const right: tl.Tensor[] = [
  tl.tidy(() => x.add(1)),
  tl.tidy(() => ({ a: x.mul(2), n: 3 })).a,
  tl.noGrad(() => x.neg()),
  tl.scope().run(() => [x.add(1)])[0] as tl.Tensor,
  x.max({ dim: 1, keepDim: true }).values,
  tl.where(x.gt(0), x, 0),
  await x.to(device),
];
tl.tidy(() => {
  x.add(1);
});
export const never = (): never =>
  tl.tidy((): never => {
    throw new Error('as it is');
  });
export const unknown: unknown = tl.tidy((): unknown => x);
export const integers: Int32Array = await labels.data<'int32'>();
export const pixels: Uint8Array = await tl.tensor(new Uint8Array(4)).data<'uint8'>();
export const weights: Int8Array = await tl.zeros([2], { dtype: 'int8' }).data<'int8'>();
export const range: { buffer: GPUBuffer; offset: number; size: number } = await x.gpuBuffer();
export const shared: tl.Tensor = tl.fromGPUBuffer(range.buffer, { shape: [2], dtype: 'uint8' });
export const floats: Float32Array = await x.data();
export const one: number = await x.sum().item();
