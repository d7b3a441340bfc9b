// What every layer is tested for: what it prints, its state, what it gives, and its gradients.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../../src/core/shape.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
type AnyModule = tl.nn.AnyModule;

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

const sizeOf = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** Elements from -2 to 2, no two alike, and none where an activation has a kink. */
export const spread = (shape: Shape, seed = 1): Tensor => {
  const n = sizeOf(shape);
  const values = Float64Array.from({ length: n }, (_, i) => 4 * ((((i + seed) * 7919) % n) / n) - 1.98731);
  return tl.tensor(values, { shape });
};

const forward = (layer: AnyModule, inputs: readonly Tensor[]): Tensor =>
  (layer.forward as (...x: Tensor[]) => Tensor)(...inputs);

/** The layer's output with other tensors in place of its parameters. */
function withParameters(layer: AnyModule, names: readonly string[], tensors: readonly Tensor[], x: readonly Tensor[]) {
  const at = layer as unknown as Record<string, Tensor>;
  const before = names.map((name) => at[name]!);
  names.forEach((name, i) => {
    at[name] = tensors[i]!;
  });
  try {
    return forward(layer, x);
  } finally {
    names.forEach((name, i) => {
      at[name] = before[i]!;
    });
  }
}

const bits = async (t: Tensor): Promise<number[]> => {
  const data = await t.data();
  return [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
};

/** Defines the tests of some layers. */
export function testLayers(theme: string, cases: readonly LayerCase[]): void {
  describe.each(devices)(`${theme} on %s`, (name) => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open(name);
    });
    afterAll(() => device.destroy());

    it.each(cases)('$text', async ({ text, make, inputs, output, state = {} }) => {
      await clean(device, async () => {
        tl.manualSeed(3);
        const layer = tl.tidy(make);
        const other = make();
        expect(String(layer)).toBe(text);
        const shapes = Object.entries(layer.stateDict()).map(([key, t]) => [key, t.shape]);
        expect(shapes).toEqual(Object.entries(state));
        expect(layer.parameters().every((p) => p.requiresGrad && p.isLeaf)).toBe(true);
        const given = tl.tidy(() => inputs.map((shape, i) => spread(shape, i + 1)));
        // In training mode first, which changes running statistics; random layers draw the same twice.
        const y = forward(layer, given);
        expect(y.shape).toEqual(output);
        expect(other.loadStateDict(layer.stateDict())).toEqual({ missing: [], unexpected: [] });
        for (const [key, t] of Object.entries(other.stateDict()))
          expect(await bits(t), key).toEqual(await bits(layer.stateDict()[key]!));
        layer.eval();
        other.eval();
        const [a, b] = [forward(layer, given), forward(other, given)];
        expect(await bits(a)).toEqual(await bits(b));
        for (const t of [...given, y, a, b, layer, other]) t.dispose();
      });
    });
  });

  describe(`gradients of ${theme}`, () => {
    let device: tl.Device;
    beforeAll(async () => {
      device = await open('reference', { precision: 'float64' });
    });
    afterAll(() => device.destroy());

    it.each(cases)('$text', async ({ make, inputs }) => {
      await clean(device, async () => {
        const layer = make();
        const names = layer.namedParameters().map(([key]) => key);
        const given = tl.tidy(() =>
          [...inputs, ...layer.parameters().map((p) => p.shape)].map((shape, i) => spread(shape, i + 1)),
        );
        const call = (...x: Tensor[]): Tensor =>
          withParameters(layer, names, x.slice(inputs.length), x.slice(0, inputs.length));
        await tl.gradcheck(call, given);
        await tl.gradgradcheck(call, given);
        for (const t of [...given, layer]) t.dispose();
      });
    });
  });
}
