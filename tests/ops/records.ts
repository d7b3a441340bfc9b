// What the samples of ops that are no elementwise expression say, and how their calls are made and compared.

import { isFloating } from '../../src/core/dtype.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import * as tl from '../../src/index.ts';
import * as activations from '../../src/ops/activations.ts';
import * as assign from '../../src/ops/assign.ts';
import * as attention from '../../src/ops/attention.ts';
import * as classification from '../../src/ops/classification.ts';
import * as conv from '../../src/ops/conv.ts';
import * as einsum from '../../src/ops/einsum.ts';
import * as embedding from '../../src/ops/embedding.ts';
import * as gather from '../../src/ops/gather.ts';
import * as indexing from '../../src/ops/indexing.ts';
import * as joins from '../../src/ops/joins.ts';
import * as linalg from '../../src/ops/linalg.ts';
import * as losses from '../../src/ops/losses.ts';
import * as masks from '../../src/ops/masks.ts';
import * as matmul from '../../src/ops/matmul.ts';
import * as movement from '../../src/ops/movement.ts';
import * as normalization from '../../src/ops/normalization.ts';
import * as norms from '../../src/ops/norms.ts';
import * as pooling from '../../src/ops/pooling.ts';
import * as puts from '../../src/ops/puts.ts';
import * as ranking from '../../src/ops/ranking.ts';
import * as recurrent from '../../src/ops/recurrent.ts';
import * as reductions from '../../src/ops/reductions.ts';
import * as resampling from '../../src/ops/resampling.ts';
import type { Drawn, OpSamples, Sample, Samples } from '../../src/ops/samples.ts';
import * as scans from '../../src/ops/scans.ts';
import * as sorting from '../../src/ops/sorting.ts';
import * as structure from '../../src/ops/structure.ts';
import * as windows from '../../src/ops/windows.ts';
import { type Result, random, weightsFor } from './harness.ts';

/** The files of ops with a table of samples. `records.node.test.ts` finds one that is missing. */
export const files: Readonly<Record<string, { readonly samples: () => Samples }>> = {
  activations,
  assign,
  attention,
  classification,
  conv,
  einsum,
  embedding,
  gather,
  indexing,
  puts,
  joins,
  losses,
  masks,
  norms,
  linalg,
  matmul,
  movement,
  normalization,
  pooling,
  recurrent,
  ranking,
  reductions,
  resampling,
  scans,
  sorting,
  structure,
  windows,
};

/** Their records, by op. */
export const records: ReadonlyMap<string, OpSamples> = new Map(
  Object.values(files).flatMap(({ samples }) => Object.entries(samples())),
);

const drawnOf = (input: Shape | Drawn): Drawn => ('shape' in input ? input : { shape: input });

/** Elements for an input: exact in float32 and in float16. */
export function draw(input: Shape | Drawn, seed: number): number[] {
  const { shape, dtype = 'float32', range: [low, high] = [-2, 2], values, distinct } = drawnOf(input);
  if (values) return [...values];
  const next = random(seed);
  const n = sizeOf(shape);
  if (!isFloating(dtype)) return Array.from({ length: n }, () => low + Math.floor(next() * (high - low + 1)));
  if (!distinct) return Array.from({ length: n }, () => Math.round((low + (high - low) * next()) * 128) / 128);
  const order = Array.from({ length: n }, (_, i) => ({ i, at: next() })).sort((a, b) => a.at - b.at);
  return order.map(({ i }) => low + Math.round(((high - low) * (i + 0.5) * 1024) / n) / 1024);
}

/** How inputs lie in memory: as they are, or as views whose elements are not next to each other. */
export const LAYOUTS = ['contiguous', 'strided'] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Makes a sample's tensors; leaves that require a gradient are given beside the arguments made from them. */
function place(
  s: Sample,
  device: tl.Device,
  layout: Layout,
  grad: boolean,
): { leaves: tl.Tensor[]; args: tl.Tensor[] } {
  const leaves: tl.Tensor[] = [];
  const args = s.inputs.map((input, k) => {
    const { shape, dtype = 'float32' } = drawnOf(input);
    const values = Float64Array.from(draw(input, 17 + 31 * k));
    const requiresGrad = grad && isFloating(dtype);
    const make = (data: Float64Array, to: Shape): tl.Tensor => {
      const leaf = tl.tensor(data, { shape: to, dtype, device, requiresGrad });
      if (requiresGrad) leaves.push(leaf);
      return leaf;
    };
    if (layout === 'contiguous' || shape.length === 0 || values.length === 0) return make(values, shape);
    // Last dim first in memory, every other element, after an offset of one.
    const last = shape.length - 1;
    const moved = [shape[last]!, ...shape.slice(0, last)];
    const spread = new Float64Array(2 * values.length + 1).fill(1);
    const inner = values.length / shape[last]!;
    for (let i = 0; i < values.length; i++)
      spread[1 + 2 * ((i % shape[last]!) * inner + Math.floor(i / shape[last]!))] = values[i]!;
    const flat = make(spread, [spread.length]).slice(0, 1, spread.length, 2);
    return flat.reshape(moved).movedim(0, -1);
  });
  return { leaves, args };
}

