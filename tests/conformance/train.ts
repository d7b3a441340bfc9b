// The cases of the `train` group: whole runs, described layer by layer, built from functions and optimizers of the library.
import { construct, type Device, Missing, op, type Tensor, tl } from './api.ts';
import {
  camel,
  type DataTensor,
  decode,
  type ExpectedTensor,
  elements,
  expectNumber,
  expectTensor,
  type InputTensor,
  type JsonNumber,
} from './cases.ts';

type Layer = { layer: string; name?: string } & Readonly<Record<string, unknown>>;
type Named = Readonly<Record<string, unknown>> & { name: string };
type Transform = 'none' | 'standardize' | { scale: number };
type Batches = { kind: 'full' | 'rows' | 'windows'; batch_size: number; length: number; stride: number };

export interface TrainCase {
  name: string;
  op: 'train';
  config: {
    model: Layer[];
    loss: string;
    optimizer: Named;
    steps: number;
    batches: Batches;
    prediction_rows: number;
    polynomial_degree?: number;
    l2?: number;
    clip_grad_norm?: number;
    scheduler?: Named;
  };
  data: {
    x?: DataTensor;
    y?: DataTensor;
    dataset?: string;
    x_transform?: Transform;
    y_transform?: Transform;
    text?: string;
    vocabulary?: string;
  };
  init: Record<string, InputTensor>;
  losses: JsonNumber[];
  final: Record<string, ExpectedTensor>;
  buffers?: Record<string, DataTensor>;
  predictions: ExpectedTensor;
  accuracy?: number;
  accuracy_atol?: number;
  rtol: number;
  atol: number;
  prediction_rtol: number;
  prediction_atol: number;
  loss_rtol: number;
  loss_atol: number;
}

/** Gives the text of a data set's CSV file. */
export type ReadDataset = (name: string) => Promise<string>;

/** Rows of numbers on the host, from which batches are made. */
interface Rows {
  readonly values: Float32Array | Int32Array;
  readonly shape: readonly number[];
}

type Tensors = Readonly<Record<string, Tensor>>;

const make = ({ values, shape }: Rows, device: Device): Tensor => tl.tensor(values, { shape, device });

/** The rows at the given places. */
function pick({ values, shape }: Rows, places: readonly number[]): Rows {
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  const out =
    values instanceof Int32Array ? new Int32Array(places.length * width) : new Float32Array(places.length * width);
  for (const [i, p] of places.entries()) out.set(values.subarray(p * width, (p + 1) * width), i * width);
  return { values: out, shape: [places.length, ...shape.slice(1)] };
}

/** The transforms of the format's description: in doubles, then rounded. */
function transformed(columns: readonly number[][], how: Transform): Float32Array[] {
  return columns.map((column) => {
    if (how === 'none') return Float32Array.from(column);
    if (how !== 'standardize') return Float32Array.from(column, (v) => v * how.scale);
    const mean = column.reduce((a, b) => a + b, 0) / column.length;
    const deviation = Math.sqrt(column.reduce((a, b) => a + (b - mean) ** 2, 0) / column.length) || 1;
    return Float32Array.from(column, (v) => (v - mean) / deviation);
  });
}

const interleave = (columns: readonly Float32Array[]): Float32Array =>
  Float32Array.from(
    { length: columns.length * columns[0]!.length },
    (_, i) => columns[i % columns.length]![Math.floor(i / columns.length)]!,
  );

async function dataOf({ data, config }: TrainCase, read: ReadDataset | undefined): Promise<{ x: Rows; y: Rows }> {
  const classes = config.loss === 'cross_entropy';
  const labels = (v: Float32Array): Float32Array | Int32Array => (classes ? Int32Array.from(v) : v);
  if (data.text !== undefined) {
    const characters = Int32Array.from(data.text, (c) => data.vocabulary!.indexOf(c));
    const rows = { values: characters, shape: [characters.length] };
    return { x: rows, y: rows };
  }
  if (data.dataset !== undefined) {
    if (!read) throw new Missing('data sets');
    const lines = (await read(data.dataset)).trim().split(/\r?\n/).slice(1);
    const table = lines.map((line) => line.split(',').map(Number));
    const columns = table[0]!.map((_, d) => table.map((row) => row[d]!));
    const [target] = transformed(columns.slice(-1), data.y_transform ?? 'none') as [Float32Array];
    const inputs = transformed(columns.slice(0, -1), data.x_transform ?? 'none');
    return {
      x: { values: interleave(inputs), shape: [table.length, inputs.length] },
      y: { values: labels(target), shape: [table.length] },
    };
  }
  let x: Rows = { values: elements(data.x!), shape: data.x!.shape };
  const degree = config.polynomial_degree;
  if (degree !== undefined) {
    const powers = Array.from({ length: degree }, (_, k) => Float32Array.from(x.values, (v) => v ** (k + 1)));
    x = { values: interleave(powers), shape: [x.values.length, degree] };
  }
  return { x, y: { values: labels(elements(data.y!) as Float32Array), shape: data.y!.shape } };
}

