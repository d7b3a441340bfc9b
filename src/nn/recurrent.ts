import { ShapeError, UnsupportedError } from '../core/errors.ts';
import { type Shape, sameShape, showShape } from '../core/shape.ts';
import { zeros } from '../ops/creation.ts';
import { add } from '../ops/elementwise.ts';
import { cat, stack } from '../ops/joins.ts';
import { linear, matmul } from '../ops/matmul.ts';
import { checkFlag, checkOptions, compose, describe, deviceOf } from '../ops/record.ts';
import { type CellKind, gatesOf, type Recurrence, type RecurrenceOptions, recurrence } from '../ops/recurrent.ts';
import { floats } from '../ops/reductions.ts';
import { narrow, select, squeeze, transpose, unsqueeze } from '../ops/structure.ts';
import type { Device } from '../tensor/device.ts';
import { internal } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkProbability, dropout } from './functional.ts';
import { uniform_ } from './init.ts';
import { Module, Parameter } from './module.ts';

/** Options of recurrent layers. */
export interface RecurrentOptions {
  /** Layers on top of each other, each of which reads what the one before gave; 1 unless given. */
  readonly numLayers?: number | undefined;
  /** Add learned offsets; true unless given. */
  readonly bias?: boolean | undefined;
  /** Inputs and outputs are [batch, time, features] in place of [time, batch, features]; false unless given. */
  readonly batchFirst?: boolean | undefined;
  /** The probability with which an output between two layers is dropped in training mode; 0 unless given. */
  readonly dropout?: number | undefined;
  /** Go through the sequence in both directions, and give both hidden states side by side; false unless given. */
  readonly bidirectional?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `LSTM`. */
export interface LSTMOptions extends RecurrentOptions {
  /** The size to which a learned matrix projects the hidden state; 0, unless given, for none. Below the hidden size. */
  readonly projSize?: number | undefined;
}

/** The function that a plain recurrent layer applies. */
export type RNNNonlinearity = 'tanh' | 'relu';

/** Options of `RNN`. */
export interface RNNOptions extends RecurrentOptions {
  /** 'tanh' unless given. */
  readonly nonlinearity?: RNNNonlinearity | undefined;
}

const NAMES = ['numLayers', 'bias', 'batchFirst', 'dropout', 'bidirectional', 'device'];

function checkSize(op: string, name: string, n: unknown): void {
  if (!Number.isInteger(n) || (n as number) < 1)
    throw new ShapeError(`${op}: ${name} is ${describe(n)}; it is a whole number of at least 1`);
}

function checkNonlinearity(op: string, nonlinearity: unknown): void {
  if (nonlinearity !== 'tanh' && nonlinearity !== 'relu')
    throw new UnsupportedError(`${op}: nonlinearity is ${describe(nonlinearity)}; use 'tanh' or 'relu'`);
}

function checkState(op: string, name: string, state: Tensor, shape: Shape): void {
  floats(op, state);
  if (!sameShape(state.shape, shape))
    throw new ShapeError(`${op}: ${name} ${showShape(state.shape)} must be ${showShape(shape)}`);
}

/** The pair of states of an LSTM, or none. */
function pairOf(op: string, state: readonly [Tensor, Tensor] | undefined): readonly [Tensor, Tensor] | undefined {
  if (state !== undefined && (!Array.isArray(state) || state.length !== 2))
    throw new UnsupportedError(
      `${op}: the state is ${describe(state)}, but it must be a pair, the hidden and the cell state: [h, c]`,
    );
  return state;
}

/** Parameters, uniform in ±1 / sqrt(hiddenSize). */
function made(shapes: readonly Shape[], hiddenSize: number, device: Device | undefined): Tensor[] {
  const bound = 1 / Math.sqrt(hiddenSize);
  return internal('parameters', () =>
    shapes.map((shape) => uniform_(new Parameter(zeros(shape, device ? { device } : {})), -bound, bound)),
  );
}

/** The shapes of the parameters of a cell, in the order of their names: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`. */
function shapesOf(
  kind: CellKind,
  inputSize: number,
  hiddenSize: number,
  bias: boolean,
  outputSize = hiddenSize,
): Shape[] {
  const rows = gatesOf(kind) * hiddenSize;
  return [[rows, inputSize], [rows, outputSize], ...(bias ? [[rows], [rows]] : [])];
}

/** Parameters of one layer in one direction. */
type Weights = readonly [input: Tensor, hidden: Tensor, inputBias?: Tensor | null, hiddenBias?: Tensor | null];

/**
 * The input of all steps times its matrix, in one product. One bias is that of the product with the hidden state: of a GRU it stays
 * apart, because the reset gate is applied to it.
 */
function projected(kind: CellKind, x: Tensor, [weight, , inputBias, hiddenBias]: Weights): [Tensor, Tensor | null] {
  if (!inputBias || !hiddenBias) return [linear(x, weight), null];
  return kind === 'gru'
    ? [linear(x, weight, inputBias), hiddenBias]
    : [linear(x, weight, add(inputBias, hiddenBias)), null];
}

type RecurrentState = Pick<RecurrenceOptions, 'h' | 'c'>;

/** An input [time, batch, rows] with something added to the step that is taken first. */
function withFirst(input: Tensor, first: Tensor, reverse: boolean): Tensor {
  const steps = input.shape[0] as number;
  const others = narrow(input, 0, reverse ? 0 : 1, steps - 1);
  const own = add(narrow(input, 0, reverse ? steps - 1 : 0, 1), unsqueeze(first, 0));
  return cat(reverse ? [others, own] : [own, others]);
}

/** What the layers have in common; the names of their parameters are PyTorch's, such as `weight_ih_l0_reverse`. */
abstract class Recurrent<Inputs extends readonly unknown[], Output> extends Module<Inputs, Output> {
  /** [gates * hiddenSize, width of the layer's input] for `weight_ih_l0`, and [gates * hiddenSize, hiddenSize] for `weight_hh_l0`. */
  readonly [weight: `weight_${string}`]: Tensor;
  /** [gates * hiddenSize]. */
  readonly [bias: `bias_${string}`]: Tensor;
  readonly numLayers: number;
  readonly bias: boolean;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  /** The size that an LSTM projects its hidden state to; 0 for none. */
  readonly projSize: number;
  readonly #op: string;
  readonly #kind: CellKind;

