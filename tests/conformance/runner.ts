// Runs one case on one device.
import { isFloating } from '../../src/core/dtype.ts';
import { halfRound } from '../../src/core/float16.ts';
import { type Device, Missing, type Tensor, tl } from './api.ts';
import {
  camel,
  decode,
  type ExpectedTensor,
  elements,
  expectTensor,
  type InputTensor,
  isTensorData,
  Mismatch,
  type OpCase,
  type OptimizerCase,
  type SchedulerCase,
} from './cases.ts';
import { runClipping, runOptimizer, runScheduler } from './optim.ts';
import { asynchronous, compute, view } from './table.ts';
import { type ReadDataset, runTraining, type TrainCase } from './train.ts';

export type Case = OpCase | OptimizerCase | SchedulerCase | TrainCase;

/** What became of a case: the reason for a failure, or what the library lacks. */
export interface Outcome {
  readonly status: 'passed' | 'failed' | 'skipped';
  readonly reason: string;
}

/**
 * Runs a case and checks that it leaves nothing on the device. With an oracle, a device that computes in float64, floats are float16,
 * and what is wanted is what the oracle gives for the rounded inputs.
 */
export async function runCase(c: Case, device: Device, read?: ReadDataset, oracle?: Device): Promise<Outcome> {
  const before = tl.memory(device).bytes;
  const outcome = await runBeside(c, device, read, oracle);
  if (outcome.status !== 'passed') return outcome;
  if (tl.memory(device).bytes !== before) await device.sync();
  const left = tl.memory(device).bytes - before;
  return left === 0 ? outcome : { status: 'failed', reason: `memory: ${left} bytes are left` };
}

/** Runs a case, perhaps beside others. */
export async function runBeside(c: Case, device: Device, read?: ReadDataset, oracle?: Device): Promise<Outcome> {
  tl.setDefaultDevice(device);
  try {
    if (oracle) {
      if (!('inputs' in c) || c.op.startsWith('clip_grad_')) return { status: 'skipped', reason: 'float32 only' };
      const rounded = await atHalf(c, oracle);
      tl.setDefaultDevice(device);
      await runOp(rounded, device, true);
      return { status: 'passed', reason: '' };
    }
    if ('config' in c) await runTraining(c, device, read);
    else if ('lrs' in c) runScheduler(c, device);
    else if ('params' in c) await runOptimizer(c, device);
    else if (c.op.startsWith('clip_grad_')) await runClipping(c, device);
    else await runOp(c, device);
  } catch (error) {
    if (error instanceof Missing) return { status: 'skipped', reason: `no ${error.message}` };
    // An option that is refused by name is missing, not wrong.
    if (
      error instanceof tl.UnsupportedError ||
      (oracle && error instanceof tl.DTypeError && /float16/.test(error.message))
    )
      return { status: 'skipped', reason: error.message };
    if (error instanceof Mismatch) return { status: 'failed', reason: error.message };
    const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
    return { status: 'failed', reason: `${name}: ${message}` };
  }
  return { status: 'passed', reason: '' };
}

async function runOp(c: OpCase, device: Device, half = false): Promise<void> {
  using scope = tl.scope();
  const { output, leaves } = await computeOp(c, device, scope, half);
  await expectOutput(c, output);
  for (const [name, want] of Object.entries(c.grads ?? {})) {
    const leaf = leaves[name]!;
    if (Array.isArray(want))
      for (const [i, w] of want.entries()) {
        const one = (leaf as Tensor[])[i]!;
        // Of a list, the output may depend on one alone (meshgrid): the others have no gradient, in PyTorch too.
        if (w && (one.grad || !('data' in w) || w.data.some((v) => v !== 0)))
          await expectGradient(c, `${name}[${i}]`, one, w);
      }
    else await expectGradient(c, name, leaf as Tensor, want);
  }
}

