import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

describe.each(devices)('hooks on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('fire once with the sum over all paths, before what retainGrad keeps', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const seen: Tensor[] = [];
      const h = tl.tidy(() => {
        const y = x.mul(2);
        y.retainGrad();
        y.registerHook((g) => {
          seen.push(tl.keep(g.detach()));
        });
        y.registerHook((g) => g.mul(10));
        y.registerHook((g) => g.add(1));
        y.mul(3).add(y.square()).sum().backward();
        return y;
      });
      expect(await Promise.all(seen.map((g) => g.toArray()))).toEqual([[7, 11]]);
      expect(await h.grad!.toArray()).toEqual([71, 111]);
      expect(await x.grad!.toArray()).toEqual([142, 222]);
      for (const t of [x, h, ...seen]) t.dispose();
    }));

  it('on leaves see the gradient of this pass, not what was there', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const seen: Tensor[] = [];
      const remove = x.registerHook((g) => {
        seen.push(tl.keep(g.detach()));
      });
      for (let i = 0; i < 2; i++) tl.tidy(() => x.mul(3).sum().backward());
      expect(await Promise.all(seen.map((g) => g.toArray()))).toEqual([
        [3, 3],
        [3, 3],
      ]);
      expect(await x.grad!.toArray()).toEqual([6, 6]);
      // grad() runs them too, as in PyTorch, and leaves .grad alone.
      remove();
      x.registerHook((g) => g.mul(2));
      const [d] = tl.tidy(() => tl.grad([x.sum()], [x]));
      expect(await d!.toArray()).toEqual([2, 2]);
      expect(await x.grad!.toArray()).toEqual([6, 6]);
      for (const t of [x, d!, ...seen]) t.dispose();
    }));

  it('can be removed, from within too, and twice', () =>
    clean(device, async () => {
      const x = tl.tensor([1], { requiresGrad: true });
      const calls: string[] = [];
      const log = (what: string) => (): void => {
        calls.push(what);
      };
      const same = log('same');
      const first = x.registerHook(same);
      x.registerHook(same);
      const once = x.registerHook(() => {
        calls.push('once');
        once();
      });
      x.registerHook(log('last'));
      first();
      first();
      for (let i = 0; i < 2; i++) tl.tidy(() => x.sum().backward());
      expect(calls).toEqual(['same', 'once', 'last', 'same', 'last']);
      x.dispose();
    }));

  it('are differentiated with createGraph', () =>
    clean(device, async () => {
      const x = tl.tensor([1, 2], { requiresGrad: true });
      const d2 = tl.tidy(() => {
        const y = x.mul(1);
        const remove = y.registerHook((g) => g.mul(x));
        const [d] = tl.grad([y.square().sum()], [x], { createGraph: true });
        remove();
        return tl.grad([d!.sum()], [x])[0]!;
      });
      // d = 2 x * x.
      expect(await d2.toArray()).toEqual([4, 8]);
      for (const t of [x, d2]) t.dispose();
    }));

  it('that fail leave gradients and graph as they were', () =>
    clean(device, async () => {
      const [x, w] = [tl.tensor([1, 2], { requiresGrad: true }), tl.tensor([3, 4], { requiresGrad: true })];
      const loss = tl.tidy(() => x.mul(w).sum());
      const fails: [hook: (g: Tensor) => unknown, says: RegExp][] = [
        [(g) => g.sum(), /registerHook: the hook returned .* for a gradient of shape \[2\]/],
        [(g) => g.to('int32'), /registerHook: the hook returned .*int32.* dtype float32/],
        [() => 1, /registerHook: the hook returned number 1/],
        [async () => undefined, /registerHook: the hook returned a Promise/],
      ];
      for (const [hook, says] of fails) {
        const remove = x.registerHook(hook as never);
        expect(() => loss.backward()).toThrow(says);
        remove();
        expect([x.grad, w.grad]).toEqual([null, null]);
      }
      loss.backward();
      expect(await x.grad!.toArray()).toEqual([3, 4]);
      const plain = tl.tensor([1]);
      expect(() => plain.registerHook(() => undefined)).toThrow(/registerHook: the tensor requires no gradient/);
      expect(() => plain.retainGrad()).toThrow(/retainGrad: the tensor requires no gradient/);
      for (const t of [x, w, loss, plain]) t.dispose();
    }));
});

