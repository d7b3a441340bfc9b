import { type DType, isFloating } from '../core/dtype.ts';
import { DTypeError, ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, sameShape, showShape } from '../core/shape.ts';
import { template, templates } from '../engine/node.ts';
import * as s from '../ir/expr.ts';
import type { GradientRule } from '../tensor/tape.ts';
import { gradEnabled, withGrad } from '../tensor/tape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { arange } from './creation.ts';
import {
  add,
  cast,
  clamp,
  div,
  eq,
  exp,
  isfinite,
  log,
  log1p,
  logSigmoid,
  mul,
  ne,
  neg,
  relu,
  square,
  sub,
} from './elementwise.ts';
import { where } from './functions.ts';
import { gather, indexSelect } from './gather.ts';
import { checkNumber, type LossOptions, type LossReduction, lossOf, reduceLoss, sameShapes } from './losses.ts';
import {
  checkFlag,
  checkOptions,
  checkTensor,
  compose,
  currentOp,
  describe,
  deviceOf,
  produce,
  reading,
  readingAt,
  taped,
} from './record.ts';
import { floats, logSoftmax, logsumexp, softmax } from './reductions.ts';
import { type Drawn, indices, type Samples, sample } from './samples.ts';
import { coordinates, inFloat32, movedim, reshape, squeeze, sum, unsqueeze } from './structure.ts';

/** Options of `binaryCrossEntropy`. */
export interface BinaryCrossEntropyOptions extends LossOptions {
  /** A weight for each element; broadcasts. */
  readonly weight?: Tensor | undefined;
}

/** Options of `binaryCrossEntropyWithLogits`. */
export interface BinaryCrossEntropyWithLogitsOptions extends BinaryCrossEntropyOptions {
  /** A weight for positive examples; broadcasts. */
  readonly posWeight?: Tensor | undefined;
}

type Expr = s.Expr;

const atLeast = (x: Tensor, min: number): Tensor => clamp(x, { min });
const logs = (x: Tensor): readonly [own: Tensor, other: Tensor] => [
  atLeast(log(x), -100),
  atLeast(log1p(neg(x)), -100),
];

const binarySlope: GradientRule = (g, { inputs, needs }) => {
  const [x, target] = inputs as readonly [Tensor, Tensor];
  const [own, other] = needs[1] ? logs(x) : [x, x];
  return [
    needs[0] ? mul(g, div(sub(x, target), atLeast(mul(x, sub(1, x)), 1e-12))) : null,
    needs[1] ? mul(g, sub(other, own)) : null,
  ];
};

/**
 * Binary cross-entropy of probabilities against targets in [0, 1] (`F.binary_cross_entropy`): logarithms are at least -100, and
 * the gradient is finite at 0 and 1, as in PyTorch. Inputs outside [0, 1] give NaN. For logits `binaryCrossEntropyWithLogits` is
 * more accurate.
 *
 * @throws ShapeError when the shapes differ.
 */
export function binaryCrossEntropy(input: Tensor, target: Tensor, options: BinaryCrossEntropyOptions = {}): Tensor {
  const op = 'binaryCrossEntropy';
  checkOptions(op, options, ['reduction', 'weight']);
  sameShapes(op, input, target);
  const { weight, reduction } = options;
  const given = weight === undefined ? [input, target] : [input, target, weight];
  deviceOf(op, given);
  return lossOf(op, given, reduction, (...inputs) => {
    const [x, y, w] = inputs as [Tensor, Tensor, Tensor?];
    const out = compose(op, () =>
      withGrad(false, () => {
        const [own, other] = logs(x);
        return neg(add(mul(y, own), mul(sub(1, y), other)));
      }),
    );
    const loss = taped(op, { gradient: binarySlope, saves: 'inputs' }, [x, y], out);
    return w ? mul(loss, w) : loss;
  });
}

