// Which function of the library computes a case: torch's names and arguments on the left, ours on the right.
import { call, construct, find, Missing, type Tensor } from './api.ts';
import { camel } from './cases.ts';
import { programs } from './programs.ts';

/** What a case brings: its tensors after their views, and its decoded arguments, under torch's names. */
export interface Given {
  readonly inputs: Readonly<Record<string, Tensor | Tensor[]>>;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * A call such as `'sum(input)'`: the named arguments in this order, everything else that the case brings in an options object
 * under camelCase names. Without a name before the parenthesis it is the op's in camelCase; `a|b` means whichever there is,
 * of functions and of arguments; `...a` spreads a list. Or a function, for what is not that simple.
 */
export type Entry = string | ((given: Given) => unknown);

const RENAMED: Readonly<Record<string, string>> = { keepdim: 'keepDim' };

function evaluate(op: string, pattern: string, { inputs, args }: Given): unknown {
  const match = /^([\w.|]*)\((.*)\)$/.exec(pattern);
  if (!match) throw new Error(`bad entry for ${op}: ${pattern}`);
  const values: Readonly<Record<string, unknown>> = { ...args, ...inputs };
  const used = new Set<string>();
  const positional: unknown[] = [];
  for (const place of match[2]!.split(',').map((s) => s.trim())) {
    const spread = place.startsWith('...');
    const names = (spread ? place.slice(3) : place).split('|');
    for (const name of names) used.add(name);
    const value = values[names.find((name) => name in values) ?? ''];
    if (spread) positional.push(...(value as unknown[]));
    else positional.push(value);
  }
  const options = Object.entries(values).filter(([name]) => !used.has(name) && name !== 'views');
  if (options.length > 0)
    positional.push(Object.fromEntries(options.map(([name, v]) => [RENAMED[name] ?? camel(name), v])));
  else while (positional.length > 0 && positional[positional.length - 1] === undefined) positional.pop();
  return call(match[1] || camel(op), ...positional);
}

/** `unbiased` is a correction of 1 or 0. */
const variance =
  (names: string): Entry =>
  ({ inputs: { input }, args: { unbiased, dim, keepdim } }) =>
    call(names, input, {
      ...(dim === undefined ? {} : { dim }),
      ...(keepdim === undefined ? {} : { keepDim: keepdim }),
      correction: unbiased === false ? 0 : 1,
    });

/** A layer with the weights of the case in place of its parameters. */
const recurrent =
  (name: string, fixed: Readonly<Record<string, unknown>> = {}): Entry =>
  ({ inputs, args }) => {
    const { input, h_0, c_0, ...weights } = inputs as Readonly<Record<string, Tensor>>;
    const hiddenSize = weights.weight_hh_l0!.shape[1]!;
    const options = Object.fromEntries(Object.entries({ ...args, ...fixed }).map(([k, v]) => [camel(k), v]));
    const layer = construct(name, input!.shape.at(-1), hiddenSize, options) as unknown as {
      stateDict(): Record<string, Tensor>;
      forward(...inputs: unknown[]): [Tensor, Tensor | [Tensor, Tensor]];
    };
    const parameters = layer.stateDict();
    if (Object.keys(parameters).join() !== Object.keys(weights).join())
      throw new Error(`${name} has ${Object.keys(parameters)}, the case ${Object.keys(weights)}`);
    for (const [key, parameter] of Object.entries(parameters)) {
      parameter.dispose();
      Object.defineProperty(layer, key, { value: weights[key], enumerable: true });
    }
    const [output, state] = layer.forward(input, c_0 ? [h_0, c_0] : h_0);
    const [h_n, c_n] = Array.isArray(state) ? state : [state];
    return c_n ? { output, h_n, c_n } : { output, h_n };
  };

const unary = '(input)';
const binary = '(input, other)';
const loss = '(input, target)';
const pool = '(input, kernel_size)';
const convolution = '(input, weight, bias)';

const groups: readonly Readonly<Record<string, Entry>>[] = [
  // unary
  Object.fromEntries(
    (
      'abs acos asin atan ceil celu clamp cos cosh elu erf exp expm1 floor gelu hardsigmoid hardswish hardtanh isfinite isinf ' +
      'isnan leaky_relu log log1p log2 log10 logical_not mish neg reciprocal relu relu6 round rsqrt selu sigmoid sign silu sin ' +
      'sinh softplus softsign sqrt square tan tanh trunc bitwise_not'
    )
      .split(' ')
      .map((op) => [op, unary]),
  ),
  {
    logsigmoid: 'logSigmoid(input)',
    to: 'cast(input, dtype)',
  },
  // binary
  Object.fromEntries(
    (
      'add atan2 div eq fmod ge gt le logical_and logical_or logical_xor lt maximum minimum mul ne remainder sub ' +
      'bitwise_and bitwise_or bitwise_xor'
    )
      .split(' ')
      .map((op) => [op, binary]),
  ),
  {
    pow: '(input, exponent)',
    where: '(condition, input, other)',
    lerp: '(input, end, weight)',
  },
  // reductions
  Object.fromEntries(
    'all amax amin any argmax argmin logsumexp max mean min norm prod sum'.split(' ').map((op) => [op, unary]),
  ),
  {
    var: variance('var|variance'),
    std: variance('std'),
    cumsum: '(input, dim)',
    cumprod: '(input, dim)',
  },
  // shape
  {
    reshape: '(input, shape)',
    transpose: '(input, dim0, dim1)',
    permute: '(input, dims)',
    squeeze: '(input, dim)',
    unsqueeze: '(input, dim)',
    flatten: '(input, start_dim, end_dim)',
    expand: '(input, size)',
    slice: '(input, dim, start, end, step)',
    select: '(input, dim, index)',
    narrow: '(input, dim, start, length)',
    flip: '(input, dims)',
    roll: '(input, shifts, dims)',
    repeat: '(input, repeats)',
    tile: '(input, dims)',
    repeat_interleave: '(input, repeats)',
    tril: '(input, diagonal)',
    triu: '(input, diagonal)',
    diag: '(input, diagonal)',
    diagonal: '(input, offset, dim1, dim2)',
    movedim: '(input, source, destination)',
    'Tensor.unfold': 'unfold(input, dimension, size, step)',
    // Constant is the mode of a call that names none.
    pad: ({ inputs: { input }, args: { pad, mode, views: _, ...options } }) =>
      call('pad', input, pad, mode === 'constant' ? options : { mode, ...options }),
    cat: '(tensors, dim)',
    stack: '(tensors, dim)',
    split: '(tensor, split_size_or_sections, dim)',
    chunk: '(input, chunks, dim)',
    unbind: '(input, dim)',
    meshgrid: '(tensors)',
    gather: '(input, dim, index)',
    scatter_add: '(input, dim, index, src)',
    scatter: '(input, dim, index, src|value)',
    index_select: '(input, dim, index)',
    masked_fill: '(input, mask, value)',
    masked_select: '(input, mask)',
    take_along_dim: '(input, indices, dim)',
    one_hot: '(tensor, num_classes)',
    nonzero: '(input)',
    sort: '(input)',
    argsort: '(input)',
    topk: '(input, k)',
    arange: ({ args: { start, end, step, ...options } }) =>
      call('arange', ...[start, end, step].filter((x) => x !== undefined), ...(options.dtype ? [options] : [])),
    linspace: '(start, end, steps)',
    eye: '(n, m)',
    full: '(size, fill_value)',
  },
  // linalg
  {
    matmul: '(input, other)',
    bmm: '(input, mat2)',
    dot: '(input, tensor)',
    outer: '(input, vec2)',
    einsum: '(equation, ...operands)',
    linear: '(input, weight, bias)',
    addmm: '(input, mat1, mat2)',
    'linalg.solve': 'solve(A, B)',
    inverse: 'inverse|inv(input)',
    det: '(input)',
    'linalg.cholesky': 'cholesky(A)',
    'linalg.norm': 'linalg.norm(A)',
    'linalg.lstsq': ({ inputs: { A, B } }) => ({ solution: call('lstsq', A, B) }),
    ridge: '(A, B, alpha)',
    trace: '(input)',
  },
  // nn_conv_pool
  {
    conv1d: convolution,
    conv2d: convolution,
    conv3d: convolution,
    conv_transpose1d: convolution,
    conv_transpose2d: convolution,
    max_pool1d: pool,
    max_pool2d: pool,
    avg_pool1d: pool,
    avg_pool2d: pool,
    adaptive_avg_pool2d: '(input, output_size)',
    interpolate: '(input)',
    unfold: 'nn.functional.unfold(input, kernel_size)',
    fold: 'nn.functional.fold(input, output_size, kernel_size)',
    pixel_shuffle: '(input, upscale_factor)',
  },
  // nn_norm_attention
  {
    softmax: '(input, dim)',
    log_softmax: '(input, dim)',
    layer_norm: '(input, normalized_shape)',
    rms_norm: '(input, normalized_shape)',
    group_norm: '(input, num_groups)',
    instance_norm: '(input)',
    batch_norm: ({ inputs: { input, running_mean, running_var, ...affine }, args }) => {
      const output = call('batchNorm', input, running_mean, running_var, { ...affine, ...args });
      return args.training && running_mean ? { output, running_mean, running_var } : output;
    },
    normalize: '(input)',
    cosine_similarity: '(x1, x2)',
    scaled_dot_product_attention: '(query, key, value)',
    multi_head_attention_forward: '(query, key, value)',
    embedding: '(input, weight)',
  },
  // losses
  Object.fromEntries(
    (
      'mse_loss l1_loss smooth_l1_loss huber_loss poisson_nll_loss binary_cross_entropy binary_cross_entropy_with_logits ' +
      'cross_entropy nll_loss kl_div hinge_embedding_loss multi_margin_loss'
    )
      .split(' ')
      .map((op) => [op, loss]),
  ),
  {
    gaussian_nll_loss: '(input, target, var)',
    margin_ranking_loss: '(input1, input2, target)',
    cosine_embedding_loss: '(input1, input2, target)',
    triplet_margin_loss: '(anchor, positive, negative)',
  },
  // rnn
  {
    rnn_tanh: recurrent('nn.RNN'),
    rnn_relu: recurrent('nn.RNN', { nonlinearity: 'relu' }),
    lstm: recurrent('nn.LSTM'),
    gru: recurrent('nn.GRU'),
  },
  // autograd
  programs,
];

const table: Readonly<Record<string, Entry>> = Object.assign({}, ...groups);

/** Ops whose shape depends on data, or may: they give promises. */
export const asynchronous: ReadonlySet<string> = new Set(['masked_select', 'nonzero', 'one_hot']);

/** Computes a case's op. Throws Missing where the library lacks it. */
export function compute(op: string, given: Given): unknown {
  const entry = table[op];
  if (entry === undefined) throw new Missing(op);
  return typeof entry === 'string' ? evaluate(op, entry, given) : entry(given);
}

const VIEWS: Readonly<Record<string, (x: Tensor, v: unknown) => unknown>> = {
  slice: (x, v) => {
    const { dim, start, end, step } = v as Record<string, number>;
    return call('slice', x, dim, start, end, step);
  },
  select: (x, v) => {
    const { dim, index } = v as Record<string, number>;
    return call('select', x, dim, index);
  },
  transpose: (x, v) => call('transpose', x, ...(v as number[])),
  diagonal: (x, v) => call('diagonal', x, ...(v as number[])),
};

/** One step of a case's views. */
export function view(x: Tensor, step: Readonly<Record<string, unknown>>): Tensor {
  const [[name, value]] = Object.entries(step) as [[string, unknown]];
  return (VIEWS[name] ? VIEWS[name](x, value) : find(name)(x, value)) as Tensor;
}
