// What every layer is tested for: what it prints, its state, what it gives, and its gradients.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
type AnyModule = tl.nn.AnyModule;

/** A layer of tensors to one tensor. */
export interface LayerCase {
  /** As it prints itself, which names the case. */
  readonly text: string;
  readonly make: () => AnyModule;
  /** Shapes of the inputs. */
  readonly inputs: readonly Shape[];
  readonly output: Shape;
  /** Shapes of parameters and buffers under their names in the state dict, in order; none unless given. */
  readonly state?: Readonly<Record<string, Shape>>;
}

/** A layer with a call of its own: of several outputs, say, or of modules inside, up to which it prints itself. */
export interface CompositeCase<M extends AnyModule = AnyModule> extends Omit<LayerCase, 'output'> {
  readonly name: string;
  readonly make: () => M;
  readonly call: (layer: M, ...inputs: Tensor[]) => readonly Tensor[];
  readonly outputs: readonly Shape[];
}

/** A case whose layer has a type of its own. */
export const composite = <M extends AnyModule>(c: CompositeCase<M>): CompositeCase => c as unknown as CompositeCase;

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Elements from -2 to 2, no two alike, and none where an activation has a kink. */
export const spread = (shape: Shape, seed = 1): Tensor => {
  const n = sizeOf(shape);
  const values = Float64Array.from({ length: n }, (_, i) => 4 * ((((i + seed) * 7919) % n) / n) - 1.98731);
  return tl.tensor(values, { shape });
};

/** Runs a function with other tensors in place of a module's parameters. */
function withParameters<T>(module: AnyModule, tensors: readonly Tensor[], fn: () => T): T {
  const places = module.namedParameters().map(([path]) => {
    const names = path.split('.');
    const key = names.pop()!;
    let owner = module as unknown as Record<string, unknown>;
    for (const name of names) owner = owner[name] as Record<string, unknown>;
    return { owner, key, before: owner[key] };
  });
  const put = (owner: object, key: string, value: unknown): void => {
    Object.defineProperty(owner, key, { value, writable: true, enumerable: true, configurable: true });
  };
  places.forEach(({ owner, key }, i) => {
    put(owner, key, tensors[i]);
  });
  try {
    return fn();
  } finally {
    for (const { owner, key, before } of places) put(owner, key, before);
  }
}

const bits = async (t: Tensor): Promise<number[]> => {
  const data = await t.data();
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
};
const allBits = (tensors: readonly Tensor[]): Promise<number[][]> => Promise.all(tensors.map(bits));

const callOf = (c: LayerCase | CompositeCase): CompositeCase['call'] =>
  'call' in c ? c.call : (layer, ...x) => [(layer.forward as (...x: Tensor[]) => Tensor)(...x)];

/** Defines the tests of some layers. */
export function testLayers(theme: string, cases: readonly (LayerCase | CompositeCase)[]): void {
  const named = cases.map((c) => [('name' in c ? c.name : c.text) as string, c] as const);

  describe.each(devices)(`${theme} on %s`, (name) => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open(name);
    });
    afterAll(() => device.destroy());

    it.each(named)('%s', async (_, c) => {
      await clean(device, async () => {
        const { text, make, inputs, state = {} } = c;
        const call = callOf(c);
        tl.manualSeed(3);
        const layer = tl.tidy(make);
        const other = make();
        const printed = String(layer);
        expect('call' in c ? printed.split('\n')[0] : printed).toBe(text);
        const shapes = Object.entries(layer.stateDict()).map(([key, t]) => [key, t.shape]);
        expect(shapes).toEqual(Object.entries(state));
        expect(layer.parameters().every((p) => p.requiresGrad && p.isLeaf)).toBe(true);
        const given = tl.tidy(() => inputs.map((shape, i) => spread(shape, i + 1)));
        // Outside of scopes where all outputs come back: a layer leaves nothing behind by itself.
        const run = (m: AnyModule): readonly Tensor[] =>
          'call' in c ? tl.tidy(() => [...call(m, ...given)]) : call(m, ...given);
        // In training mode first, which changes running statistics; random layers draw the same twice.
        const trained = run(layer);
        expect(trained.map((y) => y.shape)).toEqual('call' in c ? c.outputs : [c.output]);
        layer.eval();
        other.eval();
        const [first, before] = [run(layer), run(other)];
        if ('call' in c) expect(await bits(before[0]!)).not.toEqual(await bits(first[0]!));
        expect(other.loadStateDict(layer.stateDict())).toEqual({ missing: [], unexpected: [] });
        for (const [key, t] of Object.entries(other.stateDict()))
          expect(await bits(t), key).toEqual(await bits(layer.stateDict()[key]!));
        const second = run(other);
        expect(await allBits(second)).toEqual(await allBits(first));
        for (const t of [...given, ...trained, ...first, ...before, ...second, layer, other]) t.dispose();
      });
    });
  });

  describe(`gradients of ${theme}`, () => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open('reference', { precision: 'float64' });
    });
    afterAll(() => device.destroy());

    it.each(named)('%s', async (_, c) => {
      await clean(device, async () => {
        const { make, inputs } = c;
        const call = callOf(c);
        const layer = make();
        if ('call' in c) layer.eval();
        const given = tl.tidy(() =>
          [...inputs, ...layer.parameters().map((p) => p.shape)].map((shape, i) => spread(shape, i + 1)),
        );
        const fn = (...x: Tensor[]): readonly Tensor[] =>
          withParameters(layer, x.slice(inputs.length), () => call(layer, ...x.slice(0, inputs.length)));
        await tl.gradcheck(fn, given);
        // The second order of every op is tested with its record: here, where there are many, of the inputs and of one parameter.
        for (const x of 'call' in c ? given.slice(0, inputs.length + 1) : given) x.requiresGrad = true;
        await tl.gradgradcheck(fn, given);
        for (const t of [...given, layer]) t.dispose();
      });
    });
  });
}