/**
 * Binary cross-entropy of logits against targets in [0, 1], stable for logits of any size (`F.binary_cross_entropy_with_logits`).
 *
 * @throws ShapeError when the shapes differ.
 */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyWithLogitsOptions = {},
): Tensor {
  const op = 'binaryCrossEntropyWithLogits';
  checkOptions(op, options, ['reduction', 'weight', 'posWeight']);
  sameShapes(op, input, target);
  const { weight, posWeight, reduction } = options;
  const weights = [weight, posWeight].filter((w) => w !== undefined);
  deviceOf(op, [input, ...weights]);
  return lossOf(op, [input, target, ...weights], reduction, (...inputs) => {
    const [x, y, ...rest] = inputs as [Tensor, Tensor, ...Tensor[]];
    const softplus = neg(logSigmoid(x));
    const positive = posWeight ? add(mul(sub(rest.at(-1) as Tensor, 1), y), 1) : null;
    const loss = add(mul(sub(1, y), x), positive ? mul(positive, softplus) : softplus);
    return weight ? mul(loss, rest[0] as Tensor) : loss;
  });
}

/** Options of losses of class labels. */
export interface LabelOptions extends LossOptions {
  /** A weight for each class. */
  readonly weight?: Tensor | undefined;
  /** A label that does not count; -100 unless given. */
  readonly ignoreIndex?: number | undefined;
}

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions extends LabelOptions {
  /** The share of each target spread over all classes. */
  readonly labelSmoothing?: number | undefined;
}

/** Checks that scores [N, C], [C] or [N, C, d1, …] and a weight for each class are so; gives the shape of labels. */
function labelShape(op: string, what: string, input: Tensor, weight: Tensor | undefined): Shape {
  if (input.ndim === 0) throw new ShapeError(`${op}: the ${what} are a scalar; they need a dim of classes`);
  const classDim = input.ndim === 1 ? 0 : 1;
  const classes = input.shape[classDim]!;
  if (weight !== undefined) {
    checkTensor(op, weight);
    if (!sameShape(weight.shape, [classes]))
      throw new ShapeError(
        `${op}: a weight of shape ${showShape(weight.shape)} does not fit ${classes} classes; give one number for each, of shape [${classes}]`,
      );
  }
  return input.shape.filter((_, d) => d !== classDim);
}

/** Checks labels of classes. */
function checkLabels(op: string, what: string, input: Tensor, target: Tensor, shape: Shape, orElse = ''): void {
  if (isFloating(target.dtype) || target.dtype === 'bool')
    throw new DTypeError(
      `${op}: labels of shape ${showShape(target.shape)} are ${target.dtype}; give class indices as int32${orElse}`,
    );
  if (!sameShape(target.shape, shape))
    throw new ShapeError(
      `${op}: ${what} ${showShape(input.shape)} need labels of shape ${showShape(shape)}, got ${showShape(target.shape)}`,
    );
}

/** Classes last: one row a label. */
const classesLast = (x: Tensor): Tensor => (x.ndim <= 2 ? x : movedim(x, 1, -1));

/** Labels that count, and what belongs to the class of each. */
interface Labels {
  readonly counts: Tensor;
  /** The scores, classes last, of the labels' classes. */
  own(scores: Tensor): Tensor;
  /** Weights of the labels' classes. */
  readonly share: Tensor | null;
}

function labelsOf(target: Tensor, ignoreIndex: number, weight: Tensor | undefined): Labels {
  const counts = ne(target, ignoreIndex);
  const safe = (): Tensor => cast(where(counts, target, 0), 'int32');
  return {
    counts,
    own: (scores) => squeeze(gather(scores, -1, unsqueeze(safe(), -1)), -1),
    share: weight ? reshape(indexSelect(weight, 0, reshape(safe(), [-1])), target.shape) : null,
  };
}

