import { describe, expect, test } from 'vitest';
import { DTypeError, UnsupportedError } from '../../src/core/errors.ts';
import * as tl from '../../src/index.ts';
import { devices } from '../setup/devices.ts';
import {
  arityOf,
  type Device,
  difference,
  forward,
  type Given,
  give,
  gradients,
  type Op,
  operandType,
  ops,
  type Result,
  type Situation,
  sample,
  situations,
  tensorOperands,
  typedSituations,
  weightsFor,
} from './harness.ts';
import { openDevices } from './opened.ts';

const { oracle, opened } = await openDevices();
const on = (name: string): Device => opened.get(name)!;

const FORWARD = { rtol: 1e-5, atol: 3e-6 };
const GRADIENT = { rtol: 5e-5, atol: 1e-5 };
const float32 = (values: ArrayLike<number>): Result => ({ dtype: 'float32', shape: [values.length], values });

/** Lists the calls whose results differ from those of the oracle. */
async function compare(op: Op, calls: readonly Situation[], device: Device): Promise<string[]> {
  const [got, want] = [await forward(op, calls, device), await forward(op, calls, oracle)];
  return calls.flatMap(({ name }, i) => {
    const wrong = difference(got[i]!, want[i]!, FORWARD);
    return wrong ? [`${name}: ${wrong}`] : [];
  });
}

/** Smooth inputs off the kinks, in which differences can be taken. */
function smooth(op: Op, n: number): Given[] {
  return Array.from({ length: arityOf(op) }, (_, i): Given => {
    const number = op.record.numbers?.[i] ?? null;
    return number ?? give(sample(op, i, n, 3, false), [n], operandType(op, i));
  });
}

function moved(operands: readonly Given[], place: number, step: number): Given[] {
  return operands.map((g, i) =>
    i !== place || typeof g === 'number' ? g : { ...g, values: g.values.map((v) => v + step) },
  );
}

const floatOperands = (op: Op): number[] => tensorOperands(op).filter((i) => operandType(op, i) === 'float32');
const differentiable = [...ops].filter(([, op]) => op.record.gradient !== null);
const STEP = 1e-6;

describe('gradients of the records, in float64', () => {
  test.each(differentiable)('%s agree with central differences', async (_, op) => {
    const operands = smooth(op, 12);
    const analytic = await gradients(op, { name: '', operands }, oracle);
    // An elementwise op may be moved in all elements at once.
    for (const [k, i] of floatOperands(op).entries()) {
      const calls = [STEP, -STEP].map((d) => ({ name: '', operands: moved(operands, i, d) }));
      const [up, down] = (await forward(op, calls, oracle)) as [Result, Result];
      const w = weightsFor(up.shape);
      const numeric = w.map((wi, e) => (wi * (up.values[e]! - down.values[e]!)) / (2 * STEP));
      const wrong = difference(float32(analytic[k]!), float32(numeric), { rtol: 1e-5, atol: 1e-6 });
      expect(wrong, `operand ${i}`).toBeNull();
    }
  });

  test.each(differentiable)('%s: second derivatives agree with differences of the gradients', async (_, op) => {
    const operands = smooth(op, 6);
    const places = floatOperands(op);
    const v = places.map((i) => weightsFor([6], 0.1 * (i + 1)));
    // Of the weighted sum of the gradients, with respect to every operand.
    const analytic = await twice(op, operands, v);
    for (const [k, i] of places.entries()) {
      const [up, down] = await Promise.all(
        [STEP, -STEP].map((d) => gradients(op, { name: '', operands: moved(operands, i, d) }, oracle)),
      );
      const numeric = weightsFor([6]).map((_w, e) =>
        places.reduce((sum, _p, m) => sum + (v[m]![e]! * (up![m]![e]! - down![m]![e]!)) / (2 * STEP), 0),
      );
      const wrong = difference(float32(analytic[k]!), float32(numeric), { rtol: 1e-4, atol: 1e-5 });
      expect(wrong, `operand ${i}`).toBeNull();
    }
  });
});

