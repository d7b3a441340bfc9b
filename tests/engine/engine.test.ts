import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

describe.each(devices)('engine on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });
  const counters = () => ({ ...device.engine.counters });
  const launched = (before: { launches: number }) => device.engine.counters.launches - before.launches;

  it('fuses a chain of maps into one kernel', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2, 3]);
      await x.data();
      const before = counters();
      const y = tl.tidy(() => x.mul(2).add(1).relu().neg());
      expect(await y.toArray()).toEqual([-3, -5, -7]);
      expect(launched(before)).toBe(1);
      x.dispose();
      y.dispose();
    });
  });

  it('copies what tensor() is given, however much it is', async () => {
    // As Buffer does.
    class Shared extends Uint8Array {
      override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
        return this.subarray(start, end) as Uint8Array<ArrayBuffer>;
      }
    }
    await clean(device, async () => {
      const made = [2, 5000].flatMap((n) =>
        [new Float32Array(n + 3).subarray(3), new Int32Array(n), new Uint8Array(n), new Shared(n)].map((data) => {
          data.fill(7);
          const x = tl.tensor(data);
          data.fill(9);
          return x;
        }),
      );
      for (const x of made) {
        const y = tl.tidy(() => x.add(0));
        for (const t of [x, y]) expect([...new Set(await t.data<'int32'>())]).toEqual([7]);
        y.dispose();
        x.dispose();
      }
    });
  });

  it('tells plans apart that differ in one number', async () => {
    await clean(device, async () => {
      const x = tl.arange(5000);
      const read = async (offset: number, length: number): Promise<number> => {
        const y = tl.tidy(() => x.slice(0, offset, offset + length).sum());
        const value = await y.item();
        y.dispose();
        return value;
      };
      await x.data();
      const before = counters();
      for (let round = 0; round < 2; round++)
        for (let i = 1; i <= 20; i++) expect(await read(100 * i, i)).toBe(100 * i * i + (i * (i - 1)) / 2);
      expect(counters().plans - before.plans).toBe(20);
      expect(counters().planHits - before.planHits).toBe(20);
      x.dispose();
    });
  });

  it('runs one kernel an op without fusion', async () => {
    await clean(device, async () => {
      device.engine.fusion = false;
      const x = tl.tensor([1, 2, 3]);
      const before = counters();
      const y = tl.tidy(() => x.mul(2).add(1).relu().neg());
      expect(await y.toArray()).toEqual([-3, -5, -7]);
      expect(launched(before)).toBe(4);
      device.engine.fusion = true;
      x.dispose();
      y.dispose();
    });
  });

  it('fuses a long chain of products and maps to its end', async () => {
    await clean(device, async () => {
      const [x, w] = [
        tl.tensor([[1, 1]]),
        tl.tensor([
          [0.5, 0],
          [0, 0.5],
        ]),
      ];
      await x.data();
      const before = counters();
      const steps = 300;
      const y = tl.tidy(() => {
        let h = x;
        // Two ways lead from each step to the next one, so that there is something to search for cycles.
        for (let i = 0; i < steps; i++) h = h.matmul(w).add(h.mul(0.5));
        return h;
      });
      expect(await y.toArray()).toEqual([[1, 1]]);
      expect(launched(before)).toBe(steps);
      for (const t of [x, w, y]) t.dispose();
    });
  });

  it('makes softmax a single row program', async () => {
    await clean(device, async () => {
      const x = tl.tensor([
        [1, 2, 3],
        [1, 1, 1],
      ]);
      const before = counters();
      const y = tl.softmax(x, 1);
      const rows = (await y.toArray()) as number[][];
      expect(launched(before)).toBe(1);
      expect(rows[1]![0]).toBeCloseTo(1 / 3, 6);
      x.dispose();
      y.dispose();
    });
  });

  it('joins bias and activation to their matmul', async () => {
    await clean(device, async () => {
      const x = tl.rand([8, 5]);
      const w = tl.rand([3, 5]);
      const b = tl.rand([3]);
      device.engine.flush();
      const before = counters();
      const y = tl.tidy(() => tl.linear(x, w, b).relu());
      await y.data();
      expect(launched(before)).toBe(1);
      for (const t of [x, w, b, y]) t.dispose();
    });
  });

  it('adds up products as they come, without keeping them all', async () => {
    await clean(device, async () => {
      const parts = Array.from({ length: 6 }, (_, i) => tl.full([8, 8], i + 1));
      device.engine.flush();
      const sum = (): Tensor => parts.slice(1).reduce((a, p) => a.add(p.matmul(p)), parts[0]!.matmul(parts[0]!));
      const text = tl.tidy(() => tl.explain(sum()));
      expect(text).toMatch(/^6 kernels, 1 buffer /);
      expect(text.match(/in place/g)).toHaveLength(5);
      const y = tl.tidy(sum);
      expect(Array.from(await y.data())).toEqual(new Array(64).fill(8 * (1 + 4 + 9 + 16 + 25 + 36)));
      for (const t of [...parts, y]) t.dispose();
    });
  });

  it('computes several updates of one shape in one kernel, in place', async () => {
    await clean(device, async () => {
      const [p, m, v] = [tl.ones([16]), tl.zeros([16]), tl.zeros([16])] as const;
      const g = tl.full([16], 0.5);
      device.engine.flush();
      const buffers = [p, m, v].map((t) => t.node.buffer);
      const before = counters();
      tl.tidy(() => {
        const m1 = m.mul(0.5).add(g.mul(0.5));
        const v1 = v.mul(0.5).add(g.square().mul(0.5));
        const p1 = p.sub(m1.div(v1.sqrt().add(1)));
        m.assign_(m1);
        v.assign_(v1);
        p.assign_(p1);
      });
      expect(launched(before)).toBe(1);
      expect([p, m, v].map((t) => t.node.buffer)).toEqual(buffers);
      expect((await m.data())[3]).toBe(0.25);
      for (const t of [p, m, v, g]) t.dispose();
    });
  });

  it('updates a tensor in its own buffer in the epilogue of a matmul, after all that reads it', async () => {
    await clean(device, async () => {
      const [p, a, b] = [tl.ones([4, 3]), tl.ones([4, 2]), tl.ones([2, 3])] as const;
      device.engine.flush();
      const { buffer } = p.node;
      const before = counters();
      tl.tidy(() => {
        p.assign_(p.sub(a.matmul(b)));
      });
      expect(launched(before)).toBe(1);
      expect(p.node.buffer).toBe(buffer);
      expect((await p.data())[5]).toBe(-1);
      // The old elements are read by another kernel, which the program has later.
      const sum = tl.tidy(() => {
        const old = p.mul(1);
        p.assign_(p.sub(a.matmul(b)));
        return old.sum();
      });
      expect(p.node.buffer).toBe(buffer);
      expect(await sum.item()).toBe(-12);
      expect((await p.data())[5]).toBe(-3);
      // An operand of the product is no place to write to while other tiles read it.
      const q = tl.tidy(() => tl.eye(3).mul(2));
      tl.tidy(() => {
        q.assign_(q.add(q.matmul(q)));
      });
      expect(await q.toArray()).toEqual([
        [6, 0, 0],
        [0, 6, 0],
        [0, 0, 6],
      ]);
      for (const t of [p, a, b, sum, q]) t.dispose();
    });
  });

  it('updates a tensor in its own buffer once a row, after all that reads it', async () => {
    await clean(device, async () => {
      const [b, m, g] = [tl.ones([4]), tl.zeros([4]), tl.tidy(() => tl.ones([4, 6]).mul(2))] as const;
      device.engine.flush();
      const buffers = [b, m].map((t) => t.node.buffer);
      const before = counters();
      const step = (): void => {
        const next = m.mul(0.5).add(g.sum({ dim: 1 }));
        b.assign_(b.sub(next));
        m.assign_(next);
      };
      tl.tidy(step);
      expect(launched(before)).toBe(1);
      expect([b, m].map((t) => t.node.buffer)).toEqual(buffers);
      expect(await b.toArray()).toEqual([-11, -11, -11, -11]);
      // The old elements are read by another kernel, which the program has later, and along the row.
      const [sum, product] = tl.tidy(() => {
        const old = b.mul(1);
        step();
        return [old.sum(), old.reshape([4, 1]).mul(g).sum()];
      });
      expect([await sum.item(), await product.item()]).toEqual([-44, -528]);
      expect(await b.toArray()).toEqual([-29, -29, -29, -29]);
      // What the row itself reads is no place to write to before the row is done.
      tl.tidy(() => {
        b.assign_(b.add(g.mul(b.reshape([4, 1])).sum({ dim: 1 })));
      });
      expect(await b.toArray()).toEqual([-377, -377, -377, -377]);
      for (const t of [b, m, g, sum, product]) t.dispose();
    });
  });

  it('drops what nobody needs', async () => {
    await clean(device, () => {
      const before = counters();
      tl.tidy(() => {
        tl.rand([100]).exp().sum();
      });
      expect(launched(before)).toBe(0);
    });
  });

  it('hits the plan cache from the second run on, whatever the numbers', async () => {
    await clean(device, async () => {
      const w = tl.ones([4]);
      device.engine.flush();
      for (let step = 0; step < 5; step++) {
        const before = counters();
        const x = tl.tensor([step, 1, 2, 3]);
        const loss = tl.tidy(() => {
          const out = w.mul(x).sum();
          w.assign_(w.sub(x.mul(0.5 / (step + 1))));
          return out;
        });
        const want = [1, 2, 3].reduce(
          (sum, v, i) => sum + v * (await1[step]![i + 1] ?? 0),
          step * (await1[step]![0] ?? 0),
        );
        expect(await loss.item()).toBeCloseTo(want, 4);
        expect(device.engine.counters.plans - before.plans).toBe(step === 0 ? 1 : 0);
        x.dispose();
        loss.dispose();
      }
      w.dispose();
    });
  });
  // w before each of the steps above, by hand.
  const await1: number[][] = [];
  {
    let w = [1, 1, 1, 1];
    for (let step = 0; step < 5; step++) {
      await1.push(w);
      const x = [step, 1, 2, 3];
      w = w.map((v, i) => v - (0.5 / (step + 1)) * x[i]!);
    }
  }

  it('keeps earlier results when a tensor is updated in place', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2, 3, 4]);
      const view = x.slice(0, 1, 3);
      const before = x.mul(10);
      x.add_(1);
      tl.tidy(() => {
        view.assign_(tl.tensor([20, 30]));
      });
      expect(await before.toArray()).toEqual([10, 20, 30, 40]);
      expect(await x.toArray()).toEqual([2, 20, 30, 5]);
      expect(await view.toArray()).toEqual([20, 30]);
      device.engine.flush();
      for (const t of [x, view, before]) t.dispose();
    });
  });

  it('assigns through transposed and stepped views', async () => {
    const x = tl.zeros([3, 4]);
    tl.tidy(() => {
      x.t()
        .slice(0, 1, 4, 2)
        .assign_(
          tl.tensor([
            [1, 2, 3],
            [4, 5, 6],
          ]),
        );
    });
    expect(await x.toArray()).toEqual([
      [0, 1, 0, 4],
      [0, 2, 0, 5],
      [0, 3, 0, 6],
    ]);
    tl.tidy(() => {
      x.select(0, 1).fill_(9);
    });
    expect(await x.toArray()).toEqual([
      [0, 1, 0, 4],
      [9, 9, 9, 9],
      [0, 3, 0, 6],
    ]);
    x.dispose();
  });

  it('swaps two tensors in one scope', async () => {
    await clean(device, async () => {
      const a = tl.tensor([1, 2]);
      const b = tl.tensor([3, 4]);
      for (let i = 0; i < 3; i++) {
        tl.tidy(() => {
          const [x, y] = [a.mul(1), b.mul(1)];
          a.assign_(y);
          b.assign_(x);
        });
      }
      expect(await a.toArray()).toEqual([3, 4]);
      expect(await b.toArray()).toEqual([1, 2]);
      a.dispose();
      b.dispose();
    });
  });

  it('reads take their value at the call', async () => {
    await clean(device, async () => {
      const x = tl.tensor([1, 2]);
      x.mul_(1);
      const first = x.data();
      x.add_(1);
      const second = x.data();
      x.dispose();
      expect([...(await first)]).toEqual([1, 2]);
      expect([...(await second)]).toEqual([2, 3]);
    });
  });

  it('computes large elementwise, long rows and deep chains', async () => {
    await clean(device, async () => {
      const n = name === 'reference' ? 70_000 : 5_000_000;
      const total = tl.tidy(() => tl.ones([n]).mul(2).sum());
      expect(await total.item()).toBe(2 * n);
      total.dispose();
      const deep = tl.tidy(() => {
        let x = tl.tensor([1]);
        for (let i = 0; i < 3000; i++) x = x.add(1);
        return x;
      });
      expect(await deep.item()).toBe(3001);
      deep.dispose();
    });
  });

  it('flushes by itself when the queue grows long', async () => {
    await clean(device, async () => {
      const before = counters();
      const x = tl.tidy(() => {
        let y = tl.tensor([0]);
        for (let i = 0; i < 5000; i++) y = y.add(1);
        return y;
      });
      expect(await x.item()).toBe(5000);
      expect(device.engine.counters.flushes - before.flushes).toBeGreaterThan(1);
      x.dispose();
    });
  });

  it('explains a plan without running it', async () => {
    await clean(device, async () => {
      const before = counters();
      const x = tl.tidy(() => {
        const y = tl.rand([4, 4]).mul(2).sum();
        const text = tl.explain(y);
        expect(text).toContain('1 kernel,');
        expect(text).toMatch(/reduce \[16\]/);
        return y;
      });
      expect(counters().plans - before.plans).toBeLessThanOrEqual(1);
      expect(tl.explain(x)).toContain('the value is known');
      x.dispose();
    });
  });

  it('writes a stack from one thread for all its parts, and computes in each only what it chooses', async () => {
    await clean(device, async () => {
      const parts = [1, 2, 3, 4].map((n) => tl.full([3, 2], n));
      const text = tl.tidy(() =>
        tl.explain(
          tl.stack(
            parts.map((p, i) => p.mul(i + 1)),
            1,
          ),
        ),
      );
      const y = tl.tidy(() =>
        tl.stack(
          parts.map((p, i) => p.mul(i + 1)),
          1,
        ),
      );
      expect(y.shape).toEqual([3, 4, 2]);
      expect(await y.toArray()).toEqual(Array.from({ length: 3 }, () => [1, 4, 9, 16].map((n) => [n, n])));
      expect(text).toMatch(/map \[[\dx]+\]: out = .*; out = .*; out = .*; out = /);
      for (const t of [...parts, y]) t.dispose();
    });
  });

  it('has flat memory over many steps', async () => {
    const w = tl.zeros([64, 32]);
    let base: ReturnType<typeof held> | null = null;
    for (let i = 0; i < 60; i++) {
      const x = tl.tensor(new Float32Array(64).fill(i), { shape: [1, 64] });
      tl.tidy(() => {
        w.assign_(w.add(x.t().mul(0.001)).softmax(1));
      });
      x.dispose();
      // Until the first pipelines are there, nothing is sure enough to be given back.
      if (i <= 5) await device.sync();
      if (i === 5) base = held(device);
    }
    expect(held(device)).toEqual(base);
    await device.sync();
    w.dispose();
  });

  it('reports a bad index found on the device at the next await, once', async () => {
    const x = tl.tensor([
      [1, 2],
      [3, 4],
    ]);
    const bad = tl.tidy(() => tl.gather(x, 1, tl.tensor([[0], [7]], { dtype: 'int32' })));
    await expect(bad.data()).rejects.toThrow(tl.IndexError);
    expect(await x.toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    const worse = tl.tidy(() => tl.gather(x, 1, tl.tensor([[-1], [0]], { dtype: 'int32' })));
    await expect(device.sync()).rejects.toThrow(/gather: an index or label is out of range/);
    await device.sync();
    for (const t of [x, bad, worse]) t.dispose();
  });

  it('takes a failed flush back', async () => {
    const p = tl.tensor([1, 2]);
    await p.data();
    const { backend } = device;
    const submit = backend.submit.bind(backend);
    const before = held(device);
    backend.submit = () => {
      throw new tl.OutOfMemoryError('planted');
    };
    let late: Tensor | undefined;
    expect(() =>
      tl.tidy(() => {
        p.assign_(p.add(1));
        late = tl.keep(p.mul(3));
      }),
    ).toThrow(tl.OutOfMemoryError);
    backend.submit = submit;
    await expect(late!.data()).rejects.toThrow('planted');
    const after = late!.add(1);
    await expect(after.data()).rejects.toThrow('planted');
    after.dispose();
    late!.dispose();
    expect(await p.toArray()).toEqual([1, 2]);
    expect(held(device).buffers).toBe(before.buffers);
    tl.tidy(() => {
      p.assign_(p.add(1));
    });
    expect(await p.toArray()).toEqual([2, 3]);
    p.dispose();
  });
});