/** The losses of labels as one, with 0 for what does not count; the mean is weighted. */
function reduceLabels(
  op: string,
  counted: Tensor,
  { counts, share }: Labels,
  reduction: LossReduction = 'mean',
): Tensor {
  if (reduction !== 'mean') return reduceLoss(op, counted, reduction);
  return div(sum(counted), sum(share ? where(counts, share, 0) : cast(counts, 'float32')));
}

/** Where the logarithm of a sum is infinite, no element has a direction to move in. */
const finite = (x: Expr): Expr => s.select(isfinite.record.lower(x), x, 0);

/** The label of a row, and whether it differs from the scalar of a slot: whether it counts. */
const labelOf = (dtype: DType): Expr => s.cast(s.wide(s.load(1, dtype)), 'int32');
const counting = (label: Expr, slot: number): Expr => s.ne(label, s.uniform(slot, 'int32'));

const lossTemplate = /* @__PURE__ */ templates((labels: DType, rank: number) => {
  const label = labelOf(labels);
  const counts = counting(label, 1);
  const safe = s.select(counts, label, s.constant(0, 'int32'));
  const own = s.loadAt(0, 'float32', coordinates(rank, rank - 1, safe));
  return template('map', s.select(counts, s.sub(s.load(2, 'float32'), own), 0), ['int32', 'int32']);
});
const slopeTemplate = /* @__PURE__ */ templates((labels: DType, rank: number) => {
  const label = labelOf(labels);
  const share = s.exp(s.sub(s.load(0, 'float32'), finite(s.load(2, 'float32'))));
  const slope = s.sub(share, s.cast(s.eq(label, s.index(rank - 1)), 'float32'));
  return template('map', s.select(counting(label, 0), s.mul(s.load(3, 'float32'), slope), 0), ['int32']);
});

/**
 * For each row, the logarithm of the sum of its exponentials minus the score of its label; 0 where the label does not count. Written out,
 * and so is its gradient, for this is what most training steps end with.
 */
function rowLosses(x: Tensor, target: Tensor, total: Tensor, ignoreIndex: number): Tensor {
  const device = deviceOf('crossEntropy', [x, target, total]);
  const rows = target.shape;
  const out = produce(device, 'crossEntropy', 'float32', rows, {
    template: lossTemplate(target.dtype, x.ndim),
    space: rows,
    inputs: [readingAt(x, 0), reading(target, rows), reading(total, rows)],
    scalars: [device.engine.checkCode(currentOp('crossEntropy')), ignoreIndex],
  });
  const gradient: GradientRule = (g, { inputs }) => {
    const [scores, labels, sums] = inputs as [Tensor, Tensor, Tensor];
    const column = (t: Tensor): Tensor => unsqueeze(t, -1);
    if (gradEnabled()) {
      const counted = ne(labels, ignoreIndex);
      const hit = eq(column(labels), arange(scores.shape.at(-1)!, { dtype: 'int32', device }));
      return [mul(column(where(counted, g, 0)), sub(softmax(scores, -1), cast(hit, 'float32'))), null, null];
    }
    const space = scores.shape;
    const slopes = produce(device, 'crossEntropy', 'float32', space, {
      template: slopeTemplate(target.dtype, space.length),
      space,
      inputs: [reading(scores, space), ...[labels, sums, g].map((t) => reading(column(t), space))],
      scalars: [ignoreIndex],
    });
    return [slopes, null, null];
  };
  return taped('crossEntropy', { gradient, saves: 'inputs' }, [x, target, total], out);
}

function checkIgnored(op: string, ignoreIndex: number): void {
  checkNumber(op, 'ignoreIndex', ignoreIndex, Number.isInteger, 'a whole number');
}

/**
 * The negative log-likelihood of labels: minus the log-probability [N, C], [C] or [N, C, d1, …] of each label's class (int32, of the
 * shape without C), as `F.nll_loss`. `crossEntropy` is `logSoftmax` and this in one.
 *
 * @throws DTypeError when labels are not int32.
 * @throws ShapeError when the shapes do not fit.
 * @throws IndexError at the next await, for a label outside 0 … C-1 that is not `ignoreIndex`.
 * @example
 * ```ts
 * const loss = tl.nn.functional.nllLoss(tl.zeros([2, 10]).logSoftmax(1), tl.tensor([3, 7], { dtype: 'int32' })); // log(10)
 * ```
 */
