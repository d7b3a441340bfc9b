// The cases of the `optim` group: steps of optimizers with given gradients, clipping, and learning-rate schedules.
import { call, construct, type Device, type Tensor, tl } from './api.ts';
import {
  camel,
  type DataTensor,
  decode,
  elements,
  expectNumber,
  expectTensor,
  type InputTensor,
  type OpCase,
  type OptimizerCase,
  type SchedulerCase,
} from './cases.ts';

type Optimizer = { step(): void; zeroGrad(): void; readonly paramGroups: readonly { readonly lr: number }[] };
type Scheduler = { step(metric?: number): void };

const options = (args: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(args).map(([name, v]) => [camel(name), decode(v)]));

const leaf = (t: InputTensor, device: Device): Tensor =>
  tl.tensor(elements(t), { shape: t.shape, device, requiresGrad: true });
const constant = (t: InputTensor, device: Device): Tensor => tl.tensor(elements(t), { shape: t.shape, device });

/** Parameters after every step. */
export async function runOptimizer(c: OptimizerCase, device: Device): Promise<void> {
  const params = Object.fromEntries(Object.entries(c.params).map(([name, t]) => [name, leaf(t, device)]));
  try {
    const { param_groups: groups, ...args } = c.args;
    const list = groups
      ? groups.map(({ params: names, ...rest }) => ({ params: names.map((n) => params[n]!), ...options(rest) }))
      : Object.values(params);
    const optimizer = construct(`optim.${c.op}`, list, options(args)) as unknown as Optimizer;
    for (const [step, gradients] of c.grads.entries()) {
      for (const [name, g] of Object.entries(gradients)) params[name]!.grad = constant(g, device);
      optimizer.step();
      const expected = c.expected[step] as Record<string, DataTensor>;
      for (const [name, want] of Object.entries(expected))
        await expectTensor(`${name} after step ${step + 1}`, params[name], want, c);
    }
    (optimizer as { dispose?: () => void }).dispose?.();
  } finally {
    for (const p of Object.values(params)) p.dispose();
  }
}

/** Rates after every step. */
export function runScheduler(c: SchedulerCase, device: Device): void {
  const p = leaf({ shape: [1], dtype: 'float32', data: [0] }, device);
  try {
    const optimizer = construct('optim.SGD', [p], { lr: c.base_lr }) as unknown as Optimizer;
    const scheduler = construct(`optim.${c.op}`, optimizer, schedule(c.args)) as unknown as Scheduler;
    for (const [k, lr] of c.lrs.entries()) {
      if (k > 0) c.metrics ? scheduler.step(c.metrics[k - 1]) : scheduler.step();
      expectNumber(`rate after ${k} steps`, optimizer.paramGroups[0]!.lr, lr, c);
    }
  } finally {
    p.dispose();
  }
}

/** `T_max` as `tMax`. */
const schedule = (args: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  options(Object.fromEntries(Object.entries(args).map(([name, v]) => [name.replace(/^T_/, 't_'), v])));

/** Clipped gradients, and their norm. */
export async function runClipping(c: OpCase, device: Device): Promise<void> {
  const given = c.inputs.grads as InputTensor[];
  const params = given.map((g) => leaf({ shape: g.shape, dtype: 'float32', fill: 'constant', value: 0 }, device));
  try {
    for (const [i, g] of given.entries()) params[i]!.grad = constant(g, device);
    const expected = c.output as { total_norm?: DataTensor; grads: DataTensor[] };
    const { max_norm, clip_value, ...rest } = c.args;
    const name = c.op === 'clip_grad_norm_' ? 'clipGradNorm' : 'clipGradValue';
    const rate = decode(max_norm ?? clip_value);
    const norm = call(
      `nn.utils.${name}|${name}`,
      params,
      rate,
      ...(Object.keys(rest).length > 0 ? [options(rest)] : []),
    );
    if (expected.total_norm) await expectTensor('total_norm', norm, expected.total_norm, c);
    for (const [i, want] of expected.grads.entries()) await expectTensor(`grads[${i}]`, params[i]!.grad, want, c);
    (norm as Tensor | undefined)?.dispose?.();
  } finally {
    for (const p of params) p.dispose();
  }
}
