import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

const close = async (got: Tensor, want: unknown): Promise<void> => {
  const values = Array.from(await got.data());
  const flat = [want].flat(5) as number[];
  expect(values.length).toBe(flat.length);
  values.forEach((v, i) => {
    expect(Math.abs(v - flat[i]!), `element ${i}: ${v}, not ${flat[i]}`).toBeLessThanOrEqual(
      1e-5 * (1 + Math.abs(flat[i]!)),
    );
  });
};

describe.each(devices)('transforms of functions on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('vjp: value, and products as often as wanted', async () => {
    await clean(device, async () => {
      const a = tl.tensor([1, 2]);
      const b = tl.tensor([3, 4]);
      const { value, pullback } = tl.vjp((x, y) => x.mul(y), [a, b]);
      await close(value, [3, 8]);
      expect([value.requiresGrad, a.requiresGrad]).toEqual([false, false]);
      for (const c of [1, 10]) {
        const cotangent = tl.tensor([c, 2 * c]);
        const [da, db] = pullback(cotangent);
        await close(da, [3 * c, 8 * c]);
        await close(db, [c, 4 * c]);
        for (const t of [cotangent, da, db]) t.dispose();
      }
      pullback.dispose();
      expect(() => pullback(value)).toThrow(tl.DisposedError);
      for (const t of [a, b, value]) t.dispose();
    });
  });

  it('vjp: several outputs, one input, and zeros for what does not matter', async () => {
    await clean(device, async () => {
      const results = tl.tidy(() => {
        const x = tl.tensor([1, 2, 3]);
        const { value, pullback } = tl.vjp((v) => [v.sum(), v.square()], x);
        const gradient = pullback([tl.tensor(2), tl.tensor([1, 0, -1])]);
        const [none, two] = tl.vjp((_, w) => w.mul(2), [x, x]).pullback(tl.ones([3]));
        const nothing = tl.vjp(() => tl.ones([2]), x).pullback(tl.ones([2]));
        return [...value, gradient, none, two, nothing];
      });
      const wants = [[6], [1, 4, 9], [4, 2, -4], [0, 0, 0], [2, 2, 2], [0, 0, 0]];
      for (const [i, want] of wants.entries()) await close(results[i]!, want);
      for (const t of results) t.dispose();
    });
  });

  it('vjp: a pullback ends with the scope it was made in', () =>
    clean(device, () => {
      const x = tl.tensor([1, 2]);
      const out = tl.tidy(() => ({ pullback: tl.vjp((v) => v.square(), x).pullback }));
      expect(() => out.pullback(x)).toThrow(
        /vjp: the pullback was disposed, or the scope in which it was made has ended/,
      );
      {
        const { value, pullback } = tl.vjp((v) => v.square(), x);
        using kept = pullback;
        kept(x).dispose();
        value.dispose();
      }
      x.dispose();
    }));

  it('jvp: exact, zeros for what does not depend on the inputs', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const v = tl.tensor([1, 0.5]);
      const one = tl.jvp((a) => a.exp().mul(a), x, v);
      await close(one.value, [Math.E, 2 * Math.E ** 2]);
      await close(one.tangent, [2 * Math.E, 1.5 * Math.E ** 2]);
      const many = tl.jvp((a, b) => [a.mul(b), b.detach(), tl.ones([2]), a.sum()], [x, v], [v, x]);
      const [ab, cut, constant, sum] = many.tangent;
      await close(ab!, [1 * 1 + 1 * 1, 0.5 * 0.5 + 2 * 2]);
      await close(cut!, [0, 0]);
      await close(constant!, [0, 0]);
      await close(sum!, [1.5]);
      // Linear: its first gradient does not depend on the input at all.
      const linear = tl.jvp((a) => a.mul(3), x, v);
      await close(linear.tangent, [3, 1.5]);
      for (const t of [x, v, one.value, one.tangent, ...many.value, ...many.tangent, linear.value, linear.tangent])
        t.dispose();
    });
  });

  it('jacobian: of one and of several, with zero blocks', async () => {
    await clean(device, async () => {
      const x = tl.tensor([[1, 2, 3]]);
      const y = tl.tensor([2, -1]);
      const one = tl.jacobian((a) => a.square().sum({ dim: 0 }), x);
      expect(one.shape).toEqual([3, 1, 3]);
      await close(one, [2, 0, 0, 0, 4, 0, 0, 0, 6]);
      const scalar = tl.jacobian((a) => a.square().sum(), x);
      expect(scalar.shape).toEqual([1, 3]);
      const [byX, byY] = tl.jacobian((a, b) => a.sum().mul(b), [x, y]);
      expect([byX.shape, byY.shape]).toEqual([
        [2, 1, 3],
        [2, 2],
      ]);
      await close(byX, [2, 2, 2, -1, -1, -1]);
      await close(byY, [6, 0, 0, 6]);
      const blocks = tl.jacobian((a, b) => [a.mul(2), b.exp()], [x, y]);
      expect(blocks.map((row) => row.map((t) => t.shape))).toEqual([
        [
          [1, 3, 1, 3],
          [1, 3, 2],
        ],
        [
          [2, 1, 3],
          [2, 2],
        ],
      ]);
      await close(blocks[0]![1]!, [0, 0, 0, 0, 0, 0]);
      await close(blocks[1]![1]!, [Math.E ** 2, 0, 0, Math.E ** -1]);
      const empty = tl.jacobian((a) => a.slice(1, 0, 0), x);
      expect(empty.shape).toEqual([1, 0, 1, 3]);
      for (const t of [x, y, one, scalar, byX, byY, ...blocks.flat(), empty]) t.dispose();
    });
  });

  it('jacobian of many rows', async () => {
    await clean(device, async () => {
      const x = tl.linspace(0, 1, 40);
      const j = tl.jacobian((a) => a.mul(a.sum()), x);
      const sum = 20;
      const xs = await x.data();
      await close(
        j,
        Array.from({ length: 1600 }, (_, i) => xs[Math.floor(i / 40)]! + (i % 41 === 0 ? sum : 0)),
      );
      x.dispose();
      j.dispose();
    });
  });

  it('hessian and hvp', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const y = tl.tensor(3);
      const v = tl.tensor([1, -1]);
      const one = tl.hessian((a) => a.pow(3).sum(), x);
      await close(one, [6, 0, 0, 12]);
      const blocks = tl.hessian((a, b) => a.square().sum().mul(b), [x, y]);
      const [[xx, xy], [yx, yy]] = blocks;
      expect([xx.shape, xy.shape, yx.shape, yy.shape]).toEqual([[2, 2], [2], [2], []]);
      await close(xx, [6, 0, 0, 6]);
      await close(xy, [2, 4]);
      await close(yx, [2, 4]);
      await close(yy, [0]);
      const single = tl.hvp(
        (a) =>
          a
            .pow(3)
            .sum()
            .add(a.select(0, 0).mul(a.select(0, 1))),
        x,
        v,
      );
      await close(single.value, [11]);
      await close(single.hvp, [6 - 1, 1 - 12]);
      const pair = tl.hvp((a, b) => a.square().sum().mul(b), [x, y], [v, y]);
      await close(pair.hvp[0], [6 + 6, -6 + 12]);
      await close(pair.hvp[1], [-2]);
      const linear = tl.hvp((a) => a.sum(), x, v);
      await close(linear.hvp, [0, 0]);
      for (const t of [
        x,
        y,
        v,
        one,
        ...blocks.flat(),
        single.value,
        single.hvp,
        pair.value,
        ...pair.hvp,
        linear.value,
        linear.hvp,
      ])
        t.dispose();
    });
  });

  it('nests: transforms of transforms, also by what the inner function closes over', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2]);
      const slope = tl.grad((a: Tensor) => a.pow(3).sum());
      const results = tl.tidy(() => [
        tl.grad((a: Tensor) => slope(a)[0].sum())(x)[0],
        // d/dw of d/dx (w x^2) is 2 x, at x = 3.
        tl.grad((w: Tensor) =>
          tl
            .grad((a: Tensor) => w.mul(a.square()).sum())(tl.tensor(3))[0]
            .sum(),
        )(tl.tensor(5))[0],
        tl.jacobian((a) => tl.jacobian((b) => b.pow(3), a).sum({ dim: 1 }), x),
        tl.grad((a: Tensor) => tl.hessian((b) => b.pow(3).sum(), a).sum())(x)[0],
        tl.grad((a: Tensor) => tl.hvp((b) => b.pow(3).sum(), a, tl.ones([2])).hvp.sum())(x)[0],
        tl.grad((a: Tensor) => tl.jvp((b) => b.pow(3), a, tl.ones([2])).tangent.sum())(x)[0],
        tl.grad((a: Tensor) =>
          tl
            .vjp((b) => b.pow(3), a)
            .pullback(a)
            .sum(),
        )(x)[0],
        tl.jvp((a) => slope(a)[0], x, tl.ones([2])).tangent,
      ]);
      const wants = [[6, 12], [6], [6, 0, 0, 12], [6, 6], [6, 6], [6, 12], [9, 36], [6, 12]];
      for (const [i, want] of wants.entries()) await close(results[i]!, want);
      for (const t of [x, ...results]) t.dispose();
    });
  });

  it('createGraph records the results for backward', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      tl.tidy(() => {
        const h = tl.hessian((a) => a.pow(3).sum(), x, { createGraph: true });
        h.sum().backward();
      });
      expect(await x.grad!.toArray()).toEqual([6, 6]);
      x.grad = null;
      tl.tidy(() =>
        tl
          .grad((a: Tensor) => a.pow(3).sum(), { createGraph: true })(x)[0]
          .sum()
          .backward(),
      );
      expect(await x.grad!.toArray()).toEqual([6, 12]);
      tl.tidy(() => {
        expect(tl.jacobian((a) => a.square(), x).requiresGrad).toBe(false);
        expect(tl.noGrad(() => tl.jacobian((a) => a.square(), x)).requiresGrad).toBe(false);
      });
      x.dispose();
    });
  });

  it('refuses what it cannot differentiate, and leaves nothing behind', () =>
    clean(device, () => {
      const x = tl.tensor([1, 2]);
      const k = tl.tensor([1, 2], { dtype: 'int32' });
      const sum = (a: Tensor): Tensor => a.sum();
      expect(() => tl.grad((a: Tensor) => a.mul(2))(x)).toThrow(
        /grad: the function must return one scalar, got a tensor of shape \[2\]/,
      );
      expect(() => tl.hessian((a) => a.mul(2), x)).toThrow(/hessian: the function must return one scalar/);
      expect(() => tl.hvp((a) => a.mul(2), x, x)).toThrow(/hvp: the function must return one scalar/);
      expect(() => tl.jacobian(sum, k)).toThrow(/jacobian: input 0 is int32, but only floating tensors have gradients/);
      expect(() => tl.jacobian(() => 1 as never, x)).toThrow(
        /jacobian: the function returned number 1; it must return a tensor/,
      );
      expect(() => tl.jacobian(sum, 1 as never)).toThrow(
        /jacobian: inputs are a tensor or an array of tensors, got number 1/,
      );
      expect(() => tl.jacobian(1 as never, x)).toThrow(/jacobian: expected a function, got number 1/);
      expect(() => tl.jacobian(sum, x, { strict: true } as never)).toThrow(
        /jacobian: there is no option strict; it takes createGraph/,
      );
      expect(() => tl.tidy(() => tl.jvp(sum, x, x.select(0, 0)))).toThrow(
        /jvp: tangent 0 has shape \[\] where \[2\] is needed/,
      );
      expect(() => tl.jvp((a, b) => a.mul(b), [x, x], [x] as never)).toThrow(/jvp: expected 2 tangents, got 1/);
      expect(() => tl.tidy(() => tl.hvp(sum, x, tl.ones([3])))).toThrow(/hvp: vector 0 has shape \[3\]/);
      expect(() => tl.tidy(() => tl.vjp((a) => a.mul(2), x).pullback(x.sum()))).toThrow(
        /vjp: cotangent 0 has shape \[\] where \[2\] is needed/,
      );
      x.dispose();
      expect(() => tl.jacobian(sum, x)).toThrow(tl.DisposedError);
      k.dispose();
    }));
});