export function nllLoss(input: Tensor, target: Tensor, options: LabelOptions = {}): Tensor {
  const op = 'nllLoss';
  checkOptions(op, options, ['reduction', 'weight', 'ignoreIndex']);
  const { reduction, ignoreIndex = -100, weight } = options;
  checkTensor(op, input);
  checkTensor(op, target);
  checkIgnored(op, ignoreIndex);
  checkLabels(op, 'log-probabilities', input, target, labelShape(op, 'log-probabilities', input, weight));
  floats(op, input);
  const given = weight ? [input, target, weight] : [input, target];
  deviceOf(op, given);
  return compose(op, () =>
    inFloat32(op, given, (...inputs) => {
      const [x, goal, weights] = inputs as [Tensor, Tensor, Tensor?];
      const labels = labelsOf(goal, ignoreIndex, weights);
      const own = neg(labels.own(classesLast(x)));
      const each = labels.share ? mul(own, labels.share) : own;
      return reduceLabels(op, where(labels.counts, each, 0), labels, reduction);
    }),
  );
}

/**
 * Cross-entropy of logits [N, C], [C] or [N, C, d1, …] against class indices (int32, of the shape without C) or probabilities
 * (floats, of the input's shape), as `F.cross_entropy`.
 *
 * @throws DTypeError when labels are not int32 and have not the input's shape.
 * @throws ShapeError when the shapes do not fit.
 * @throws IndexError at the next await, for a label outside 0 … C-1 that is not `ignoreIndex`.
 * @example
 * ```ts
 * const loss = tl.nn.functional.crossEntropy(tl.zeros([2, 10]), tl.tensor([3, 7], { dtype: 'int32' })); // log(10)
 * ```
 */
export function crossEntropy(input: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const op = 'crossEntropy';
  checkOptions(op, options, ['reduction', 'weight', 'ignoreIndex', 'labelSmoothing']);
  const { reduction = 'mean', labelSmoothing: smoothing = 0, ignoreIndex = -100, weight } = options;
  if (!(smoothing >= 0 && smoothing <= 1))
    throw new UnsupportedError(`${op}: labelSmoothing ${smoothing} must lie in [0, 1]`);
  checkTensor(op, input);
  checkTensor(op, target);
  checkIgnored(op, ignoreIndex);
  const shape = labelShape(op, 'logits', input, weight);
  const probabilities = isFloating(target.dtype) && sameShape(target.shape, input.shape);
  if (!probabilities)
    checkLabels(op, 'logits', input, target, shape, `, or probabilities of shape ${showShape(input.shape)}`);
  else if (ignoreIndex >= 0)
    throw new UnsupportedError(
      `${op}: ignoreIndex ${ignoreIndex} is for labels, but the targets are probabilities; give rows of zeros for what does not count`,
    );
  floats(op, input);
  const given = weight ? [input, target, weight] : [input, target];
  deviceOf(op, given);
  const loss = (...inputs: Tensor[]): Tensor => {
    const [logits, goal, weights] = inputs as [Tensor, Tensor, Tensor?];
    const x = classesLast(logits);
    const classes = x.shape[x.ndim - 1]!;
    if (probabilities) {
      const given = classesLast(goal);
      const wanted = smoothing > 0 ? add(mul(given, 1 - smoothing), smoothing / classes) : given;
      const logp = logSoftmax(x, -1);
      const each = neg(sum(mul(weights ? mul(logp, weights) : logp, wanted), { dim: -1 }));
      return reduction === 'mean' ? div(sum(each), each.size) : reduceLoss(op, each, reduction);
    }
    const labels = labelsOf(goal, ignoreIndex, weights);
    const own = rowLosses(
      x,
      goal,
      withGrad(false, () => logsumexp(x, { dim: -1 })),
      ignoreIndex,
    );
    let each = labels.share ? mul(own, labels.share) : own;
    if (smoothing > 0) {
      const total = logsumexp(x, { dim: -1 });
      const spread = weights
        ? sum(mul(sub(unsqueeze(total, -1), x), weights), { dim: -1 })
        : sub(mul(total, classes), sum(x, { dim: -1 }));
      each = add(mul(each, 1 - smoothing), mul(where(labels.counts, spread, 0), smoothing / classes));
    }
    return reduceLabels(op, each, labels, reduction);
  };
  return compose(op, () => inFloat32(op, given, loss));
}