describe.each(devices)('in-place updates and gradients on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => device.destroy());

  it('a result updated in place keeps earlier results and their gradients', () =>
    clean(device, async () => {
      const w = tl.tensor([1, 2], { requiresGrad: true });
      const y = tl.tidy(() => w.mul(2));
      const z = tl.tidy(() => y.square().sum());
      const e = tl.tidy(() => w.exp());
      y.add_(w);
      tl.noGrad(() => e.zero_());
      z.backward({ retainGraph: true });
      // 8 w: not what y is now.
      expect(await w.grad!.toArray()).toEqual([8, 16]);
      w.grad = null;
      tl.tidy(() => y.square().sum().backward());
      // y = 3 w.
      expect(await w.grad!.toArray()).toEqual([18, 36]);
      w.grad = null;
      tl.tidy(() => e.sum().backward());
      // What noGrad changed does not count.
      expect(Array.from(await w.grad!.data())).toEqual([expect.closeTo(Math.E, 4), expect.closeTo(Math.E ** 2, 4)]);
      for (const t of [w, y, z, e]) t.dispose();
    }));

  it('a plain tensor takes over the history of what it is given', () =>
    clean(device, async () => {
      const w = tl.tensor([1, 2], { requiresGrad: true });
      const x = tl.tensor([
        [1, 1],
        [1, 1],
      ]);
      tl.tidy(() => {
        x.mul_(w);
        x.mul_(2);
        expect([x.requiresGrad, x.isLeaf]).toEqual([true, false]);
        x.sum().backward();
      });
      expect(await w.grad!.toArray()).toEqual([4, 4]);
      for (const t of [w, x]) t.dispose();
    }));

  it('leaves are updated under noGrad, through views too; anything else is refused and changes nothing', () =>
    clean(device, async () => {
      const w = tl.tensor([1, 2, 3], { requiresGrad: true });
      tl.tidy(() => {
        tl.noGrad(() => w.slice(0, 1).assign_(7));
      });
      expect([await w.toArray(), w.isLeaf]).toEqual([[1, 7, 7], true]);
      const y = tl.tidy(() => w.mul(2));
      const view = tl.tidy(() => y.slice(0, 0, 2));
      const plain = tl.tensor([1, 2]);
      const part = plain.slice(0, 0, 1);
      expect(() => w.mul_(2)).toThrow(
        /assign_: the tensor is a leaf that requires a gradient; update it inside noGrad/,
      );
      expect(() => view.mul_(2)).toThrow(/assign_: the tensor is or has a view that autograd would have to follow/);
      expect(() => y.mul_(2)).toThrow(/is or has a view/);
      expect(() => plain.assign_(view)).toThrow(/is or has a view/);
      expect(() => tl.tidy(() => part.assign_(view.slice(0, 0, 1)))).toThrow(/is or has a view/);
      expect(await y.toArray()).toEqual([2, 14, 14]);
      view.dispose();
      y.mul_(2);
      expect(await y.toArray()).toEqual([4, 28, 28]);
      for (const t of [w, y, plain, part]) t.dispose();
    }));

  it('results that lie permuted or with gaps in their storage are updated like others', () =>
    clean(device, async () => {
      const w = tl.tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { requiresGrad: true },
      );
      const made = tl.tidy(() => [w.cumsum(0), w.pad([1, -1]), w.mul(2).t()]);
      for (const [y, value, slope] of [
        [made[0], [3, 6, 12, 18], [6, 6, 3, 3]],
        [made[1], [0, 3, 0, 9], [3, 0, 3, 0]],
        [made[2], [6, 18, 12, 24], [6, 6, 6, 6]],
      ] as const) {
        y!.mul_(3);
        expect(Array.from(await y!.data())).toEqual(value);
        tl.tidy(() => y!.sum().backward());
        expect(Array.from(await w.grad!.data())).toEqual(slope);
        w.grad = null;
      }
      for (const t of [w, ...made]) t.dispose();
    }));
});