async function twice(op: Op, operands: readonly Given[], v: readonly number[][]): Promise<ArrayLike<number>[]> {
  using s = tl.scope();
  const out = s.run(() => {
    const xs = operands.map((g) =>
      typeof g === 'number'
        ? g
        : tl.tensor(Float64Array.from(g.values), {
            dtype: g.dtype,
            device: oracle,
            requiresGrad: g.dtype === 'float32',
          }),
    );
    const leaves = xs.filter((x): x is tl.Tensor => typeof x !== 'number' && x.requiresGrad);
    const y = op(...xs);
    const first = tl.grad([y], leaves, {
      createGraph: true,
      gradOutputs: [tl.tensor(weightsFor(y.shape), { device: oracle })],
    });
    let total = tl.zeros([], { device: oracle });
    for (const [k, g] of first.entries()) total = total.add(g.mul(tl.tensor(v[k]!, { device: oracle })).sum());
    return total.requiresGrad ? tl.grad([total], leaves, { allowUnused: true }) : leaves.map((x) => tl.zerosLike(x));
  });
  return Promise.all(out.map((g) => g.numbers('test')));
}

describe.each(devices)('on %s', (name) => {
  describe.each([...ops])('%s', (title, op) => {
    // Compiling takes most of the time there, and what a view or a number changes does not depend on the op.
    const few = name === 'webgpu' && !['exp', 'mul', 'where'].includes(title);
    test('gives what the oracle gives, of every shape, view and special value', async () => {
      expect(await compare(op, situations(op, few), on(name))).toEqual([]);
    });

    test('follows its type rule', async () => {
      expect(await compare(op, typedSituations(op, few), on(name))).toEqual([]);
    });

    if (op.record.gradient === null) return;
    test('has the gradient that it has in float64, fused and unfused', async () => {
      const device = on(name);
      const calls: Situation[] = [{ name: 'plain', operands: smooth(op, 33) }];
      if (floatOperands(op).length > 1) {
        const operands = smooth(op, 6).map(
          (g, i): Given =>
            typeof g === 'number'
              ? g
              : { ...g, values: g.values.slice(0, i === 0 ? 6 : 3), shape: i === 0 ? [2, 3] : [3] },
        );
        calls.push({ name: 'broadcasting', operands });
      }
      for (const call of calls) {
        const want = await gradients(op, call, oracle);
        for (const fusion of [true, false]) {
          device.engine.fusion = fusion;
          const got = await gradients(op, call, device).finally(() => {
            device.engine.fusion = true;
          });
          const wrong = want.map((w, k) => difference(float32(got[k]!), float32(w), GRADIENT));
          expect(wrong, `${call.name}, ${fusion ? 'fused' : 'unfused'}`).toEqual(want.map(() => null));
        }
      }
    });
  });

  test('activations are finite and exact for extreme inputs, and so are their gradients', async () => {
    const far = [-1e30, -1e10, -1000, -100, -88, -50, -20, 0.5, 20, 50, 88, 100, 1000, 1e10, 1e30].map(Math.fround);
    const bounded =
      'sigmoid logSigmoid relu relu6 leakyRelu elu celu selu gelu silu mish softplus softsign hardtanh hardsigmoid hardswish tanh erf atan';
    for (const [title, op] of ops) {
      if (!bounded.split(' ').includes(title.split(/[: ]/)[0]!)) continue;
      const operands = Array.from(
        { length: arityOf(op) },
        (_, i): Given => op.record.numbers?.[i] ?? give(far, [far.length]),
      );
      const call = { name: title, operands };
      expect(await compare(op, [call], on(name)), title).toEqual([]);
      const [got, want] = await Promise.all([on(name), oracle].map((d) => gradients(op, call, d)));
      expect(Array.from(got![0]!).every(Number.isFinite), `${title}: ${Array.from(got![0]!)}`).toBe(true);
      expect(difference(float32(got![0]!), float32(want![0]!), GRADIENT), title).toBeNull();
    }
  });

  test('integers wrap around and divide as in PyTorch', async () => {
    const ints = [-(2 ** 31), -7, -1, 0, 1, 3, 2 ** 31 - 1];
    const operands = [give(ints, [7, 1], 'int32'), give(ints, [7], 'int32')];
    for (const title of [
      'add: add',
      'sub: sub',
      'mul',
      'div: divFloor',
      'div: divTrunc',
      'remainder',
      'fmod',
      'pow',
      'maximum',
      'minimum',
      'bitwiseXor',
    ]) {
      const op = ops.get(title) ?? ops.get(title.split(':')[0]!) ?? ops.get(`${title} 1`);
      expect(op, title).toBeDefined();
      expect(await compare(op!, [{ name: title, operands }], on(name))).toEqual([]);
    }
    using s = tl.scope();
    const [x, y] = [
      [7, -7, 7, -7, 5],
      [2, 2, -2, -2, 0],
    ].map((v) => s.track(tl.tensor(v, { dtype: 'int32', device: on(name) })));
    const table = s.run(() => ({
      floor: tl.div(x!, y!, { roundingMode: 'floor' }),
      trunc: tl.div(x!, y!, { roundingMode: 'trunc' }),
      remainder: tl.remainder(x!, y!),
      fmod: tl.fmod(x!, y!),
      pow: tl.pow(y!, x!),
    }));
    expect(await table.floor.toArray()).toEqual([3, -4, -4, 3, 0]);
    expect(await table.trunc.toArray()).toEqual([3, -3, -3, 3, 0]);
    expect(await table.remainder.toArray()).toEqual([1, 1, -1, -1, 5]);
    expect(await table.fmod.toArray()).toEqual([1, -1, 1, -1, 5]);
    expect(await table.pow.toArray()).toEqual([128, 0, -128, 0, 0]);
  });

  test('numbers are uniforms: another number needs no other plan', async () => {
    using s = tl.scope();
    const device = on(name);
    const x = s.track(tl.tensor([1, 2, 3], { device }));
    const f = (a: number): tl.Tensor =>
      s.run(() =>
        x
          .mul(a)
          .add(1, { alpha: a })
          .clamp({ min: a, max: 2 * a })
          .softplus({ beta: a })
          .pow(a / 7),
      );
    const first = f(0.5);
    await first.data();
    const { plans } = device.engine.counters;
    for (const a of [0.25, 1.5, 3]) await f(a).data();
    expect(device.engine.counters.plans).toBe(plans);
  });
});

