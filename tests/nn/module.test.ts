import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn } = tl;
const F = nn.functional;

class Block extends nn.Module {
  readonly norm: Tensor = tl.tidy(() => new nn.Parameter(tl.ones([3])));
  readonly inner = new nn.Linear(3, 3);
  readonly note = 'not part of the state';
  readonly scratch: Tensor | null = null;

  constructor() {
    super();
    this.registerBuffer('count', tl.zeros([1]));
  }

  override forward(x: Tensor): Tensor {
    return this.inner.forward(x.mul(this.norm)).add(x);
  }
}

const values = async (tensors: readonly Tensor[]): Promise<number[][]> =>
  Promise.all(tensors.map(async (t) => Array.from(await t.data())));

describe.each(devices)('modules on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it("finds parameters, buffers and modules under PyTorch's names", async () => {
    await clean(device, () => {
      const shared = new nn.Linear(3, 3, { bias: false });
      const model = tl.tidy(() => new nn.Sequential(new Block(), shared, new nn.ReLU(), shared, new nn.Linear(3, 2)));
      expect(model.namedParameters().map(([path, p]) => [path, p.shape])).toEqual([
        ['0.norm', [3]],
        ['0.inner.weight', [3, 3]],
        ['0.inner.bias', [3]],
        ['1.weight', [3, 3]],
        ['4.weight', [2, 3]],
        ['4.bias', [2]],
      ]);
      expect(model.parameters().every((p) => p.requiresGrad && p.isLeaf && !p.disposed)).toBe(true);
      expect(model.namedBuffers().map(([path]) => path)).toEqual(['0.count']);
      expect(model.buffers()[0]!.requiresGrad).toBe(false);
      // A module that is used twice is named twice in the state, and listed once.
      expect(Object.keys(model.stateDict())).toEqual([
        '0.norm',
        '0.count',
        '0.inner.weight',
        '0.inner.bias',
        '1.weight',
        '3.weight',
        '4.weight',
        '4.bias',
      ]);
      expect(model.namedModules().map(([path]) => path)).toEqual(['', '0', '0.inner', '1', '2', '4']);
      expect(model.children()).toHaveLength(5);
      expect([...model]).toHaveLength(model.length);
      expect(model[2]).toBeInstanceOf(nn.ReLU);
      expect(model.at(-1)).toBe(model[4]);
      expect(() => model.at(5)).toThrow(tl.IndexError);
      model.dispose();
    });
  });

  it('a frozen parameter stays a parameter', async () => {
    await clean(device, () => {
      const layer = new nn.Linear(2, 2);
      layer.weight.requiresGrad = false;
      expect(layer.parameters()).toHaveLength(2);
      expect(layer.summary()).toMatch(/6 parameters, 4 of them frozen/);
      const leaf = new (class extends nn.Module {
        w = tl.tensor([1], { requiresGrad: true });
        plain = tl.tensor([2]);
        override forward(x: Tensor): Tensor {
          return x.mul(this.w);
        }
      })();
      expect(leaf.namedParameters().map(([n]) => n)).toEqual(['w']);
      leaf.plain.dispose();
      leaf.dispose();
      layer.dispose();
    });
  });

  it('freezes and applies to all modules below', async () => {
    await clean(device, async () => {
      using model = tl.tidy(() => new nn.Sequential(new Block(), new nn.Linear(3, 1)));
      const leaf = new (class extends nn.Module {
        w = tl.tensor([1], { requiresGrad: true });
        override forward(x: Tensor): Tensor {
          return x.mul(this.w);
        }
      })();
      expect(model.requiresGrad_(false)).toBe(model);
      leaf.requiresGrad_(false);
      // Frozen, they are parameters still.
      expect(leaf.namedParameters().map(([n, p]) => [n, p.requiresGrad])).toEqual([['w', false]]);
      expect(model.parameters().map((p) => p.requiresGrad)).toEqual([false, false, false, false, false]);
      model[1]!.requiresGrad_();
      using sgd = new tl.optim.SGD(model.parameters(), { lr: 1 });
      const before = await values(model.parameters());
      sgd.minimize(() => model.forward(tl.ones([2, 3])).sum());
      const after = await values(model.parameters());
      expect(after.map((list, i) => list.some((v, j) => v !== before[i]![j]))).toEqual([
        false,
        false,
        false,
        true,
        true,
      ]);
      const called: string[] = [];
      expect(model.apply((m) => void called.push(m.constructor.name))).toBe(model);
      expect(called).toEqual(['Linear', 'Block', 'Linear', 'Sequential']);
      expect(() => model.apply(3 as never)).toThrow(tl.UnsupportedError);
      expect(() => model.requiresGrad_('no' as never)).toThrow(/requiresGrad_: its argument is string no/);
      leaf.dispose();
    });
  });

  it('keeps buffers out of the state dict where they are not persistent', async () => {
    await clean(device, async () => {
      class Running extends nn.Module {
        declare readonly mean: Tensor;
        declare readonly cache: Tensor;
        constructor() {
          super();
          this.registerBuffer('mean', tl.zeros([2]));
          this.registerBuffer('cache', tl.ones([3]), { persistent: false });
        }
        override forward(x: Tensor): Tensor {
          return x.sub(this.mean);
        }
        register(name: string, value: unknown, options?: object): void {
          this.registerBuffer(name, value as Tensor, options);
        }
      }
      const module = new Running();
      expect(Object.keys(module.stateDict())).toEqual(['mean']);
      expect(module.namedBuffers().map(([path]) => path)).toEqual(['mean', 'cache']);
      expect(module.parameters()).toEqual([]);
      const other = new Running();
      tl.noGrad(() => other.mean.add_(2));
      expect(module.loadStateDict(other.stateDict())).toEqual({ missing: [], unexpected: [] });
      expect(await values(module.buffers())).toEqual([
        [2, 2],
        [1, 1, 1],
      ]);
      expect(() => module.register('forward', other.mean)).toThrow(/has a property forward already/);
      expect(() => module.register('count', 3)).toThrow(/registerBuffer: count is number 3, but it must be a tensor/);
      expect(() => module.register('mean', other.mean, { persist: true })).toThrow(/there is no option persist/);
      expect(() => module.register('mean', other.mean, { persistent: 1 })).toThrow(/persistent is number 1/);
      const [mean, cache] = module.buffers();
      module.dispose();
      expect([mean!.disposed, cache!.disposed]).toEqual([true, true]);
      other.dispose();
    });
  });

  it('shows shapes of outputs without computing anything', async () => {
    await clean(device, async () => {
      class Pair extends nn.Module<readonly [Tensor, Tensor], [Tensor, Tensor]> {
        readonly inner = new nn.Linear(4, 3);
        override forward(a: Tensor, b: Tensor): [Tensor, Tensor] {
          return [this.inner.forward(a), b.add(tl.rand([1]))];
        }
      }
      using model = new Pair();
      model.inner.weight.requiresGrad = false;
      await device.sync();
      const { launches } = device.engine.counters;
      tl.manualSeed(3);
      const first = tl.tidy(() => tl.rand([4]));
      const drawn = await values([first]);
      const counted = device.engine.counters.launches;
      tl.manualSeed(3);
      const labels = tl.zeros([6], { dtype: 'int32' });
      const table = model.summary([[5, 4], labels]);
      expect(device.engine.counters.launches).toBe(counted);
      expect(counted).toBeGreaterThan(launches);
      // The random stream goes on as if nothing had been.
      const again = tl.tidy(() => tl.rand([4]));
      expect(await values([again])).toEqual(drawn);
      expect(table.split('\n')).toEqual([
        'name   module                                          output       parameters               count  trainable',
        '-----  ----------------------------------------------  -----------  -----------------------  -----  ---------',
        '(all)  Pair                                            [5, 3], [6]                               0',
        'inner  Linear(inFeatures=4, outFeatures=3, bias=true)  [5, 3]       weight [3, 4], bias [3]     15  partly',
        '-----  ----------------------------------------------  -----------  -----------------------  -----  ---------',
        '15 parameters, 12 of them frozen',
      ]);
      // More than fits into a queue: 4 GiB of outputs.
      const before = device.engine.counters.launches;
      expect(model.summary([[2 ** 28, 4], [1]])).toMatch(/\[268435456, 3\]/);
      device.engine.flush();
      expect(device.engine.counters.launches).toBe(before);
      expect(() => model.summary([[5, 3], [1]])).toThrow(tl.ShapeError);
      expect(() => model.summary('5' as never)).toThrow(/summary: the input is string 5; give the shape of one/);
      expect(() => model.summary([[5, 4], 'x'] as never)).toThrow(/summary: an input is string x; give its shape/);
      expect(model.modules().every((m) => m.training && !Object.hasOwn(m, 'forward'))).toBe(true);
      for (const t of [first, again, labels]) t.dispose();
    });
  });

  it('train and eval reach all modules', async () => {
    await clean(device, () => {
      const model = new nn.Sequential(new nn.Sequential(new nn.Dropout()), new nn.Linear(1, 1));
      expect(model.eval()).toBe(model);
      expect(model.modules().map((m) => m.training)).toEqual([false, false, false, false]);
      model.train();
      expect(model.modules().every((m) => m.training)).toBe(true);
      model.dispose();
    });
  });

  it('starts Linear as PyTorch does: uniform in 1 / sqrt(in), from the seed', async () => {
    await clean(device, async () => {
      tl.manualSeed(11);
      const layer = new nn.Linear(64, 256);
      const [weight, bias] = await values([layer.weight, layer.bias!]);
      const bound = 1 / 8;
      for (const list of [weight!, bias!]) {
        expect(Math.max(...list.map(Math.abs))).toBeLessThanOrEqual(bound);
        expect(Math.max(...list)).toBeGreaterThan(0.95 * bound);
        expect(Math.min(...list)).toBeLessThan(-0.95 * bound);
      }
      const variance = weight!.reduce((s, v) => s + v * v, 0) / weight!.length;
      expect(variance).toBeCloseTo(bound ** 2 / 3, 4);
      tl.manualSeed(11);
      const again = new nn.Linear(64, 256);
      expect(await values([again.weight])).toEqual([weight]);
      layer.dispose();
      again.dispose();
    });
  });

  it('computes what the functions compute', async () => {
    await clean(device, async () => {
      const x = tl.tensor([
        [1, -2, 3],
        [0.5, 0, -1],
      ]);
      const pairs: [tl.nn.Module, (x: Tensor) => Tensor][] = [
        [new nn.ReLU(), (v) => F.relu(v)],
        [new nn.Sigmoid(), (v) => F.sigmoid(v)],
        [new nn.Tanh(), (v) => F.tanh(v)],
        [new nn.Softmax(1), (v) => F.softmax(v, 1)],
        [new nn.LogSoftmax(0), (v) => F.logSoftmax(v, 0)],
        [new nn.Flatten(0), (v) => v.reshape([6])],
        [new nn.Dropout(0.5).eval(), (v) => v],
      ];
      for (const [module, fn] of pairs) {
        const [a, b] = tl.tidy(() => [module.forward(x), fn(x).mul(1)]);
        expect(await a!.toArray()).toEqual(await b!.toArray());
        a!.dispose();
        b!.dispose();
      }
      const layer = new nn.Linear(3, 2);
      const y = layer.forward(x);
      const want = tl.tidy(() => x.matmul(layer.weight.t()).add(layer.bias!));
      expect(Array.from(await y.data())).toEqual(Array.from(await want.data(), (v) => expect.closeTo(v, 5)));
      for (const t of [x, y, want, layer]) t.dispose();
    });
  });

  it('losses as modules', async () => {
    await clean(device, async () => {
      const logits = tl.tensor([
        [1, 2],
        [3, -1],
      ]);
      const labels = tl.tensor([0, 1], { dtype: 'int32' });
      const target = tl.tensor([
        [0, 1],
        [1, 0.5],
      ]);
      const sums = tl.tidy(() => [
        [
          new nn.CrossEntropyLoss({ reduction: 'sum' }).forward(logits, labels),
          F.crossEntropy(logits, labels, { reduction: 'sum' }),
        ],
        [new nn.MSELoss().forward(logits, target), F.mseLoss(logits, target)],
        [new nn.BCEWithLogitsLoss().forward(logits, target), F.binaryCrossEntropyWithLogits(logits, target)],
      ]);
      for (const [a, b] of sums) expect(await a!.item()).toBeCloseTo(await b!.item(), 6);
      for (const t of [logits, labels, target, ...sums.flat()]) t.dispose();
    });
  });

  it('a state dict goes into a module of the same build', async () => {
    await clean(device, async () => {
      tl.manualSeed(1);
      const build = (): tl.nn.Sequential => new nn.Sequential(new nn.Linear(3, 2), new nn.Tanh(), new nn.Linear(2, 1));
      const [a, b] = [build(), build()];
      const before = await values(a.parameters());
      expect(b.loadStateDict(a.stateDict())).toEqual({ missing: [], unexpected: [] });
      expect(await values(b.parameters())).toEqual(before);
      expect(b.parameters().every((p) => p.requiresGrad)).toBe(true);
      // The elements were taken over, not the storage.
      tl.noGrad(() => b.parameters()[0]!.zero_());
      expect(await values(a.parameters())).toEqual(before);
      a.dispose();
      expect((await values(b.parameters()))[1]).toEqual(before[1]);
      b.dispose();
    });
  });

  it('a state dict that does not fit changes nothing, and the error lists why', async () => {
    await clean(device, async () => {
      const [a, b] = [
        new nn.Sequential(new nn.Linear(3, 2)),
        new nn.Sequential(new nn.Linear(3, 2), new nn.Linear(2, 2)),
      ];
      const other = new nn.Sequential(new nn.Linear(4, 2));
      const before = await values(b.parameters());
      const memory = held(device);
      expect(() => b.loadStateDict(a.stateDict())).toThrow(tl.FormatError);
      expect(() => b.loadStateDict(a.stateDict())).toThrow(/missing: 1\.weight, 1\.bias; pass \{ strict: false \}/);
      expect(() => a.loadStateDict(b.stateDict())).toThrow(/unexpected: 1\.weight, 1\.bias/);
      expect(() => a.loadStateDict(other.stateDict())).toThrow(tl.ShapeError);
      expect(() => a.loadStateDict(other.stateDict())).toThrow(
        /0\.weight is float32 \[2, 4\] there and float32 \[2, 3\] in the module/,
      );
      expect(() => a.loadStateDict({ '0.weight': 3 } as never)).toThrow(
        /0\.weight is number 3; a state dict holds tensors/,
      );
      expect(await values(b.parameters())).toEqual(before);
      expect(held(device)).toEqual(memory);
      expect(b.loadStateDict(a.stateDict(), { strict: false })).toEqual({
        missing: ['1.weight', '1.bias'],
        unexpected: [],
      });
      expect((await values(b.parameters())).slice(0, 2)).toEqual(await values(a.parameters()));
      for (const m of [a, b, other]) m.dispose();
    });
  });

  it('moves to another device', async () => {
    await clean(device, async () => {
      const other = await tl.device(name === 'cpu' ? 'reference' : 'cpu').catch(() => null);
      if (!other) return;
      const model = new nn.Sequential(new Block());
      const adam = new tl.optim.Adam(model.parameters());
      const x = tl.tensor([[1, 2, 3]]);
      const before = await values(Object.values(model.stateDict()));
      expect(await model.to(other)).toBe(model);
      expect(Object.values(model.stateDict()).map((t) => t.device)).toEqual([other, other, other, other]);
      expect(model.parameters().map((p) => p.requiresGrad)).toEqual([true, true, true]);
      expect(await values(Object.values(model.stateDict()))).toEqual(before);
      expect(() => adam.minimize(() => model.forward(x))).toThrow(tl.DeviceError);
      const moved = tl.tensor([[1, 2, 3]], { device: other });
      expect(() => adam.minimize(() => model.forward(moved).sum())).toThrow(
        /which moved its module; .* make the optimizer after moving/,
      );
      x.dispose();
      moved.dispose();
      model.dispose();
      other.destroy();
    });
  });

  it('prints itself, and a table', async () => {
    await clean(device, () => {
      const model = new nn.Sequential(new nn.Linear(4, 3), new nn.Dropout(0.1), new nn.Linear(3, 2, { bias: false }));
      expect(String(model)).toBe(
        [
          'Sequential(',
          '  (0): Linear(inFeatures=4, outFeatures=3, bias=true)',
          '  (1): Dropout(p=0.1)',
          '  (2): Linear(inFeatures=3, outFeatures=2, bias=false)',
          ')',
        ].join('\n'),
      );
      const table = model.summary([5, 4]);
      expect(table).toMatch(
        /0 +Linear\(inFeatures=4, outFeatures=3, bias=true\) +\[5, 3\] +weight \[3, 4\], bias \[3\] +15/,
      );
      expect(table).toMatch(/21 parameters$/);
      expect(model.modules().every((m) => m.training && !Object.hasOwn(m, 'forward'))).toBe(true);
      model.dispose();
    });
  });

  it('drops the share that it should, the same elements on every device', async () => {
    await clean(device, async () => {
      tl.manualSeed(9);
      const dropout = new nn.Dropout(0.3);
      const x = tl.ones([100, 100]);
      const [a, b] = [dropout.forward(x), dropout.forward(x)];
      const [first, second] = await values([a, b]);
      const kept = first!.filter((v) => v !== 0);
      expect(kept.length / first!.length).toBeCloseTo(0.7, 1.5);
      expect(new Set(kept.map((v) => v.toFixed(5)))).toEqual(new Set([(1 / 0.7).toFixed(5)]));
      expect(second).not.toEqual(first);
      // What the reference gives for this seed.
      expect(
        first!
          .slice(0, 16)
          .map((v) => (v > 0 ? 1 : 0))
          .join(''),
      ).toBe('1101111111111111');
      for (const p of [-0.1, 1.1, Number.NaN])
        expect(() => new nn.Dropout(p)).toThrow(/it must be a probability, from 0 to 1/);
      for (const t of [x, a, b]) t.dispose();
    });
  });

  it('passes the gradient of dropout through what was kept', async () => {
    await clean(device, async () => {
      const x = tl.tensor(new Float32Array(64).fill(2), { requiresGrad: true });
      const y = F.dropout(x, { p: 0.5 });
      const [g] = tl.tidy(() => tl.grad([y.sum()], [x], { retainGraph: true }));
      expect(await values([g!])).toEqual((await values([y])).map((list) => list.map((v) => v / 2)));
      for (const t of [x, y, g!]) t.dispose();
    });
  });

  it('initialises as asked, in place and unrecorded', async () => {
    await clean(device, async () => {
      tl.manualSeed(2);
      const w = tl.zeros([200, 50], { requiresGrad: true });
      const stats = async (): Promise<{ most: number; deviation: number; mean: number }> => {
        const v = Array.from(await w.data());
        const mean = v.reduce((s, e) => s + e, 0) / v.length;
        return {
          most: v.reduce((m, e) => Math.max(m, Math.abs(e)), 0),
          mean,
          deviation: Math.sqrt(v.reduce((s, e) => s + (e - mean) ** 2, 0) / v.length),
        };
      };
      expect(nn.init.xavierUniform_(w, 2)).toBe(w);
      expect(w.isLeaf && w.requiresGrad).toBe(true);
      const xavier = 2 * Math.sqrt(6 / 250);
      expect((await stats()).most).toBeLessThanOrEqual(xavier);
      expect((await stats()).deviation).toBeCloseTo(xavier / Math.sqrt(3), 2);
      nn.init.xavierNormal_(w);
      expect((await stats()).deviation).toBeCloseTo(Math.sqrt(2 / 250), 2);
      nn.init.kaimingUniform_(w, { nonlinearity: 'relu' });
      expect((await stats()).most).toBeLessThanOrEqual(Math.sqrt(6 / 50));
      nn.init.kaimingNormal_(w, { mode: 'fanOut', nonlinearity: 'relu' });
      expect((await stats()).deviation).toBeCloseTo(Math.sqrt(2 / 200), 2);
      nn.init.normal_(w, 3, 0.5);
      expect(await stats()).toMatchObject({ mean: expect.closeTo(3, 1), deviation: expect.closeTo(0.5, 1) });
      nn.init.uniform_(w, 2, 3);
      expect((await stats()).mean).toBeCloseTo(2.5, 1);
      nn.init.constant_(w, 7);
      expect(await stats()).toEqual({ most: 7, mean: 7, deviation: 0 });
      nn.init.zeros_(w);
      expect((await stats()).most).toBe(0);
      nn.init.ones_(w);
      expect((await stats()).most).toBe(1);
      const v = tl.zeros([3]);
      expect(() => nn.init.xavierUniform_(v)).toThrow(/xavierUniform_: the tensor of shape \[3\]/);
      expect(() => nn.init.kaimingNormal_(w, { mode: 'fan' as 'fanIn' })).toThrow(tl.UnsupportedError);
      expect(() => nn.init.calculateGain('gelu' as 'relu')).toThrow(tl.UnsupportedError);
      w.dispose();
      v.dispose();
    });
  });

  it('refuses bad input, and leaves nothing behind', async () => {
    await clean(device, () => {
      const layer = new nn.Linear(3, 2);
      const x = tl.zeros([5, 4]);
      expect(() => layer.forward(x)).toThrow(/Linear: the input \[5, 4\] must end in 3/);
      expect(() => new nn.Linear(0, 2)).toThrow(tl.ShapeError);
      expect(() => new nn.Linear(2, 1.5)).toThrow(tl.ShapeError);
      expect(() => new nn.Linear(2, 2, { biases: false } as object)).toThrow(/there is no option biases/);
      expect(() => new nn.Sequential(layer, 3 as never)).toThrow(/argument 1 is number 3, but it must be a module/);
      layer.dispose();
      tl.tidy(() => {
        expect(() => layer.forward(tl.zeros([5, 3]))).toThrow(tl.DisposedError);
      });
      x.dispose();
    });
  });
});