function batchOf(step: number, x: Rows, y: Rows, how: Batches): { x: Rows; y: Rows } {
  if (how.kind === 'full') return { x, y };
  const n = x.shape[0]!;
  const places = Array.from({ length: how.batch_size }, (_, i) => (step * how.batch_size + i) * how.stride);
  if (how.kind === 'rows') {
    const rows = places.map((p) => p % n);
    return { x: pick(x, rows), y: pick(y, rows) };
  }
  const window = (shift: number): Rows => {
    const all = places.flatMap((p) => Array.from({ length: how.length }, (_, i) => (p % (n - how.length)) + i + shift));
    return { values: pick(x, all).values, shape: [how.batch_size, how.length] };
  };
  return { x: window(0), y: window(1) };
}

/** Pre-norm transformer block with causal self-attention. */
function block(x: Tensor, p: Tensors, { dim, heads }: { dim: number; heads: number }): Tensor {
  const [b, t] = x.shape as readonly [number, number];
  const norm = (v: Tensor, name: string): Tensor =>
    op('layerNorm', v, [dim], { weight: p[`${name}.weight`], bias: p[`${name}.bias`], eps: 1e-5 });
  const h = norm(x, 'ln1');
  const [q, k, v] = p
    .in_proj_weight!.chunk(3)
    .map((w) => op('linear', h, w).reshape([b, t, heads, -1]).transpose(1, 2));
  const a = op('scaledDotProductAttention', q, k, v, { isCausal: true }).transpose(1, 2).reshape([b, t, dim]);
  const y = x.add(op('linear', a, p['out_proj.weight'], p['out_proj.bias']));
  const inner = op('linear', norm(y, 'ln2'), p['fc1.weight'], p['fc1.bias']).gelu();
  return y.add(op('linear', inner, p['fc2.weight'], p['fc2.bias']));
}

/** All outputs of a recurrent layer, batch first, with the given parameters in place of its own. */
function recurrent(kind: 'lstm' | 'gru', x: Tensor, p: Tensors): Tensor {
  const [inputSize, hiddenSize] = [x.shape[2]!, p.weight_hh_l0!.shape[1]!];
  const Layer = kind === 'lstm' ? tl.nn.LSTM : tl.nn.GRU;
  const layer = new Layer(inputSize, hiddenSize, { batchFirst: true });
  layer.dispose();
  for (const [name, value] of Object.entries(p)) Object.defineProperty(layer, name, { value, enumerable: true });
  return layer.forward(x)[0];
}

/** Applies one layer; activations go by their names. */
function apply(x: Tensor, layer: Layer, p: Tensors, buffers: Tensors, training: boolean): Tensor {
  const { layer: kind, name, ...rest } = layer;
  const { kernel, in: _in, out: _out, bias: _bias, features, ...options } = rest as Record<string, unknown>;
  switch (kind) {
    case 'linear':
      return op('linear', x, p.weight, p.bias);
    case 'conv2d':
      return op('conv2d', x, p.weight, p.bias, options);
    case 'batch_norm':
      return op('batchNorm', x, buffers[`${name}.running_mean`], buffers[`${name}.running_var`], {
        ...p,
        ...options,
        training,
      });
    case 'layer_norm':
      return op('layerNorm', x, [features], { ...p, ...options });
    case 'max_pool2d':
    case 'avg_pool2d':
      return op(camel(kind), x, kernel, options);
    case 'lstm':
    case 'gru':
      return recurrent(kind, x, p);
    case 'last_step':
      return x.select(1, -1);
    case 'embedding':
      return op('embedding', x, p.weight);
    case 'position_embedding':
      return x.add(p.weight!.slice(0, 0, x.shape[1]!));
    case 'transformer_block':
      return block(x, p, options as { dim: number; heads: number });
    case 'reshape':
      return x.reshape([x.shape[0]!, ...(options.shape as number[])]);
    case 'squeeze':
      return x.squeeze(-1);
    default:
      return op(camel(kind), x);
  }
}