/** The case as it is in float16: the results of the device for its rounded inputs are what is wanted. */
async function atHalf(c: OpCase, oracle: Device): Promise<OpCase> {
  using scope = tl.scope();
  tl.setDefaultDevice(oracle);
  const { output, leaves } = await computeOp(c, oracle, scope, true);
  const all = async (value: unknown): Promise<unknown> => {
    if (value === null) return null;
    if (Array.isArray(value)) return Promise.all(value.map(all));
    if (!(value instanceof tl.Tensor)) {
      const entries = Object.entries(value as object).map(async ([k, v]) => [k, await all(v)] as const);
      return Object.fromEntries(await Promise.all(entries));
    }
    return {
      shape: [...value.shape],
      dtype: value.dtype,
      data: Array.from(await value.numbers('oracle')),
      half: isFloating(value.dtype),
    };
  };
  const grads = Object.keys(c.grads ?? {}).map(async (name): Promise<[string, unknown]> => {
    const leaf = leaves[name]!;
    return [name, await all(Array.isArray(leaf) ? leaf.map((x) => x.grad) : leaf.grad)];
  });
  return { ...c, output: await all(output), grads: Object.fromEntries(await Promise.all(grads)) } as OpCase;
}

/** Computes a case, and the gradients of its leaves. */
async function computeOp(
  c: OpCase,
  device: Device,
  scope: tl.Scope,
  half: boolean,
): Promise<{ output: unknown; leaves: Record<string, Tensor | Tensor[]> }> {
  // Programs differentiate inside.
  const program = c.op.startsWith('autograd.');
  const leaves: Record<string, Tensor | Tensor[]> = {};
  const make = (t: InputTensor, needed: boolean): Tensor => {
    const float = t.dtype === 'float32';
    const rounded = float && half;
    const data = rounded ? elements(t).map(halfRound) : elements(t);
    const dtype = rounded ? 'float16' : t.dtype;
    return scope.track(tl.tensor(data, { shape: t.shape, dtype, device, requiresGrad: needed && float }));
  };
  for (const [name, t] of Object.entries(c.inputs)) {
    const needed = program || c.grads?.[name] !== undefined;
    leaves[name] = Array.isArray(t) ? t.map((x) => make(x, needed)) : make(t, needed);
  }
  const args = Object.fromEntries(Object.entries(c.args).map(([k, v]) => [k, k === 'views' ? v : decode(v)]));

  const run = (): unknown => {
    const inputs = { ...leaves };
    for (const [name, steps] of Object.entries(c.args.views ?? {}))
      inputs[name] = steps.reduce(view, inputs[name] as Tensor);
    return compute(c.op, { inputs, args });
  };
  let output: unknown;
  if (asynchronous.has(c.op)) output = scope.track((await run()) as Tensor);
  else
    output = scope.run(() => {
      const out = run();
      if (c.cotangent) tensorOf(c, out).backward({ gradient: make(c.cotangent, false) });
      return out;
    });
  return { output, leaves };
}

async function expectGradient(c: OpCase, name: string, leaf: Tensor, want: ExpectedTensor): Promise<void> {
  if (!leaf.grad) throw new Mismatch(`gradient of ${name}: there is none`);
  await expectTensor(`gradient of ${name}`, leaf.grad, want, c);
}

const member = (out: unknown, key: string): unknown => {
  const named = out as Readonly<Record<string, unknown>>;
  return named[key] ?? named[camel(key)];
};

/** The output that the cotangent belongs to. */
function tensorOf(c: OpCase, out: unknown): Tensor {
  if (isTensorData(c.output)) return out as Tensor;
  const key = c.cotangent_for ?? (Array.isArray(c.output) ? 0 : Object.keys(c.output)[0]!);
  return (typeof key === 'number' ? (out as Tensor[])[key] : member(out, key)) as Tensor;
}

async function expectOutput(c: OpCase, out: unknown): Promise<void> {
  const want = c.output;
  if (isTensorData(want)) return expectTensor('output', out, want, c);
  if (Array.isArray(want)) return expectList('output', out, want, c);
  for (const [name, w] of Object.entries(want)) {
    const got = member(out, name);
    if (Array.isArray(w)) await expectList(name, got, w, c);
    else await expectTensor(name, got, w, c);
  }
}

async function expectList(what: string, out: unknown, want: readonly ExpectedTensor[], c: OpCase): Promise<void> {
  const got = out as readonly unknown[];
  if (!Array.isArray(out) || got.length !== want.length)
    throw new Mismatch(`${what}: got ${Array.isArray(out) ? got.length : 'no list of'} tensors, want ${want.length}`);
  for (const [i, w] of want.entries()) await expectTensor(`${what}[${i}]`, got[i], w, c);
}