const listOf = (out: tl.Tensor | readonly tl.Tensor[]): readonly tl.Tensor[] =>
  out instanceof tl.Tensor ? [out] : out;

/** What a call gives. */
export async function results(s: Sample, device: tl.Device, layout: Layout): Promise<Result[]> {
  using scope = tl.scope();
  const outputs = scope.run(() => [...listOf(s.call(...place(s, device, layout, false).args))]);
  return Promise.all(outputs.map(async (y) => ({ dtype: y.dtype, shape: y.shape, values: await y.numbers('test') })));
}

/** The sum of a call's float outputs, each element with a weight of its own; null where none depends on the leaves. */
function weighted(s: Sample, args: readonly tl.Tensor[], seed: number): tl.Tensor | null {
  let total: tl.Tensor | null = null;
  for (const y of listOf(s.call(...args))) {
    if (!y.requiresGrad) continue;
    const part = y.mul(tl.tensor(weightsFor(y.shape, seed), { shape: y.shape, device: y.device })).sum();
    total = total ? total.add(part) : part;
  }
  return total;
}

/** Gradients of a call with respect to its float inputs, of the first order or, against fixed directions, of the second. */
export async function gradients(
  s: Sample,
  device: tl.Device,
  layout: Layout,
  order: 1 | 2,
): Promise<Float64Array[] | null> {
  using scope = tl.scope();
  const found = scope.run(() => {
    const { leaves, args } = place(s, device, layout, true);
    const y = weighted(s, args, 0.5);
    if (!y) return null;
    const first = tl.grad([y], leaves, { createGraph: order === 2, allowUnused: true });
    if (order === 1) return first.map((g) => g.detach());
    let total: tl.Tensor | null = null;
    for (const [k, g] of first.entries()) {
      if (!g.requiresGrad) continue;
      const v = tl.tensor(weightsFor(g.shape, 0.25 * (k + 1)), { shape: g.shape, device });
      total = total ? total.add(g.mul(v).sum()) : g.mul(v).sum();
    }
    return total ? tl.grad([total], leaves, { allowUnused: true }).map((g) => g.detach()) : [];
  });
  return found && Promise.all(found.map(async (g) => Float64Array.from(await g.numbers('test'))));
}

/** Elements of an input that differences are taken in: all of a small one. */
const MOST = 12;
export const probed = (n: number): number[] => {
  const step = Math.max(1, n / MOST);
  return Array.from({ length: Math.min(n, MOST) }, (_, i) => Math.floor(i * step));
};

/** The same at the probed elements by central differences of the order before, on a device that computes in float64. */
export async function differences(s: Sample, device: tl.Device, order: 1 | 2): Promise<Float64Array[]> {
  const floats = s.inputs.map(drawnOf).map((d, k) => ({ ...d, values: draw(d, 17 + 31 * k), k }));
  const out: Float64Array[] = [];
  const eps = 1e-6;
  for (const target of floats.filter((d) => isFloating(d.dtype ?? 'float32'))) {
    const found: number[] = [];
    for (const i of probed(target.values.length)) {
      const at = async (step: number): Promise<number> => {
        const inputs = floats.map((d) => ({
          ...d,
          values: d.values.map((v, j) => (d.k === target.k && j === i ? v + step : v)),
        }));
        return order === 1 ? value({ ...s, inputs }, device) : slope({ ...s, inputs }, device);
      };
      found.push(((await at(eps)) - (await at(-eps))) / (2 * eps));
    }
    out.push(Float64Array.from(found));
  }
  return out;
}

/** The weighted sum of a call's outputs that depend on its inputs; NaN where none does. */
export async function value(s: Sample, device: tl.Device): Promise<number> {
  using scope = tl.scope();
  const y = scope.run(() => weighted(s, place(s, device, 'contiguous', true).args, 0.5)?.detach() ?? null);
  return y ? (await y.numbers('test'))[0]! : Number.NaN;
}

/** The gradient along the directions that the second order is taken against. */
async function slope(s: Sample, device: tl.Device): Promise<number> {
  const first = (await gradients(s, device, 'contiguous', 1))!;
  return first.reduce((sum, g, k) => {
    const v = weightsFor([g.length], 0.25 * (k + 1));
    return sum + g.reduce((a, x, i) => a + x * v[i]!, 0);
  }, 0);
}

/** The largest disagreement of two lists of numbers, relative to the larger of 1 and what is wanted; NaN equals NaN. */
export function gap(got: readonly ArrayLike<number>[], want: readonly ArrayLike<number>[]): number {
  if (got.length !== want.length) return Infinity;
  let worst = 0;
  for (const [k, w] of want.entries()) {
    const g = got[k]!;
    if (g.length !== w.length) return Infinity;
    for (let i = 0; i < w.length; i++) {
      if (Object.is(g[i], w[i]) || g[i] === w[i]) continue;
      worst = Math.max(worst, Math.abs(g[i]! - w[i]!) / Math.max(1, Math.abs(w[i]!)));
      if (Number.isNaN(worst)) return Infinity;
    }
  }
  return worst;
}