describe('conventions at kinks and where factors are infinite', () => {
  /** Gradient of sum(f(x)) on the oracle. */
  async function slope(f: (x: tl.Tensor) => tl.Tensor, at: readonly number[], order = 1): Promise<number[]> {
    using s = tl.scope();
    const g = s.run(() => {
      const x = tl.tensor(Float64Array.from(at), { device: oracle, requiresGrad: true });
      let y = f(x);
      for (let k = 0; k < order; k++) y = tl.grad([y.sum()], [x], { createGraph: true })[0]!;
      return tl.detach(y);
    });
    return Array.from(await g.data());
  }

  test('as in PyTorch', async () => {
    expect(await slope((x) => x.abs(), [0])).toEqual([0]);
    expect(await slope((x) => x.relu(), [0])).toEqual([0]);
    expect(await slope((x) => x.relu6(), [0, 6])).toEqual([0, 0]);
    expect(await slope((x) => x.hardtanh(), [-1, 1])).toEqual([0, 0]);
    expect(await slope((x) => x.clamp({ min: -1, max: 1 }), [-2, -1, 1, 2])).toEqual([0, 1, 1, 0]);
    expect(await slope((x) => x.clamp({ min: 1, max: -1 }), [-2, 0, 2])).toEqual([0, 0, 0]);
    expect(await slope((x) => x.clamp({ min: x.mul(0) }), [0])).toEqual([1]);
    expect(await slope((x) => x.leakyRelu({ negativeSlope: 0.25 }), [0])).toEqual([0.25]);
    expect(await slope((x) => x.elu({ alpha: 0.5 }), [0])).toEqual([0.5]);
    expect(await slope((x) => x.maximum(0), [0, 1, -1])).toEqual([0.5, 1, 0]);
    expect(await slope((x) => x.minimum(x), [3])).toEqual([1]);
    expect(await slope((x) => x.floor().add(x.round()).add(x.sign()), [0.5, 2])).toEqual([0, 0]);
    expect(await slope((x) => x.sqrt(), [0])).toEqual([Number.POSITIVE_INFINITY]);
  });

  test('pow has finite derivatives of any order at 0', async () => {
    const powers = [0, 1, 2, 3, 12];
    for (const p of powers) {
      const want = p === 1 ? 1 : 0;
      expect(await slope((x) => x.pow(p), [0]), `exponent ${p}`).toEqual([want]);
      expect(await slope((x) => x.pow(tl.tensor(p, { device: oracle })), [0]), `tensor exponent ${p}`).toEqual([want]);
      expect(await slope((x) => x.pow(tl.tensor(p, { device: oracle })), [0], 2)).toEqual([p === 2 ? 2 : 0]);
    }
    // By the exponent, where log(0) would appear.
    expect(await slope((x) => tl.pow(tl.zerosLike(x), x), [0, 1, 2])).toEqual([0, 0, 0]);
    expect(await slope((x) => tl.pow(0, x), [0, 1, 2])).toEqual([0, 0, 0]);
    expect(await slope((x) => tl.pow(2, x), [1])).toEqual([Math.fround(2 * Math.LN2)]);
  });

  test('where hides what it does not choose', async () => {
    const f = (x: tl.Tensor): tl.Tensor => tl.where(x.gt(0), tl.where(x.gt(0), x, 1).log(), 0);
    expect(await slope(f, [-1, 0, 2])).toEqual([0, 0, 0.5]);
    expect(await slope(f, [-1, 0, 2], 2)).toEqual([0, 0, -0.25]);
  });
});

