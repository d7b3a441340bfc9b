import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

/** The right value with a wrong gradient. */
const wrong = tl.customOp({
  name: 'wrong',
  forward(ctx, a: Tensor) {
    ctx.saveForBackward(a);
    return a.square();
  },
  backward: ({ savedTensors: [a] }, g) => g.mul(a!).mul(tl.tensor([2, 3])),
});
/** A right gradient whose own gradient is lost. */
const flat = tl.customOp({
  name: 'flat',
  forward(ctx, a: Tensor) {
    ctx.saveForBackward(a);
    return a.square();
  },
  backward: ({ savedTensors: [a] }, g) => g.mul(a!.detach()).mul(2),
});

describe.each(devices)('gradcheck on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('takes several inputs and outputs, ignores integers, and sees layouts', () =>
    clean(device, async () => {
      const base = tl.tensor([
        [1, -0.5, 0.3],
        [0.2, 2, -1],
      ]);
      const view = tl.tidy(() => base.t().slice(0, 1, 3));
      const row = tl.tidy(() => tl.tensor([0.5, 1.5]).expand([2, 2]));
      const k = tl.tensor([1, 0], { dtype: 'int32' });
      const layouts: unknown[] = [];
      const fn = (a: Tensor, b: Tensor, i: Tensor): Tensor[] => {
        layouts.push(a.view.strides);
        return [a.mul(b), i.add(1), a.indexSelect(0, i).sin(), b.gt(0)];
      };
      expect(await tl.gradcheck(fn as never, [view, row, k])).toBe(true);
      expect(await tl.gradgradcheck(fn as never, [view, row, k])).toBe(true);
      expect(layouts[0]).toEqual(view.view.strides);
      for (const t of [base, view, row, k]) t.dispose();
    }));

  it('draws the same random numbers in every run', () =>
    clean(device, async () => {
      const x = tl.linspace(0.5, 2, 8);
      expect(await tl.gradcheck((a) => tl.nn.functional.dropout(a).square(), [x])).toBe(true);
      x.dispose();
    }));

  it('names input, element and both values', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const y = tl.tensor([1, 2], { requiresGrad: true });
      await expect(tl.gradcheck(wrong, [x])).rejects.toThrow(
        /^gradcheck: input 0 of shape \[2\], element 1: the gradient is [\d.]+, central differences give [\d.]+/,
      );
      await expect(tl.gradgradcheck(flat, [x])).rejects.toThrow(
        /^gradgradcheck: input 0 of shape \[2\], element 0: by its history/,
      );
      await expect(tl.gradcheck((a, b) => a!.mul(b!.detach()), [x, x])).rejects.toThrow(
        /gradcheck: input 1 .*element 0: by its history the output does not depend on it \(gradient 0\), but central differences give/,
      );
      // Only those that require a gradient, where some do.
      expect(await tl.gradcheck((a, b) => a!.detach().mul(b!), [x, y])).toBe(true);
      // An input that the output does not depend on at all.
      expect(await tl.gradcheck((a, _) => a!.square(), [x, x])).toBe(true);
      for (const t of [x, y]) t.dispose();
    }));

  it('says when there is nothing to check', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const k = tl.tensor([1, 2], { dtype: 'int32' });
      await expect(tl.gradcheck((a) => a!.mul(2), [k])).rejects.toThrow(
        /gradcheck: no input can have a gradient: they are int32/,
      );
      await expect(tl.gradcheck((a) => a!.gt(0), [x])).rejects.toThrow(
        /gradcheck: the function gives no floating output/,
      );
      await expect(tl.gradcheck(() => x, [])).rejects.toThrow(/gradcheck: give at least one input/);
      await expect(tl.gradgradcheck((a) => a!.detach(), [x])).rejects.toThrow(
        /gradgradcheck: the outputs depend on no input/,
      );
      await expect(tl.gradcheck((a) => a!, [x], { step: 1 } as never)).rejects.toThrow(
        /gradcheck: there is no option step/,
      );
      for (const t of [x, k]) t.dispose();
      await expect(tl.gradcheck((a) => a!, [x])).rejects.toThrow(tl.DisposedError);
    }));
});
