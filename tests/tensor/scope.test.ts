import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

describe.each(devices)('scopes on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it('tidy keeps what is returned, at any depth, and disposes the rest', async () => {
    await clean(device, async () => {
      let lost: tl.Tensor | undefined;
      const out = tl.tidy(() => {
        lost = tl.tensor([1]);
        const map = new Map([['m', tl.tensor([3])]]);
        return { a: [tl.tensor([1]), { b: tl.tensor([2]) }], map };
      });
      expect(lost!.disposed).toBe(true);
      const [first, second] = out.a as [tl.Tensor, { b: tl.Tensor }];
      expect(await first.item()).toBe(1);
      expect(await second.b.item()).toBe(2);
      expect(await out.map.get('m')!.item()).toBe(3);
      for (const t of [first, second.b, out.map.get('m')!]) t.dispose();
    });
  });

  it('names the scope when a tensor is used after its end', async () => {
    await clean(device, () => {
      let lost: tl.Tensor | undefined;
      tl.tidy(() => {
        lost = tl.tensor([1]);
      });
      expect(() => lost!.add(1)).toThrow(tl.DisposedError);
      expect(() => lost!.add(1)).toThrow(
        /add: a tensor of shape \[1\] was disposed by the end of tidy; return it from there or call keep\(\)/,
      );
    });
  });

  it('keep takes a tensor out of its scope', async () => {
    await clean(device, async () => {
      let kept: tl.Tensor | undefined;
      tl.tidy(() =>
        tl.tidy(() => {
          kept = tl.keep(tl.tensor([5]));
        }),
      );
      expect(await kept!.item()).toBe(5);
      kept!.dispose();
    });
  });

  it('refuses promises and handles their rejection', async () => {
    await clean(device, async () => {
      expect(() =>
        tl.tidy((async () => {
          tl.tensor([1]);
          throw new Error('inside');
        }) as () => never),
      ).toThrow(tl.UnsupportedError);
      await new Promise((r) => setTimeout(r, 5));
    });
  });

  it('releases everything on an exception', async () => {
    await clean(device, () => {
      expect(() =>
        tl.tidy(() => {
          tl.rand([10]).mul(2);
          throw new RangeError('mine');
        }),
      ).toThrow(RangeError);
    });
  });

  it('using scope() owns what runs in it and what it tracks', async () => {
    await clean(device, async () => {
      let a: tl.Tensor;
      let b: tl.Tensor;
      {
        using s = tl.scope();
        a = s.run(() => tl.tensor([1]).add(1));
        b = s.track(tl.tensor([7]));
        await Promise.resolve();
        const other = tl.tensor([9]);
        expect(await a.item()).toBe(2);
        expect(other.disposed).toBe(false);
        other.dispose();
      }
      expect(a.disposed && b.disposed).toBe(true);
    });
  });

  it('frees a result whose input was disposed first, and the other way round', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2, 3]);
      const y = x.mul(2);
      x.dispose();
      x.dispose();
      expect(await y.toArray()).toEqual([2, 4, 6]);
      y.dispose();
      const a = tl.tensor([1]);
      const z = a.mul(3);
      z.dispose();
      a.dispose();
      device.engine.flush();
    });
  });

  it('views keep their storage alive', async () => {
    const before = held(device);
    const x = tl.rand([10, 10]);
    const row = x.select(0, 3);
    x.dispose();
    expect((await row.data()).length).toBe(10);
    row.dispose();
    expect(held(device)).toEqual(before);
  });

  it('disposes with using', async () => {
    await clean(device, async () => {
      using x = tl.tensor([2]);
      using y = x.square();
      expect(await y.item()).toBe(4);
    });
  });

  it('a tape lets go of what it saved when its last tensor goes', async () => {
    await clean(device, async () => {
      const w = tl.tensor([1, 2, 3], { requiresGrad: true });
      const y = tl.tidy(() => w.mul(2).exp().mul(w).sum());
      await y.item();
      y.dispose();
      w.dispose();
    });
  });

  it('reading a loss before backward computes nothing twice', async () => {
    await clean(device, async () => {
      const w = tl.tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { requiresGrad: true },
      );
      const x = tl.tensor([
        [1, 0.5],
        [2, 1],
      ]);
      const loss = tl.tidy(() => w.matmul(x).sigmoid().sum());
      const value = await loss.item();
      const before = device.engine.counters.launches;
      loss.backward();
      const grad = await w.grad!.data();
      expect(device.engine.counters.launches - before).toBeLessThanOrEqual(4);
      expect(value).toBeGreaterThan(0);
      expect(grad.length).toBe(4);
      for (const t of [w, x, loss]) t.dispose();
    });
  });

  it('a scope may end a leaf before its gradient, and any tensor may leave it early', async () => {
    await clean(device, async () => {
      const [kept, returned] = tl.tidy(() => {
        const leaf = tl.tensor([1, 2], { requiresGrad: true });
        const all = Array.from({ length: 9 }, (_, i) => tl.tensor([i]));
        leaf.grad = tl.tensor([3, 4]);
        all[0]!.dispose();
        all[8]!.dispose();
        return [tl.keep(all[3]!), { twice: [all[5], all[5]] }] as const;
      });
      const [first, second] = returned.twice;
      expect(first).toBe(second);
      expect(await kept.item()).toBe(3);
      expect(await first!.item()).toBe(5);
      kept.dispose();
      first!.dispose();
    });
  });
});
