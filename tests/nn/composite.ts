// What every layer with several inputs, outputs or modules inside is tested for: its state, its outputs, and its gradients.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
type AnyModule = tl.nn.AnyModule;

export interface CompositeCase<M extends AnyModule = AnyModule> {
  readonly name: string;
  /** As it prints itself, up to the modules inside. */
  readonly text: string;
  readonly make: () => M;
  /** Shapes of the inputs that are differentiated. */
  readonly inputs: readonly Shape[];
  readonly call: (layer: M, ...inputs: Tensor[]) => readonly Tensor[];
  readonly outputs: readonly Shape[];
  /** Shapes of parameters under their names in the state dict, in order. */
  readonly state: Readonly<Record<string, Shape>>;
}

/** A case whose layer has a type of its own. */
export const composite = <M extends AnyModule>(c: CompositeCase<M>): CompositeCase => c as unknown as CompositeCase;

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Elements from -1 to 1, no two of a tensor alike. */
export const spread = (shape: Shape, seed = 1): Tensor => {
  const n = sizeOf(shape);
  return tl.tensor(
    Float64Array.from({ length: n }, (_, i) => (2 * ((i * 7919 + seed * 104729) % (n + 0.37))) / n - 0.98731),
    { shape },
  );
};

/** Runs a function with other tensors in place of a module's parameters. */
export function withParameters<T>(module: AnyModule, tensors: readonly Tensor[], fn: () => T): T {
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

const bits = async (t: Tensor): Promise<number[]> => [...new Uint8Array((await t.data()).buffer.slice(0, t.size * 4))];

/** Defines the tests of some layers. */
export function testComposites(theme: string, cases: readonly CompositeCase[]): void {
  describe.each(devices)(`${theme} on %s`, (name) => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open(name);
    });
    afterAll(() => device.destroy());

    it.each(cases)('$name', async ({ text, make, inputs, call, outputs, state }) => {
      await clean(device, async () => {
        tl.manualSeed(3);
        const layer = tl.tidy(make).eval();
        const other = make().eval();
        expect(String(layer).split('\n')[0]).toBe(text);
        expect(Object.entries(layer.stateDict()).map(([key, t]) => [key, t.shape])).toEqual(Object.entries(state));
        expect(layer.parameters().every((p) => p.requiresGrad && p.isLeaf)).toBe(true);
        const given = tl.tidy(() => inputs.map((shape, i) => spread(shape, i + 1)));
        const run = (m: AnyModule): Tensor[] => tl.tidy(() => [...call(m, ...given)]);
        const [first, different] = [run(layer), run(other)];
        expect(first.map((y) => y.shape)).toEqual(outputs);
        expect(await bits(different[0]!)).not.toEqual(await bits(first[0]!));
        expect(other.loadStateDict(layer.stateDict())).toEqual({ missing: [], unexpected: [] });
        for (const [key, t] of Object.entries(other.stateDict()))
          expect(await bits(t), key).toEqual(await bits(layer.stateDict()[key]!));
        const second = run(other);
        for (const [i, y] of first.entries()) expect(await bits(second[i]!)).toEqual(await bits(y));
        for (const t of [...given, ...first, ...different, ...second, layer, other]) t.dispose();
      });
    });
  });

  describe(`gradients of ${theme}`, () => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open('reference', { precision: 'float64' });
    });
    afterAll(() => device.destroy());

    it.each(cases)('$name', async ({ make, inputs, call }) => {
      await clean(device, async () => {
        const layer = make().eval();
        const given = tl.tidy(() =>
          [...inputs, ...layer.parameters().map((p) => p.shape)].map((shape, i) => spread(shape, i + 1)),
        );
        const fn = (...x: Tensor[]): readonly Tensor[] =>
          withParameters(layer, x.slice(inputs.length), () => call(layer, ...x.slice(0, inputs.length)));
        await tl.gradcheck(fn, given);
        // The second order of every op is tested with its record: here of the inputs and of one parameter.
        for (const x of given.slice(0, inputs.length + 1)) x.requiresGrad = true;
        await tl.gradgradcheck(fn, given);
        for (const t of [...given, layer]) t.dispose();
      });
    });
  });
}
