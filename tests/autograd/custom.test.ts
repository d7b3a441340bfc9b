import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices, inBrowser } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

const cube = tl.customOp({
  name: 'cube',
  forward(ctx, a: Tensor) {
    ctx.saveForBackward(a);
    return a.mul(a).mul(a);
  },
  backward({ savedTensors: [a] }, g) {
    return g.mul(a!.square()).mul(3);
  },
});

/** exp by its output, and scaled by a number. */
const scaledExp = tl.customOp({
  name: 'scaledExp',
  forward(ctx, a: Tensor, scale: number) {
    const y = a.exp().mul(scale);
    ctx.saveForBackward(y);
    return y;
  },
  backward({ savedTensors: [y] }, g) {
    return [g.mul(y!), null];
  },
});

/** Sum and product, with both saved, and an integer among the outputs. */
const sumProduct = tl.customOp({
  name: 'sumProduct',
  forward(ctx, a: Tensor, b: Tensor) {
    const product = a.mul(b);
    ctx.saveForBackward(a, b, product);
    return [a.add(b), a.gt(b), product];
  },
  backward({ savedTensors: [a, b, product] }, gSum, _gGreater, gProduct) {
    // The product by way of what was saved, so that second derivatives go through it.
    return [gSum!.add(gProduct!.mul(product!).div(a!)), gSum!.add(gProduct!.mul(product!).div(b!))];
  },
});

describe.each(devices)('customOp on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('has the gradient it was given, of every order', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const results = tl.tidy(() => {
        const y = cube(x);
        expect([y.requiresGrad, y.isLeaf]).toEqual([true, false]);
        const [d] = tl.grad([y.sum()], [x], { createGraph: true });
        const [d2] = tl.grad([d!.sum()], [x], { createGraph: true });
        const [d3] = tl.grad([d2!.sum()], [x]);
        return [y.detach(), d!.detach(), d2!.detach(), d3!];
      });
      expect(await Promise.all(results.map((t) => t.toArray()))).toEqual([
        [1, 8],
        [3, 12],
        [6, 12],
        [6, 6],
      ]);
      for (const t of [x, ...results]) t.dispose();
    }));

  it('saves its output, and hands numbers on', () =>
    clean(device, async () => {
      const x = tl.tensor([0, 1], { requiresGrad: true });
      const results = tl.tidy(() => {
        const [d] = tl.grad([scaledExp(x, 2).sum()], [x], { createGraph: true });
        const [d2] = tl.grad([d!.sum()], [x]);
        return [d!.detach(), d2!];
      });
      for (const t of results) {
        const [zero, one] = await t.data();
        expect([zero, one!]).toEqual([2, expect.closeTo(2 * Math.E, 4)]);
      }
      for (const t of [x, ...results]) t.dispose();
    }));

  it('has several outputs, some of them unused or no floats', () =>
    clean(device, async () => {
      const a = tl.tensor([1, 2], { requiresGrad: true });
      const b = tl.tensor([3, 5], { requiresGrad: true });
      const results = tl.tidy(() => {
        const [sum, greater, product] = sumProduct(a, b);
        expect([sum!, greater!, product!].map((t) => t.requiresGrad)).toEqual([true, false, true]);
        const both = tl.grad([sum!.mul(2).add(product!).sum()], [a, b], { retainGraph: true });
        const one = tl.grad([sum!.sum()], [a, b], { retainGraph: true });
        const [g] = tl.grad([product!.sum()], [a], { createGraph: true });
        const mixed = tl.grad([g!.sum()], [b]);
        return [...both, ...one, ...mixed];
      });
      expect(await Promise.all(results.map((t) => t.toArray()))).toEqual([
        [5, 7],
        [3, 4],
        [1, 1],
        [1, 1],
        [1, 1],
      ]);
      for (const t of [a, b, ...results]) t.dispose();
    }));

  it('tells what needs a gradient, and records nothing where none does', () =>
    clean(device, () => {
      const seen: unknown[] = [];
      const spy = tl.customOp({
        name: 'spy',
        forward(ctx, a: Tensor, b: Tensor) {
          seen.push(ctx.needsInputGrad, a.mul(b).requiresGrad);
          return a;
        },
        backward(ctx, g) {
          seen.push(ctx.needsInputGrad);
          return [g, null];
        },
      });
      tl.tidy(() => {
        const a = tl.tensor([1]);
        const b = tl.tensor([1], { requiresGrad: true });
        const y = spy(a, b);
        // An input that comes back is a tensor of its own.
        expect([y === a, y.requiresGrad, a.requiresGrad]).toEqual([false, true, false]);
        y.sum().backward();
        expect(b.grad).toBeNull();
        expect(spy(a, a).requiresGrad).toBe(false);
        expect(tl.noGrad(() => spy(a, b)).requiresGrad).toBe(false);
      });
      expect(seen).toEqual([[false, true], false, [false, true], [false, false], false, [false, false], false]);
    }));

  it('sums what broadcasting added, and names what is wrong', () =>
    clean(device, async () => {
      const bad = (
        backward: (g: Tensor) => unknown,
        forward: (a: Tensor) => unknown = (a) => a.mul(1),
      ): ((a: Tensor) => Tensor) =>
        tl.customOp({
          name: 'bad',
          forward: (_, a: Tensor) => forward(a) as Tensor,
          backward: (_, g) => backward(g) as Tensor,
        });
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const run = (op: (a: Tensor) => Tensor): void => tl.tidy(() => op(x).sum().backward());
      expect(() => run(bad((g) => g.sum()))).toThrow(
        /bad: backward returned a gradient of shape \[\] for argument 0 of shape \[2\]/,
      );
      expect(() => run(bad((g) => [g, g]))).toThrow(/bad: backward returned 2 gradients for 1 arguments/);
      expect(() => run(bad(() => 1))).toThrow(/bad: backward returned number 1 for argument 0/);
      expect(() =>
        run(
          bad(
            (g) => g,
            () => 1,
          ),
        ),
      ).toThrow(/bad: forward returned number 1; it gives a tensor/);
      expect(() => tl.customOp({ name: 'x' } as never)).toThrow(
        /customOp: give it a name, and the functions forward and backward/,
      );
      expect(() => bad((g) => g)(1 as never)).toThrow(/bad: at least one input must be a tensor/);
      expect(x.grad).toBeNull();
      run(bad((g) => g.expand([3, 2])));
      expect(await x.grad!.toArray()).toEqual([3, 3]);
      x.dispose();
    }));

  it('lets go of what it saved', () =>
    clean(device, () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const y = tl.tidy(() => sumProduct(x, x)[2]!);
      y.dispose();
      x.dispose();
    }));

  it.skipIf(inBrowser)('passes the checks', async () => {
    const exact = await tl.device('reference', { precision: 'float64' });
    using scope = tl.scope();
    const on = (values: number[]): Tensor => scope.track(tl.tensor(values, { device: exact }));
    const [a, b] = [on([0.5, -1.5]), on([2, 1])];
    for (const check of [tl.gradcheck, tl.gradgradcheck]) {
      await check(cube, [a]);
      await check((t) => scaledExp(t!, 3), [a]);
      await check(sumProduct as (...x: Tensor[]) => Tensor[], [a, b]);
    }
    scope.dispose();
    exact.destroy();
  });
});