function forward(c: TrainCase, params: Tensors, buffers: Tensors, x: Tensor, training: boolean): Tensor {
  return c.config.model.reduce((value, layer) => {
    const prefix = `${layer.name}.`;
    const own = Object.entries(params).filter(([name]) => name.startsWith(prefix));
    const p = Object.fromEntries(own.map(([name, t]) => [name.slice(prefix.length), t]));
    return apply(value, layer, p, buffers, training);
  }, x);
}

function objective({ config }: TrainCase, params: Tensors, out: Tensor, target: Tensor): Tensor {
  const classes = config.loss === 'cross_entropy';
  const prediction = classes ? out.reshape([-1, out.shape[out.ndim - 1]!]) : out;
  let loss = op(camel(config.loss), prediction, classes ? target.reshape([-1]) : target);
  if (config.l2) {
    for (const [name, p] of Object.entries(params))
      if (name.endsWith('weight')) loss = loss.add(p.square().sum().mul(config.l2));
  }
  return loss;
}

interface Optimizer extends Disposable {
  minimize(fn: () => Tensor): Tensor;
  zeroGrad(): void;
  step(): void;
}

const optionsOf = ({ name: _name, ...options }: Named): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).map(([k, v]) => [camel(k.replace(/^T_/, 't_')), decode(v)]));

/** Trains, and compares every loss, the final parameters and buffers, the predictions and the accuracy. */
export async function runTraining(c: TrainCase, device: Device, read?: ReadDataset): Promise<void> {
  const { config } = c;
  const { x, y } = await dataOf(c, read);
  using scope = tl.scope();
  const params: Tensors = Object.fromEntries(
    Object.entries(c.init).map(([name, t]) => [
      name,
      scope.track(tl.tensor(elements(t), { shape: t.shape, device, requiresGrad: true })),
    ]),
  );
  const buffers: Tensors = Object.fromEntries(
    Object.entries(c.buffers ?? {}).map(([name, t]) => [
      name,
      scope.track(tl.full(t.shape, name.endsWith('var') ? 1 : 0, { device })),
    ]),
  );
  using optimizer = construct(
    `optim.${config.optimizer.name}`,
    Object.values(params),
    optionsOf(config.optimizer),
  ) as unknown as Optimizer;
  const scheduler = config.scheduler
    ? (construct(`optim.${config.scheduler.name}`, optimizer, optionsOf(config.scheduler)) as { step?: () => void })
    : undefined;

  const losses: Tensor[] = [];
  for (let step = 0; step < config.steps; step++) {
    const batch = batchOf(step, x, y, config.batches);
    const lossOf = (): Tensor =>
      objective(c, params, forward(c, params, buffers, make(batch.x, device), true), make(batch.y, device));
    const limit = config.clip_grad_norm;
    const loss =
      limit === undefined
        ? tl.keep(optimizer.minimize(lossOf))
        : tl.tidy(() => {
            optimizer.zeroGrad();
            const value = lossOf();
            value.backward();
            op('nn.utils.clipGradNorm|clipGradNorm', Object.values(params), limit);
            optimizer.step();
            return tl.detach(value);
          });
    losses.push(scope.track(loss));
    scheduler?.step?.();
  }

  for (const [step, loss] of losses.entries()) {
    const tolerance = { rtol: c.loss_rtol, atol: c.loss_atol };
    expectNumber(
      `loss of step ${step + 1}`,
      await loss.item(),
      Math.fround(decode(c.losses[step]) as number),
      tolerance,
    );
  }
  for (const [name, want] of Object.entries(c.final)) await expectTensor(name, params[name], want, c);
  for (const [name, want] of Object.entries(c.buffers ?? {})) await expectTensor(name, buffers[name], want, c);

  const result = scope.run(() =>
    tl.noGrad(() => {
      if (config.batches.kind === 'windows') {
        const length = config.batches.length;
        const first = make({ values: x.values.subarray(0, length), shape: [1, length] }, device);
        return { predictions: forward(c, params, buffers, first, false).select(0, 0), right: null };
      }
      const out = forward(c, params, buffers, make(x, device), false);
      const target = make(y, device);
      const classes = config.loss === 'cross_entropy';
      const right = classes ? out.argmax({ dim: -1 }).eq(target) : out.gt(0).eq(target.gt(0.5));
      return {
        predictions: out.slice(0, 0, config.prediction_rows),
        right: c.accuracy === undefined ? null : right.cast('float32').mean(),
      };
    }),
  );
  const tolerance = { rtol: c.prediction_rtol, atol: c.prediction_atol };
  await expectTensor('predictions', result.predictions, c.predictions, tolerance);
  if (result.right)
    expectNumber('accuracy', await result.right.item(), c.accuracy!, { rtol: 0, atol: c.accuracy_atol ?? 0 });
}