/** Options of `klDiv`. */
export interface KlDivOptions {
  /** 'mean', over all elements, unless given; 'batchmean', the sum over the number of rows, is the divergence's mathematical mean. */
  readonly reduction?: LossReduction | 'batchmean' | undefined;
  /** The targets are log-probabilities, too; false unless given. */
  readonly logTarget?: boolean | undefined;
}

/**
 * The Kullback-Leibler divergence of targets from log-probabilities: target * (log(target) - input), 0 for targets of 0
 * (`F.kl_div`).
 *
 * @throws ShapeError when the shapes differ.
 * @example
 * ```ts
 * const loss = tl.nn.functional.klDiv(tl.zeros([2, 3]).logSoftmax(1), tl.full([2, 3], 1 / 3), { reduction: 'batchmean' }); // 0
 * ```
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  const op = 'klDiv';
  checkOptions(op, options, ['reduction', 'logTarget']);
  const { reduction, logTarget = false } = options;
  checkFlag(op, 'logTarget', logTarget);
  sameShapes(op, input, target);
  const batch = reduction === 'batchmean';
  const loss = (...inputs: Tensor[]): Tensor => {
    const [x, y] = inputs as [Tensor, Tensor];
    if (logTarget) return mul(exp(y), sub(y, x));
    const none = eq(y, 0);
    return sub(mul(y, log(where(none, 1, y))), mul(y, x));
  };
  return compose(op, () => {
    const out = lossOf(op, [input, target], batch ? 'sum' : reduction, loss);
    return batch && input.ndim > 0 ? div(out, input.shape[0]!) : out;
  });
}

/** Options of `multiMarginLoss`. */
export interface MultiMarginLossOptions extends LossOptions {
  /** 1, unless given, or 2: the power of each violation. */
  readonly p?: 1 | 2 | undefined;
  /** By how much the label's score should exceed the others; 1 unless given. */
  readonly margin?: number | undefined;
  /** A weight for each class. */
  readonly weight?: Tensor | undefined;
}

/**
 * The hinge loss of several classes: the mean over the classes, the label's apart, of max(0, margin - own + other)^p, for scores
 * [N, C] or [C] and labels [N] or [] (int32), as `F.multi_margin_loss`.
 *
 * @throws DTypeError when labels are not int32.
 * @throws ShapeError when the shapes do not fit.
 * @throws UnsupportedError unless p is 1 or 2.
 * @throws IndexError at the next await, for a label outside 0 … C-1.
 */