  constructor(
    op: string,
    kind: CellKind,
    readonly inputSize: number,
    readonly hiddenSize: number,
    options: LSTMOptions,
  ) {
    super();
    const { numLayers = 1, bias = true, batchFirst = false, dropout = 0, bidirectional = false, device } = options;
    const { projSize = 0 } = options;
    for (const [name, n] of Object.entries({ inputSize, hiddenSize, numLayers })) checkSize(op, name, n);
    for (const [name, flag] of Object.entries({ bias, batchFirst, bidirectional })) checkFlag(op, name, flag);
    checkProbability(op, dropout);
    if (!Number.isInteger(projSize) || projSize < 0 || projSize >= hiddenSize)
      throw new ShapeError(
        `${op}: projSize is ${describe(projSize)}; it is a whole number below the hidden size of ${hiddenSize}, or 0 for none`,
      );
    this.projSize = projSize;
    this.#op = op;
    this.#kind = kind;
    this.numLayers = numLayers;
    this.bias = bias;
    this.batchFirst = batchFirst;
    this.dropout = dropout;
    this.bidirectional = bidirectional;
    for (let layer = 0; layer < numLayers; layer++)
      for (const suffix of this.#suffixes(layer)) {
        const width = layer === 0 ? inputSize : this.#outputSize * this.#directions;
        const shapes = shapesOf(kind, width, hiddenSize, bias, this.#outputSize);
        const names = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].slice(0, shapes.length);
        if (projSize > 0) {
          names.push('weight_hr');
          shapes.push([projSize, hiddenSize]);
        }
        const parameters = made(shapes, hiddenSize, device);
        for (const [i, name] of names.entries())
          Object.defineProperty(this, `${name}_${suffix}`, {
            value: parameters[i],
            writable: true,
            enumerable: true,
            configurable: true,
          });
      }
  }

