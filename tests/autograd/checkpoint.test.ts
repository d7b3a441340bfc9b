import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

describe.each(devices)('checkpoint on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  const N = 32;
  const deep = (x: Tensor, w: Tensor): Tensor => {
    let h = x;
    for (let i = 0; i < 6; i++) h = h.matmul(w).tanh();
    return h;
  };
  const inputs = (): [Tensor, Tensor] => [
    tl.linspace(-1, 1, N * N).reshape([N, N]),
    tl.linspace(-0.2, 0.3, N * N).reshape([N, N]),
  ];
  const leaves = (): [Tensor, Tensor] => {
    const [x, w] = tl.tidy(inputs);
    x.requiresGrad = true;
    w.requiresGrad = true;
    return [x, w];
  };
  /** Bytes between forward and backward, and the gradients. */
  const run = async (
    fn: (x: Tensor, w: Tensor) => Tensor,
    flushBetween: boolean,
  ): Promise<{ bytes: number; loss: number; gradients: number[][] }> => {
    const [x, w] = leaves();
    tl.manualSeed(7);
    const loss = tl.tidy(() => {
      const y = fn(x, w).sum();
      if (!flushBetween) y.backward();
      return y;
    });
    const { bytes } = held(device);
    if (flushBetween) tl.tidy(() => loss.backward());
    const gradients = await Promise.all([x, w].map(async (t) => Array.from(await t.grad!.data())));
    const result = { bytes, loss: await loss.item(), gradients };
    for (const t of [x, w, loss]) t.dispose();
    return result;
  };

  it('holds less between forward and backward, and gives the same gradients to the bit', () =>
    clean(device, async () => {
      const plain = await run(deep, true);
      const saving = await run((x, w) => tl.checkpoint(deep, x, w), true);
      expect(saving.loss).toBeCloseTo(plain.loss, 3);
      expect(saving.gradients).toEqual(plain.gradients);
      // The inputs and the loss; six results and what tanh saves without it.
      expect(plain.bytes).toBeGreaterThanOrEqual(7 * N * N * 4);
      expect(saving.bytes).toBeLessThanOrEqual(2 * N * N * 4 + 1024);
    }));

  it('closes over parameters, and takes what is no tensor', () =>
    clean(device, async () => {
      const plain = await run((x, w) => deep(x, w).mul(w), true);
      for (const between of [true, false]) {
        const saving = await run(
          (x, w) => tl.checkpoint((a: Tensor, by: Tensor, n: number) => deep(a, w).mul(by).mul(n), x, w, 1),
          between,
        );
        expect(saving.gradients).toEqual(plain.gradients);
      }
      // No input that requires a gradient at all.
      const w = tl.tensor([1, 2], { requiresGrad: true });
      tl.tidy(() =>
        tl
          .checkpoint((a: Tensor) => a.mul(w).square(), tl.tensor([3, 4]))
          .sum()
          .backward(),
      );
      expect(await w.grad!.toArray()).toEqual([18, 64]);
      w.dispose();
    }));

  it('draws the same random numbers again, and leaves the stream where it was', () =>
    clean(device, async () => {
      const noisy = (x: Tensor, w: Tensor): Tensor =>
        tl.nn.functional.dropout(tl.nn.functional.dropout(x, { p: 0.3 }).matmul(w).tanh().square(), { p: 0.5 });
      const plain = await run(noisy, true);
      const next = async (): Promise<number[]> => {
        using t = tl.rand([4]);
        return Array.from(await t.data());
      };
      const after = await next();
      const saving = await run((x, w) => tl.checkpoint(noisy, x, w), true);
      expect(saving.gradients).toEqual(plain.gradients);
      expect(saving.bytes).toBeLessThan(plain.bytes);
      expect(await next()).toEqual(after);
    }));

  it('in one step with its backward pass, never computes again before the gradient has come', () =>
    clean(device, async () => {
      const pair = (f: typeof deep) => (x: Tensor, w: Tensor) => f(f(f(x, w), w), w);
      const plain = await run(pair(deep), false);
      const saving = await run(
        pair((x, w) => tl.checkpoint(deep, x, w)),
        false,
      );
      expect(saving.gradients).toEqual(plain.gradients);
      const slots = (f: (x: Tensor, w: Tensor) => Tensor): number => {
        const [x, w] = leaves();
        const count = tl.tidy(() => {
          const y = f(x, w).sum();
          y.backward();
          return Number(/(\d+) buffers/.exec(tl.explain(x.grad!))![1]);
        });
        for (const t of [x, w]) t.dispose();
        return count;
      };
      expect(slots(pair((x, w) => tl.checkpoint(deep, x, w)))).toBeLessThan(slots(pair(deep)) - 4);
    }));

  it('nested, with several results', () =>
    clean(device, async () => {
      const two = (x: Tensor, w: Tensor): Tensor[] => [deep(x, w), x.mul(w).exp()];
      const plain = await run((x, w) => {
        const [a, b] = two(x, w) as [Tensor, Tensor];
        return deep(a, b).mul(a);
      }, true);
      const nested = await run(
        (x, w) =>
          tl.checkpoint(
            (c: Tensor, d: Tensor) => {
              const [a, b] = tl.checkpoint(two, c, d) as [Tensor, Tensor];
              return tl.checkpoint(deep, a, b).mul(a);
            },
            x,
            w,
          ),
        true,
      );
      expect(nested.gradients).toEqual(plain.gradients);
      expect(nested.bytes).toBeLessThanOrEqual(2 * N * N * 4 + 1024);
    }));

  it('second order, twice through a retained graph, and on its own tape only once', () =>
    clean(device, async () => {
      const f = (a: Tensor): Tensor => a.pow(3).mul(a.exp());
      const x = tl.tensor([0.5, -1], { requiresGrad: true });
      const gradients = tl.tidy(() =>
        [f, (a: Tensor) => tl.checkpoint(f, a)].map((g) => {
          const [d] = tl.grad([g(x).sum()], [x], { createGraph: true });
          const [d2] = tl.grad([d!.square().sum()], [x]);
          const y = g(x).sum();
          const [once] = tl.grad([y], [x], { retainGraph: true });
          const [again] = tl.grad([y], [x]);
          expect(() => tl.grad([y], [x])).toThrow(/was used before/);
          return [d!.detach(), d2!, once!, again!];
        }),
      );
      const [want, got] = await Promise.all(gradients.map((list) => Promise.all(list.map((t) => t.toArray()))));
      expect(got).toEqual(want);
      const h = tl.tidy(() => tl.hessian((a) => tl.checkpoint((b: Tensor) => b.mul(b).mul(b).sum(), a), x));
      expect(Array.from(await h.data(), (v) => v + 0)).toEqual([3, 0, 0, -6]);
      for (const t of [x, h, ...gradients.flat()]) t.dispose();
    }));

  it('lets go when nobody calls backward, also of what it never needed', () =>
    clean(device, () => {
      const [x, w] = leaves();
      const y = tl.tidy(() => tl.checkpoint(deep, x, w));
      y.dispose();
      const same = tl.checkpoint((a: Tensor) => a, x);
      expect(same).toBe(x);
      expect(tl.noGrad(() => tl.tidy(() => tl.checkpoint(deep, x, w).requiresGrad))).toBe(false);
      expect(() =>
        tl.checkpoint((a: Tensor) => {
          a.mul(2);
          throw new Error('mine');
        }, x),
      ).toThrow('mine');
      for (const t of [x, w]) t.dispose();
      expect(() => tl.checkpoint(deep, x, w)).toThrow(tl.DisposedError);
      expect(() => tl.checkpoint(1 as never)).toThrow(/checkpoint: expected a function, got number 1/);
    }));

  it('computes from the inputs as they were, and refuses another run or a changed parameter', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const w = tl.tensor([3, 4], { requiresGrad: true });
      const y = tl.tidy(() => tl.checkpoint((a: Tensor) => a.square().mul(a).sum(), x));
      tl.noGrad(() => x.assign_(100));
      y.backward();
      expect(await x.grad!.toArray()).toEqual([3, 12]);
      const z = tl.tidy(() => tl.checkpoint((a: Tensor) => a.mul(w).sum(), x));
      tl.noGrad(() => w.add_(1));
      expect(() => z.backward()).toThrow(
        /checkpoint: a leaf that mul reads was changed in place before the backward pass/,
      );
      let runs = 0;
      const moody = tl.tidy(() => tl.checkpoint((a: Tensor) => (runs++ === 0 ? a.exp() : a.sin()).sum(), x));
      expect(() => moody.backward()).toThrow(
        /checkpoint: the function did something else when it ran again .* op 0 was exp and is now sin/,
      );
      const early = tl.tidy(() => {
        const b = w.mul(2);
        return tl.checkpoint((a: Tensor) => a.mul(b).sum(), x);
      });
      expect(() => early.backward()).toThrow(
        /checkpoint: the function closes over a tensor that was disposed before .*; give it as an input/,
      );
      early.dispose();
      expect(w.grad).toBeNull();
      for (const t of [x, w, y, z, moody]) t.dispose();
    }));
});