export function multiMarginLoss(input: Tensor, target: Tensor, options: MultiMarginLossOptions = {}): Tensor {
  const op = 'multiMarginLoss';
  checkOptions(op, options, ['reduction', 'p', 'margin', 'weight']);
  const { reduction, p = 1, margin = 1, weight } = options;
  if (p !== 1 && p !== 2) throw new UnsupportedError(`${op}: p is ${describe(p)}, but it must be 1 or 2`);
  checkNumber(op, 'margin', margin);
  checkTensor(op, input);
  checkTensor(op, target);
  if (input.ndim > 2)
    throw new ShapeError(`${op}: scores ${showShape(input.shape)} must be of shape [N, C] or [C]; reshape them`);
  checkLabels(op, 'scores', input, target, labelShape(op, 'scores', input, weight));
  floats(op, input);
  const given = weight ? [input, target, weight] : [input, target];
  deviceOf(op, given);
  return lossOf(op, given, reduction, (...inputs) => {
    const [x, goal, weights] = inputs as [Tensor, Tensor, Tensor?];
    const classes = x.shape[x.ndim - 1]!;
    const at = unsqueeze(cast(goal, 'int32'), -1);
    const violation = relu(add(sub(x, gather(x, -1, at)), margin));
    const others = ne(arange(classes, { dtype: 'int32', device: x.device }), at);
    const powered = where(others, p === 2 ? square(violation) : violation, 0);
    const each = div(sum(powered, { dim: -1 }), classes);
    return weights ? mul(each, reshape(indexSelect(weights, 0, reshape(at, [-1])), goal.shape)) : each;
  });
}

const probabilities: Drawn = { shape: [3, 4], range: [0.0625, 0.9375] };
const grid = [2, 4, 3] as const;

/** Calls for the generated tests. */
export const samples = (): Samples => ({
  binaryCrossEntropy: {
    calls: [
      sample([probabilities, probabilities], (x, y) => binaryCrossEntropy(x, y)),
      sample([probabilities, probabilities, [4]], (x, y, weight) =>
        binaryCrossEntropy(x, y, { weight, reduction: 'none' }),
      ),
    ],
  },
  binaryCrossEntropyWithLogits: {
    calls: [
      sample([[3, 4], probabilities], (x, y) => binaryCrossEntropyWithLogits(x, y)),
      sample([[3, 4], probabilities, [3, 1], [4]], (x, y, weight, posWeight) =>
        binaryCrossEntropyWithLogits(x, y, { weight, posWeight, reduction: 'sum' }),
      ),
    ],
  },
  nllLoss: {
    calls: [
      sample([[3, 4], indices([3], 4), { shape: [4], range: [0.25, 2] }], (x, y, weight) =>
        nllLoss(x, y, { weight, ignoreIndex: 2 }),
      ),
      sample([grid, indices([2, 3], 4)], (x, y) => nllLoss(x, y, { reduction: 'none' })),
      sample([[4], indices([], 4)], (x, y) => nllLoss(x, y, { reduction: 'sum' })),
    ],
  },
  crossEntropy: {
    calls: [
      sample([[3, 4], indices([3], 4)], (x, y) => crossEntropy(x, y)),
      sample([grid, indices([2, 3], 4), { shape: [4], range: [0.25, 2] }], (x, y, weight) =>
        crossEntropy(x, y, { weight, ignoreIndex: 1, labelSmoothing: 0.2 }),
      ),
      sample([grid, { shape: grid, range: [0, 1] }], (x, y) => crossEntropy(x, y, { reduction: 'none' })),
      sample([[4], { shape: [4], range: [0, 1] }, [4]], (x, y, weight) =>
        crossEntropy(x, y, { weight, labelSmoothing: 0.1, reduction: 'sum' }),
      ),
    ],
  },
  klDiv: {
    calls: [
      sample([[3, 4], probabilities], (x, y) => klDiv(x, y, { reduction: 'batchmean' })),
      sample(
        [
          [3, 4],
          [3, 4],
        ],
        (x, y) => klDiv(x, y, { logTarget: true, reduction: 'none' }),
      ),
    ],
  },
  multiMarginLoss: {
    calls: [
      sample([{ shape: [3, 4], distinct: true }, indices([3], 4), [4]], (x, y, weight) =>
        multiMarginLoss(x, y, { weight, margin: 0.7 }),
      ),
      sample([{ shape: [5, 3], distinct: true }, indices([5], 3)], (x, y) =>
        multiMarginLoss(x, y, { p: 2, reduction: 'none' }),
      ),
      sample([[4], indices([], 4)], (x, y) => multiMarginLoss(x, y, { p: 2 })),
    ],
  },
});
