import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;
const { nn } = tl;

describe.each(devices)('containers of modules on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  it('ModuleList makes its modules known, in order, and forward uses them', async () => {
    await clean(device, async () => {
      class Residual extends nn.Module {
        readonly layers = new nn.ModuleList([0, 1].map(() => new nn.Linear(2, 2, { bias: false })));
        override forward(x: Tensor): Tensor {
          let out = x;
          for (const layer of this.layers) out = out.add(layer.forward(out));
          return out;
        }
      }
      using model = new Residual();
      expect(model.namedParameters().map(([path]) => path)).toEqual(['layers.0.weight', 'layers.1.weight']);
      tl.tidy(() =>
        tl.noGrad(() => {
          model.layers[0]!.weight.assign_(
            tl.tensor([
              [1, 0],
              [0, 2],
            ]),
          );
          model.layers.at(-1).weight.assign_(
            tl.tensor([
              [0, 1],
              [1, 0],
            ]),
          );
        }),
      );
      const out = tl.tidy(() => model.forward(tl.tensor([[1, 1]])));
      expect(await out.toArray()).toEqual([[5, 5]]);
      out.dispose();
    });
  });

  it('ModuleList grows, and refuses what is no module', async () => {
    await clean(device, () => {
      const [a, b, c, d] = [1, 2, 3, 4].map((n) => new nn.Linear(n, 1)) as [
        tl.nn.Linear,
        tl.nn.Linear,
        tl.nn.Linear,
        tl.nn.Linear,
      ];
      using list = new nn.ModuleList([a, b]);
      expect(list.append(d).insert(2, c).length).toBe(4);
      expect([...list]).toEqual([a, b, c, d]);
      expect(list.insert(-4, a)[0]).toBe(a);
      expect([...list].map((m) => m.inFeatures)).toEqual([1, 1, 2, 3, 4]);
      list[0] = d;
      expect(list.at(0)).toBe(d);
      const before = [...list];
      expect(() => list.extend([a, 3 as never])).toThrow(/ModuleList: argument 1 is number 3, but it must be a module/);
      expect(() => list.insert(7, a)).toThrow(tl.IndexError);
      expect(() => list.insert(0.5, a)).toThrow(
        /ModuleList.insert: there is no place 0.5; use a whole number from 0 to 5/,
      );
      expect(() => list.insert(0, null as never)).toThrow(tl.UnsupportedError);
      expect(() => list.at(5)).toThrow(/ModuleList: there is no module 5; it has 5/);
      expect([...list]).toEqual(before);
      expect(() => list.forward()).toThrow(/ModuleList: it only holds modules and computes nothing/);
      expect(String(new nn.ModuleList([new nn.ReLU()]))).toBe('ModuleList(\n  (0): ReLU()\n)');
    });
  });

  it('Sequential can be extended', async () => {
    await clean(device, async () => {
      using model = new nn.Sequential(new nn.Linear(2, 3));
      model.append(new nn.ReLU()).insert(0, new nn.Flatten());
      expect([...model].map((m) => m.constructor.name)).toEqual(['Flatten', 'Linear', 'ReLU']);
      const out = tl.tidy(() => model.forward(tl.ones([4, 2, 1])));
      expect(out.shape).toEqual([4, 3]);
      out.dispose();
    });
  });

  it('ModuleDict is a map of modules', async () => {
    await clean(device, () => {
      const [a, b] = [new nn.Linear(1, 1), new nn.ReLU()];
      using heads = new nn.ModuleDict<tl.nn.Module>({ a, b });
      expect(heads.namedParameters().map(([path]) => path)).toEqual(['a.weight', 'a.bias']);
      expect([heads.size, [...heads.keys()], [...heads.values()], [...heads]]).toEqual([
        2,
        ['a', 'b'],
        [a, b],
        [
          ['a', a],
          ['b', b],
        ],
      ]);
      expect(heads.get('b')).toBe(b);
      expect(heads.has('c')).toBe(false);
      expect(heads.set('b', new nn.Tanh()).get('b')).toBeInstanceOf(nn.Tanh);
      expect([heads.delete('b'), heads.delete('b'), heads.size]).toEqual([true, false, 1]);
      expect([...new nn.ModuleDict(new Map([['r', b]])).entries()]).toEqual([['r', b]]);
      expect(() => heads.get('b')).toThrow(/ModuleDict: there is no module b; it has a/);
      for (const wrong of ['', 'x.y', 'forward', 'training'])
        expect(() => heads.set(wrong, b)).toThrow(/choose a name without dots that is no property of a module/);
      expect(() => heads.set('c', 3 as never)).toThrow(/ModuleDict: c is number 3, but it must be a module/);
      expect(() => new nn.ModuleDict(3 as never)).toThrow(tl.UnsupportedError);
      expect(() => heads.forward()).toThrow(tl.UnsupportedError);
      expect(heads.size).toBe(1);
    });
  });

  it('state dicts of containers go back to the bit', async () => {
    await clean(device, async () => {
      const build = (): tl.nn.Module<never, never> =>
        new nn.ModuleDict<tl.nn.AnyModule>({
          list: new nn.ModuleList([new nn.Linear(2, 2)]),
          head: new nn.Linear(2, 1),
        });
      using first = build();
      using second = build();
      expect(Object.keys(first.stateDict())).toEqual(['list.0.weight', 'list.0.bias', 'head.weight', 'head.bias']);
      second.loadStateDict(first.stateDict());
      const bits = async (m: tl.nn.Module<never, never>): Promise<number[][]> =>
        Promise.all(m.parameters().map(async (p) => Array.from(await p.data())));
      expect(await bits(second)).toEqual(await bits(first));
    });
  });
});