describe('errors name the op, what it got and the way out', () => {
  const check = (
    f: (x: tl.Tensor) => unknown,
    kind: new (m: string) => Error,
    text: RegExp,
    dtype: tl.DType = 'float32',
  ): void => {
    using s = tl.scope();
    const x = s.track(tl.tensor([1, 2], { device: oracle, dtype }));
    expect(() => s.run(() => void f(x))).toThrow(kind);
    expect(() => s.run(() => void f(x))).toThrow(text);
  };
  const loose = (x: unknown): never => x as never;

  test('options', () => {
    check((x) => x.softplus(loose({ alpha: 1 })), UnsupportedError, /softplus.*alpha.*beta, threshold/);
    check((x) => x.softplus(loose({ beta: '1' })), DTypeError, /softplus.*beta.*number/);
    check((x) => x.clamp(loose({})), UnsupportedError, /clamp.*min.*max/);
    check((x) => x.clamp(loose(undefined)), UnsupportedError, /clamp/);
    check((x) => x.div(2, loose({ roundingMode: 'up' })), UnsupportedError, /div.*'floor'/);
    check((x) => x.gelu(loose({ approximate: 'erf' })), UnsupportedError, /gelu.*'tanh'/);
    check((x) => x.add(loose('1')), UnsupportedError, /add.*string/);
    check((x) => x.elu(loose(0.5)), UnsupportedError, /elu.*object/);
  });

  test('dtypes', () => {
    check((x) => x.sub(x), DTypeError, /sub.*bool/, 'bool');
    check((x) => x.neg(), DTypeError, /neg.*bool/, 'bool');
    check((x) => x.pow(-1), DTypeError, /pow.*-1.*float32/, 'int32');
    check((x) => x.pow(-20), DTypeError, /pow.*-20.*float32/, 'int32');
    check((x) => x.add(x, { alpha: 0.5 }), DTypeError, /add.*alpha 0.5/, 'int32');
    check((x) => x.bitwiseAnd(x), DTypeError, /bitwiseAnd.*float32/);
    check((x) => tl.where(x, x, x), DTypeError, /where.*bool.*float32/);
    check((x) => x.cast(loose('float64')), DTypeError, /to.*float64.*'float32'/);
  });
});