  /** Of the hidden state that is given out. */
  get #outputSize(): number {
    return this.projSize || this.hiddenSize;
  }

  get #directions(): number {
    return this.bidirectional ? 2 : 1;
  }

  /** The ends of the names of a layer's parameters, one for each direction. */
  #suffixes(layer: number): string[] {
    return this.bidirectional ? [`l${layer}`, `l${layer}_reverse`] : [`l${layer}`];
  }

  /** The sequence of one layer in one direction, from its projected input [time, batch, gates * hiddenSize]. */
  #sequence(suffix: string, input: Tensor, bias: Tensor | null, state: RecurrentState, reverse: boolean): Recurrence {
    const { [`weight_hh_${suffix}`]: weight, [`weight_hr_${suffix}`]: projection } = this as unknown as Record<
      string,
      Tensor
    >;
    if (!projection) return recurrence(this.#kind, input, weight as Tensor, { ...state, bias, reverse });
    // With h = W_hr m the product W_hh h of the next step is that of m with W_hh W_hr, and the projection is one product of all steps. The
    // state at the start is a projection already: its product goes to the first input.
    const { h, c } = state;
    const whole = h ? withFirst(input, linear(h, weight as Tensor), reverse) : input;
    const found = recurrence(this.#kind, whole, matmul(weight as Tensor, projection), { c, bias, reverse });
    return { states: linear(found.states, projection), h: linear(found.h, projection), c: found.c };
  }

  /** Runs all layers. States are [numLayers * directions, batch, hiddenSize], without the batch where the input has none. */
  protected run(input: Tensor, h0?: Tensor, c0?: Tensor): { output: Tensor; h: Tensor; c: Tensor | undefined } {
    const op = this.#op;
    deviceOf(op, [input, this.weight_ih_l0 as Tensor, ...[h0, c0].filter((t) => t !== undefined)]);
    floats(op, input);
    const { inputSize, hiddenSize, numLayers } = this;
    if ((input.ndim !== 2 && input.ndim !== 3) || input.shape.at(-1) !== inputSize)
      throw new ShapeError(
        `${op}: the input ${showShape(input.shape)} must be ${this.batchFirst ? '[batch, time' : '[time, batch'}, ${inputSize}], or [time, ${inputSize}] without a batch`,
      );
    const batched = input.ndim === 3;
    const timeDim = batched && this.batchFirst ? 1 : 0;
    if (input.shape[timeDim] === 0)
      throw new ShapeError(`${op}: the input ${showShape(input.shape)} has no steps; there must be at least one`);
    const count = numLayers * this.#directions;
    const batch = batched ? (input.shape[1 - timeDim] as number) : 1;
    const shape = (size: number): Shape => (batched ? [count, batch, size] : [count, size]);
    if (h0) checkState(op, 'h0', h0, shape(this.#outputSize));
    if (c0) checkState(op, 'c0', c0, shape(hiddenSize));
    return compose(op, () => {
      /** The state of one layer in one direction. */
      const initial = (state: Tensor | undefined, i: number): Tensor | undefined =>
        state && (batched ? select(state, 0, i) : unsqueeze(select(state, 0, i), 0));
      let x = batched ? input : unsqueeze(input, 1);
      let swapped = timeDim === 1;
      const ends: Tensor[] = [];
      const cells: Tensor[] = [];
      for (let layer = 0; layer < numLayers; layer++) {
        const found = this.#suffixes(layer).map((suffix, direction) => {
          const weights = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'].map(
            (name) => (this as unknown as Record<string, Tensor>)[`${name}_${suffix}`],
          ) as unknown as Weights;
          const [product, bias] = projected(this.#kind, x, weights);
          const i = layer * this.#directions + direction;
          const state = { h: initial(h0, i), c: initial(c0, i) };
          return this.#sequence(suffix, swapped ? transpose(product, 0, 1) : product, bias, state, direction === 1);
        });
        const states = found.map((direction) => direction.states);
        for (const { h, c } of found) {
          ends.push(h);
          if (c) cells.push(c);
        }
        x = states.length === 1 ? (states[0] as Tensor) : cat(states, -1);
        swapped = false;
        if (layer < numLayers - 1 && this.dropout > 0) x = dropout(x, { p: this.dropout, training: this.training });
      }
      const whole = (states: readonly Tensor[]): Tensor => (batched ? stack(states) : cat(states));
      const output = batched ? (timeDim === 1 ? transpose(x, 0, 1) : x) : squeeze(x, 1);
      return { output, h: whole(ends), c: cells.length > 0 ? whole(cells) : undefined };
    });
  }

  protected override extra(): string {
    const { inputSize, hiddenSize, numLayers, bias, batchFirst, dropout, bidirectional, projSize } = this;
    const others = Object.entries({
      numLayers: numLayers === 1 ? null : numLayers,
      bias: bias ? null : false,
      batchFirst: batchFirst || null,
      dropout: dropout || null,
      bidirectional: bidirectional || null,
      projSize: projSize || null,
    }).flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`]));
    return [inputSize, hiddenSize, ...others].join(', ');
  }
}

/**
 * A plain recurrent network (`torch.nn.RNN`; Elman, "Finding structure in time", 1990): h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or
 * with relu. From inputs [time, batch, inputSize] and hidden states [layers * directions, batch, hiddenSize], zeros unless given, it
 * gives the hidden states of the last layer, [time, batch, directions * hiddenSize], and those of all layers at the end. Without a
 * batch all of them lack that dim. Parameters start uniform in ±1 / sqrt(hiddenSize).
 *
 * @throws ShapeError when input and states do not fit, or there are no steps.
 * @example
 * ```ts
 * const rnn = new tl.nn.RNN(8, 16, { nonlinearity: 'relu' });
 * const [output, h] = rnn.forward(tl.rand([5, 2, 8])); // [5, 2, 16] and [1, 2, 16]
 * ```
 */
export class RNN extends Recurrent<readonly [input: Tensor, h0?: Tensor | undefined], [Tensor, Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: RNNOptions = {}) {
    checkOptions('RNN', options, ['nonlinearity', ...NAMES]);
    const { nonlinearity = 'tanh' } = options;
    checkNonlinearity('RNN', nonlinearity);
    super('RNN', nonlinearity, inputSize, hiddenSize, options);
  }

  override forward(input: Tensor, h0?: Tensor): [output: Tensor, h: Tensor] {
    const { output, h } = this.run(input, h0);
    return [output, h];
  }
}

/**
 * Long short-term memory (`torch.nn.LSTM`; Hochreiter and Schmidhuber, 1997). Inputs and outputs as of `RNN`, with a pair of states:
 * the hidden and the cell state. Rows of weights belong to the input, forget, cell and output gates, in this order. With `projSize`
 * the hidden state is projected to that size after every step (Sak et al., arXiv 1402.1128).
 *
 * @throws ShapeError when input and states do not fit, or there are no steps.
 * @example
 * ```ts
 * const lstm = new tl.nn.LSTM(8, 16, { numLayers: 2, batchFirst: true, bidirectional: true });
 * const [output, [h, c]] = lstm.forward(tl.rand([2, 5, 8])); // [2, 5, 32], [4, 2, 16] and [4, 2, 16]
 * ```
 */
export class LSTM extends Recurrent<
  readonly [input: Tensor, state?: readonly [Tensor, Tensor] | undefined],
  [Tensor, [Tensor, Tensor]]
> {
  constructor(inputSize: number, hiddenSize: number, options: LSTMOptions = {}) {
    checkOptions('LSTM', options, [...NAMES, 'projSize']);
    super('LSTM', 'lstm', inputSize, hiddenSize, options);
  }

  override forward(
    input: Tensor,
    state?: readonly [h0: Tensor, c0: Tensor],
  ): [output: Tensor, state: [h: Tensor, c: Tensor]] {
    const [h0, c0] = pairOf('LSTM', state) ?? [];
    const { output, h, c } = this.run(input, h0, c0);
    return [output, [h, c as Tensor]];
  }
}

/**
 * Gated recurrent units (`torch.nn.GRU`; Cho et al., 2014), with the reset gate applied after the product. Inputs and outputs as of
 * `RNN`. Rows of weights belong to the reset, update and new gates, in this order.
 *
 * @throws ShapeError when input and states do not fit, or there are no steps.
 * @example
 * ```ts
 * const gru = new tl.nn.GRU(8, 16);
 * const [output, h] = gru.forward(tl.rand([5, 8])); // [5, 16] and [1, 16]: without a batch
 * ```
 */
export class GRU extends Recurrent<readonly [input: Tensor, h0?: Tensor | undefined], [Tensor, Tensor]> {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    checkOptions('GRU', options, NAMES);
    super('GRU', 'gru', inputSize, hiddenSize, options);
  }

  override forward(input: Tensor, h0?: Tensor): [output: Tensor, h: Tensor] {
    const { output, h } = this.run(input, h0);
    return [output, h];
  }
}

/** Options of recurrent cells. */
export interface CellOptions {
  /** Add learned offsets; true unless given. */
  readonly bias?: boolean | undefined;
  /** The default device unless given. */
  readonly device?: Device | undefined;
}

/** Options of `RNNCell`. */
export interface RNNCellOptions extends CellOptions {
  /** 'tanh' unless given. */
  readonly nonlinearity?: RNNNonlinearity | undefined;
}

/** What the cells have in common. */
abstract class RecurrentCell<Inputs extends readonly unknown[], Output> extends Module<Inputs, Output> {
  /** [gates * hiddenSize, inputSize]. */
  readonly weight_ih: Tensor;
  /** [gates * hiddenSize, hiddenSize]. */
  readonly weight_hh: Tensor;
  /** [gates * hiddenSize]. */
  readonly bias_ih: Tensor | null;
  readonly bias_hh: Tensor | null;
  readonly #op: string;
  readonly #kind: CellKind;

  constructor(
    op: string,
    kind: CellKind,
    readonly inputSize: number,
    readonly hiddenSize: number,
    options: CellOptions,
  ) {
    super();
    const { bias = true, device } = options;
    for (const [name, n] of Object.entries({ inputSize, hiddenSize })) checkSize(op, name, n);
    checkFlag(op, 'bias', bias);
    this.#op = op;
    this.#kind = kind;
    const [inputWeight, hiddenWeight, inputBias = null, hiddenBias = null] = made(
      shapesOf(kind, inputSize, hiddenSize, bias),
      hiddenSize,
      device,
    );
    this.weight_ih = inputWeight as Tensor;
    this.weight_hh = hiddenWeight as Tensor;
    this.bias_ih = inputBias;
    this.bias_hh = hiddenBias;
  }

  /** One step: the states after it, [batch, hiddenSize], or [hiddenSize] without a batch. */
  protected run(input: Tensor, h?: Tensor, c?: Tensor): { h: Tensor; c: Tensor | undefined } {
    const op = this.#op;
    deviceOf(op, [input, this.weight_ih, ...[h, c].filter((t) => t !== undefined)]);
    floats(op, input);
    const batched = input.ndim === 2;
    if ((!batched && input.ndim !== 1) || input.shape.at(-1) !== this.inputSize)
      throw new ShapeError(
        `${op}: the input ${showShape(input.shape)} must be [batch, ${this.inputSize}], or [${this.inputSize}] without a batch`,
      );
    const shape = [...input.shape.slice(0, -1), this.hiddenSize];
    if (h) checkState(op, 'h', h, shape);
    if (c) checkState(op, 'c', c, shape);
    return compose(op, () => {
      const rows = (t: Tensor | undefined): Tensor | undefined => t && (batched ? t : unsqueeze(t, 0));
      const weights: Weights = [this.weight_ih, this.weight_hh, this.bias_ih, this.bias_hh];
      const [product, bias] = projected(this.#kind, rows(input) as Tensor, weights);
      const found = recurrence(this.#kind, unsqueeze(product, 0), this.weight_hh, { h: rows(h), c: rows(c), bias });
      const back = (t: Tensor): Tensor => (batched ? t : squeeze(t, 0));
      return { h: back(found.h), c: found.c && back(found.c) };
    });
  }

  protected override extra(): string {
    return `${this.inputSize}, ${this.hiddenSize}${this.bias_ih ? '' : ', bias=false'}`;
  }
}

/**
 * One step of `RNN` (`torch.nn.RNNCell`): the hidden state after an input [batch, inputSize], from the one before, [batch, hiddenSize],
 * zeros unless given. Both may lack the batch.
 *
 * @throws ShapeError when input and state do not fit.
 */
export class RNNCell extends RecurrentCell<readonly [input: Tensor, h?: Tensor | undefined], Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: RNNCellOptions = {}) {
    checkOptions('RNNCell', options, ['bias', 'nonlinearity', 'device']);
    const { nonlinearity = 'tanh' } = options;
    checkNonlinearity('RNNCell', nonlinearity);
    super('RNNCell', nonlinearity, inputSize, hiddenSize, options);
  }

  override forward(input: Tensor, h?: Tensor): Tensor {
    return this.run(input, h).h;
  }
}

/**
 * One step of `LSTM` (`torch.nn.LSTMCell`): the pair of hidden and cell state, [batch, hiddenSize], after an input [batch, inputSize],
 * from the pair before, zeros unless given. All may lack the batch.
 *
 * @throws ShapeError when input and states do not fit.
 * @example
 * ```ts
 * const cell = new tl.nn.LSTMCell(8, 16);
 * let state = cell.forward(tl.rand([2, 8]));
 * state = cell.forward(tl.rand([2, 8]), state); // two of [2, 16]
 * ```
 */
export class LSTMCell extends RecurrentCell<
  readonly [input: Tensor, state?: readonly [Tensor, Tensor] | undefined],
  [Tensor, Tensor]
> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    checkOptions('LSTMCell', options, ['bias', 'device']);
    super('LSTMCell', 'lstm', inputSize, hiddenSize, options);
  }

  override forward(input: Tensor, state?: readonly [h: Tensor, c: Tensor]): [h: Tensor, c: Tensor] {
    const [before, cell] = pairOf('LSTMCell', state) ?? [];
    const { h, c } = this.run(input, before, cell);
    return [h, c as Tensor];
  }
}

/**
 * One step of `GRU` (`torch.nn.GRUCell`): the hidden state after an input, as of `RNNCell`.
 *
 * @throws ShapeError when input and state do not fit.
 */
export class GRUCell extends RecurrentCell<readonly [input: Tensor, h?: Tensor | undefined], Tensor> {
  constructor(inputSize: number, hiddenSize: number, options: CellOptions = {}) {
    checkOptions('GRUCell', options, ['bias', 'device']);
    super('GRUCell', 'gru', inputSize, hiddenSize, options);
  }

  override forward(input: Tensor, h?: Tensor): Tensor {
    return this.run(input, h).h;
  }
}
