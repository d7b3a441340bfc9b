import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { devices } from '../setup/devices.ts';
import { clean, held, open, tl } from '../setup/open.ts';

const { data } = tl;

describe.each(devices)('data on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const rows = (n: number): { data: Float32Array; shape: number[] } => ({
    data: Float32Array.from({ length: n * 2 }, (_, i) => i),
    shape: [n, 2],
  });

  /** The first column of all batches of a pass, which says which rows they hold. */
  const passOver = async (loader: tl.data.DataLoader): Promise<number[][]> => {
    const seen: number[][] = [];
    for await (const { x, y } of loader) {
      const [xs, ys] = await Promise.all([x.data(), y.data()]);
      expect(x.shape).toEqual([ys.length, 2]);
      expect(y.dtype).toBe('int32');
      ys.forEach((label, i) => {
        expect([xs[2 * i], xs[2 * i + 1]]).toEqual([2 * label, 2 * label + 1]);
      });
      seen.push(Array.from(ys));
    }
    return seen;
  };

  it.each(['host', 'device'] as const)('a loader over rows on the %s gives every sample once', async (place) => {
    await clean(device, async () => {
      const labels = Int32Array.from({ length: 10 }, (_, i) => i);
      const { data: values, shape } = rows(10);
      const [x, y] = place === 'host' ? [rows(10), labels] : [tl.tensor(values, { shape }), tl.tensor(labels)];
      const set = new data.TensorDataset(x, y);
      expect(await passOver(new data.DataLoader(set, { batchSize: 4 }))).toEqual([
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
      ]);
      expect(await passOver(new data.DataLoader(set, { batchSize: 4, dropLast: true }))).toHaveLength(2);

      tl.manualSeed(5);
      const shuffled = new data.DataLoader(set, { batchSize: 3, shuffle: true });
      expect(shuffled.length).toBe(4);
      const [first, second] = [await passOver(shuffled), await passOver(shuffled)];
      expect(first.flat()).not.toEqual(second.flat());
      for (const pass of [first, second]) expect(pass.flat().sort((a, b) => a - b)).toEqual(Array.from(labels));
      tl.manualSeed(5);
      expect(await passOver(shuffled)).toEqual(first);
      for (const t of [x, y]) if (t instanceof tl.Tensor) t.dispose();
    });
  });

  it('the order is the same on all devices', async () => {
    tl.manualSeed(7);
    const set = new data.TensorDataset(rows(6), new Int32Array([0, 1, 2, 3, 4, 5]));
    expect(await passOver(new data.DataLoader(set, { batchSize: 6, shuffle: true }))).toEqual([[1, 3, 2, 4, 5, 0]]);
  });

  it('a batch is disposed at the next one, at the end, and when the loop is left, unless it is kept', async () => {
    await clean(device, async () => {
      const loader = new data.DataLoader(new data.TensorDataset(rows(6), new Int32Array(6)), { batchSize: 2 });
      const seen: tl.Tensor[] = [];
      for await (const { x, y } of loader) {
        expect(seen.every((t) => t.disposed)).toBe(true);
        seen.push(x, y);
      }
      expect(seen.every((t) => t.disposed)).toBe(true);
      await expect(seen[0]!.data()).rejects.toThrow(
        /by its DataLoader, which went on or ended; use the batch before, or call keep\(\)/,
      );

      let kept: tl.Tensor | undefined;
      let lost: tl.Tensor | undefined;
      for await (const { x, y } of loader) {
        kept = tl.keep(x);
        lost = y;
        break;
      }
      expect([kept!.disposed, lost!.disposed]).toEqual([false, true]);
      expect(await kept!.toArray()).toEqual([
        [0, 1],
        [2, 3],
      ]);
      kept!.dispose();

      const failing = async (): Promise<void> => {
        for await (const { x } of loader) {
          lost = x;
          throw new Error('in the loop');
        }
      };
      await expect(failing()).rejects.toThrow('in the loop');
      expect(lost!.disposed).toBe(true);
    });
  });

  it('a dataset of one’s own is put together sample by sample', async () => {
    class Squares extends data.Dataset {
      readonly length = 5;
      override async get(i: number): Promise<tl.data.Sample> {
        return { x: [i, i + 1], y: i * i };
      }
    }
    await clean(device, async () => {
      const batches: unknown[] = [];
      for await (const { x, y } of new data.DataLoader(new Squares(), { batchSize: 3 }))
        batches.push([await x.toArray(), await y.toArray()]);
      expect(batches).toEqual([
        [
          [
            [0, 1],
            [1, 2],
            [2, 3],
          ],
          [0, 1, 4],
        ],
        [
          [
            [3, 4],
            [4, 5],
          ],
          [9, 16],
        ],
      ]);
      const collate = (samples: readonly tl.data.Sample[]): tl.data.XY => ({
        x: tl.tensor(samples.map((s) => s.x as number[])),
        y: tl.tensor(
          samples.map((s) => s.y as number),
          { dtype: 'int32' },
        ),
      });
      for await (const { y } of new data.DataLoader(new Squares(), { batchSize: 5, collate })) {
        expect(y.dtype).toBe('int32');
        expect(await y.toArray()).toEqual([0, 1, 4, 9, 16]);
      }
    });
  });

  it('subsets and single samples', async () => {
    await clean(device, async () => {
      const set = new data.TensorDataset(rows(5), new Int32Array([0, 1, 2, 3, 4]));
      const subset = new data.Subset(set, [4, 2]);
      expect(await passOver(new data.DataLoader(subset, { batchSize: 2 }))).toEqual([[4, 2]]);
      const { x, y } = (await subset.get(1)) as tl.data.XY;
      expect([await x.toArray(), await y.toArray()]).toEqual([[4, 5], 2]);
      for (const t of [x, y]) t.dispose();
      expect(() => new data.Subset(set, [5])).toThrow(tl.IndexError);
      expect(() => set.get(5)).toThrow(tl.IndexError);
    });
  });

  it('trainTestSplit takes every sample once, on host and device alike', async () => {
    await clean(device, async () => {
      const labels = Int32Array.from({ length: 10 }, (_, i) => i);
      tl.manualSeed(1);
      const [xTrain, xTest, yTrain, yTest] = data.trainTestSplit(rows(10), labels, { testSize: 0.25 });
      expect([xTrain.shape, xTest.shape]).toEqual([
        [7, 2],
        [3, 2],
      ]);
      expect([...yTrain.data, ...yTest.data].sort((a, b) => a - b)).toEqual(Array.from(labels));
      yTest.data.forEach((label: number, i: number) => {
        expect(xTest.data[2 * i]).toBe(2 * label);
      });
      const { data: values, shape } = rows(10);
      const x = tl.tensor(values, { shape });
      const y = tl.tensor(labels);
      tl.manualSeed(1);
      const parts = data.trainTestSplit(x, y, { testSize: 3 });
      expect(await parts[3].toArray()).toEqual(Array.from(yTest.data));
      expect(Array.from(await parts[0].data())).toEqual(Array.from(xTrain.data));
      const [, last] = data.trainTestSplit(rows(4), [1, 2, 3, 4], { testSize: 1, shuffle: false });
      expect(Array.from(last.data)).toEqual([6, 7]);
      for (const t of [x, y, ...parts]) t.dispose();
      expect(() => data.trainTestSplit(rows(4), [1, 2, 3])).toThrow(/x has 4 rows and y has 3/);
      expect(() => data.trainTestSplit(rows(4), [1, 2, 3, 4], { testSize: 4 })).toThrow(/leaves a part empty/);
      expect(() => data.trainTestSplit(rows(4), [1, 2, 3, 4], { testSize: 0 })).toThrow(/leaves a part empty/);
      expect(() => data.trainTestSplit(rows(4), [1, 2, 3, 4], { size: 1 } as object)).toThrow(
        /there is no option size/,
      );
    });
  });

  it('StandardScaler gives mean 0 and deviation 1, and goes back', async () => {
    await clean(device, async () => {
      const x = tl.tensor([
        [1, 5, 10],
        [2, 5, 30],
        [6, 5, 20],
      ]);
      using scaler = new data.StandardScaler();
      expect(() => scaler.transform(x)).toThrow(/was not fitted yet; call fit\(x\) first/);
      const z = tl.tidy(() => scaler.fitTransform(x));
      const back = scaler.inverseTransform(z);
      const sd = Math.sqrt(14 / 3);
      const want = [-2 / sd, 0, -Math.sqrt(1.5), -1 / sd, 0, Math.sqrt(1.5), 3 / sd, 0, 0];
      expect(Array.from(await z.data())).toEqual(want.map((v) => expect.closeTo(v, 5)));
      expect(Array.from(await back.data())).toEqual(Array.from(await x.data(), (v) => expect.closeTo(v, 4)));
      expect(await scaler.mean.toArray()).toEqual([3, 5, 20]);
      expect((await scaler.scale.data())[1]).toBe(1);
      const empty = tl.zeros([0, 3]);
      expect(() => scaler.fit(empty)).toThrow(tl.ShapeError);
      for (const t of [x, z, back, empty]) t.dispose();
    });
  });

  it('a loader that prefetches gives the same, has begun the next batches, and leaves nothing behind', async () => {
    await clean(device, async () => {
      let running = 0;
      let most = 0;
      let made = 0;
      class Slow extends data.Dataset {
        readonly length = 7;
        override async get(i: number): Promise<tl.data.Sample> {
          if (i === failing) throw new Error('no such sample');
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 1));
          running--;
          made++;
          return { x: [2 * i, 2 * i + 1], y: i };
        }
      }
      let failing = -1;
      const loader = new data.DataLoader(new Slow(), { batchSize: 2, prefetch: 2 });
      const seen: number[] = [];
      for await (const { x } of loader) seen.push(...(await x.data()));
      expect(seen).toEqual(Array.from({ length: 14 }, (_, i) => i));
      expect(most).toBe(6);
      made = 0;
      let kept: tl.Tensor | undefined;
      for await (const { x } of loader) {
        kept = tl.keep(x);
        break;
      }
      expect(made).toBe(6);
      expect(kept?.disposed).toBe(false);
      kept?.dispose();
      failing = 4;
      let batches = 0;
      const all = async (): Promise<void> => {
        for await (const _ of loader) batches++;
      };
      await expect(all()).rejects.toThrow('no such sample');
      expect(batches).toBe(2);
      expect(() => new data.DataLoader(new Slow(), { prefetch: -1 })).toThrow(/prefetch is number -1/);
    });
  });

  it('KFold tests every sample once, and randomSplit takes every sample once', () => {
    const folds = new data.KFold(3).split(7);
    expect(folds.map(({ test }) => Array.from(test))).toEqual([
      [0, 1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(folds.map(({ train }) => Array.from(train))).toEqual([
      [3, 4, 5, 6],
      [0, 1, 2, 5, 6],
      [0, 1, 2, 3, 4],
    ]);
    const set = new data.TensorDataset(rows(10), new Int32Array(10));
    tl.manualSeed(3);
    const shuffled = new data.KFold(5, { shuffle: true }).split(set);
    const tested = shuffled.flatMap(({ test }) => Array.from(test));
    expect(tested).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...tested].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { train, test } of shuffled)
      expect([...train, ...test].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new data.KFold(2).split(rows(4)).map(({ test }) => test.length)).toEqual([2, 2]);
    expect(() => new data.KFold(1)).toThrow(/number 1 folds; it must be a whole number of at least 2/);
    expect(() => new data.KFold(3).split(2)).toThrow(/2 samples are too few for 3 folds/);

    const parts = data.randomSplit(set, [0.75, 0.25]);
    expect(parts.map((p) => p.length)).toEqual([8, 2]);
    expect(data.randomSplit(set, [3, 7]).map((p) => p.length)).toEqual([3, 7]);
    expect(data.randomSplit(set, [0.33, 0.33, 0.34]).map((p) => p.length)).toEqual([4, 3, 3]);
    expect(() => data.randomSplit(set, [3, 3])).toThrow(
      /\[3, 3\] of 10 samples; give numbers of samples that sum to 10/,
    );
    expect(() => data.randomSplit(set, [11, -1])).toThrow(tl.UnsupportedError);
  });

  it('MinMaxScaler and MeanNormalizer scale columns, and go back', async () => {
    await clean(device, async () => {
      const x = tl.tensor([[1, 5, 10], [2, 5, 30], [6, 5, 20]]); // biome-ignore format: a matrix
      using unit = new data.MinMaxScaler();
      using wide = new data.MinMaxScaler({ featureRange: [-2, 2] });
      using mean = new data.MeanNormalizer();
      for (const [scaler, want] of [
        [
          unit,
          [
            [0, 0, 0],
            [0.2, 0, 1],
            [1, 0, 0.5],
          ],
        ],
        [
          wide,
          [
            [-2, -2, -2],
            [-1.2, -2, 2],
            [2, -2, 0],
          ],
        ],
        [
          mean,
          [
            [-0.4, 0, -0.5],
            [-0.2, 0, 0.5],
            [0.6, 0, 0],
          ],
        ],
      ] as const) {
        // biome-ignore format: matrices
        using z = tl.tidy(() => scaler.fitTransform(x));
        using back = scaler.inverseTransform(z);
        expect(Array.from(await z.data())).toEqual(want.flat().map((v) => expect.closeTo(v, 5)));
        expect(Array.from(await back.data())).toEqual(Array.from(await x.data(), (v) => expect.closeTo(v, 4)));
      }
      x.dispose();
      expect(() => new data.MinMaxScaler({ featureRange: [1, 1] })).toThrow(/featureRange is .* the smaller one first/);
      expect(() => mean.fit([1] as never)).toThrow(/^MeanNormalizer.fit/);
    });
  });

  it('PolynomialFeatures has the products in scikit-learn’s order', async () => {
    await clean(device, async () => {
      const features = async (degree: number, options?: tl.data.PolynomialFeaturesOptions): Promise<unknown> => {
        using out = tl.tidy(
          () =>
          new data.PolynomialFeatures(degree, options).fitTransform(tl.tensor([[2, 3], [-1, 0.5]])), // biome-ignore format: a matrix
        );
        return out.toArray();
      };
      expect(await features(2)).toEqual([
        [1, 2, 3, 4, 6, 9],
        [1, -1, 0.5, 1, -0.5, 0.25],
      ]);
      expect(await features(3, { includeBias: false })).toEqual([
        [2, 3, 4, 6, 9, 8, 12, 18, 27],
        [-1, 0.5, 1, -0.5, 0.25, -1, 0.5, -0.25, 0.125],
      ]);
      expect(await features(2, { interactionOnly: true })).toEqual([
        [1, 2, 3, 6],
        [1, -1, 0.5, -0.5],
      ]);
      expect(await features(0)).toEqual([[1], [1]]);
      expect(() => new data.PolynomialFeatures(1.5)).toThrow(/degree is number 1.5/);
      using flat = tl.ones([3]);
      expect(() => new data.PolynomialFeatures().transform(flat)).toThrow(
        /\[3\] must be of shape \[samples, columns\]/,
      );
    });
  });

  it('pixels become tensors, and tensors pixels', async () => {
    await clean(device, async () => {
      const image = { data: Uint8Array.of(255, 0, 51, 255, 0, 102, 0, 0), width: 2, height: 1 };
      using colour = data.fromPixels(image);
      expect(colour.shape).toEqual([3, 1, 2]);
      expect(Array.from(await colour.data())).toEqual([1, 0, 0, 0.4, 0.2, 0].map((v) => expect.closeTo(v, 6)));
      using all = data.fromPixels(image, { channels: 4 });
      expect(Array.from(await all.data()).slice(6)).toEqual([1, 0]);
      using grey = data.fromPixels(image, { channels: 1 });
      expect(Array.from(await grey.data())).toEqual([0.3218, 0.2348].map((v) => expect.closeTo(v, 5)));
      const back = await data.toPixels(all);
      expect([back.width, back.height, Array.from(back.data)]).toEqual([2, 1, Array.from(image.data)]);
      using plain = tl.tensor([[0, 2], [-1, Number.NaN]]); // biome-ignore format: a matrix
      expect(Array.from((await data.toPixels(plain)).data)).toEqual([0, 0, 0, 255, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]); // biome-ignore format: pixels
      const canvas = { width: 2, height: 1, getContext: () => ({ getImageData: () => image }) };
      using drawn = data.fromPixels(canvas);
      expect(await drawn.toArray()).toEqual(await colour.toArray());
      expect(() => data.fromPixels({ ...image, width: 3 })).toThrow(/8 bytes are not 3 x 1 pixels of four bytes/);
      expect(() => data.fromPixels(null as never)).toThrow(/is no image; give ImageData/);
      expect(() => data.fromPixels(image, { channels: 2 as never })).toThrow(/channels is number 2; use 1, 3 or 4/);
      expect(() => data.fromPixels({ ...canvas, getContext: () => null })).toThrow(/has no 2d context/);
      using five = tl.zeros([5, 2, 2]);
      await expect(data.toPixels(five)).rejects.toThrow(/\[5, 2, 2\] is no image/);
    });
  });

  it('oneHot of numbers and of tensors', async () => {
    await clean(device, async () => {
      const fromHost = data.oneHot([2, 0]);
      const labels = tl.tensor([[2], [0]], { dtype: 'int32' });
      const fromDevice = data.oneHot(labels, 3);
      expect(await fromHost.toArray()).toEqual([
        [0, 0, 1],
        [1, 0, 0],
      ]);
      expect(await fromDevice.toArray()).toEqual([[[0, 0, 1]], [[1, 0, 0]]]);
      for (const t of [fromHost, labels, fromDevice]) t.dispose();
      expect(() => data.oneHot([0, 3], 3)).toThrow(/label 1 is 3; labels are whole numbers from 0 to 2/);
      expect(() => data.oneHot([0.5])).toThrow(tl.IndexError);
      const wrong = tl.tensor([3], { dtype: 'int32' });
      expect(() => data.oneHot(wrong)).toThrow(/give the number of classes/);
      const out = data.oneHot(wrong, 3);
      await expect(out.data()).rejects.toThrow(tl.IndexError);
      wrong.dispose();
      out.dispose();
    });
  });

  it('refuses bad input, and leaves nothing behind', async () => {
    await clean(device, () => {
      const set = new data.TensorDataset(rows(2), [0, 1]);
      const before = held(device);
      expect(() => new data.TensorDataset(rows(2), [0, 1, 2])).toThrow(/x has 2 rows and y has 3/);
      expect(() => new data.TensorDataset([[1, 2], [3]], [0, 1])).toThrow(tl.FormatError);
      expect(() => new data.TensorDataset({ data: new Float32Array(3), shape: [2, 2] }, [0, 1])).toThrow(
        /3 elements do not fill the shape \[2, 2\]/,
      );
      expect(() => new data.TensorDataset({} as never)).toThrow(tl.UnsupportedError);
      expect(() => new data.DataLoader(set, { batchSize: 0 })).toThrow(
        /batchSize is number 0, but it must be a whole number of at least 1/,
      );
      expect(() => new data.DataLoader(set, { size: 3 } as object)).toThrow(/there is no option size/);
      expect(() => new data.DataLoader([1, 2] as never)).toThrow(/is no dataset; wrap tensors in a TensorDataset/);
      expect(held(device)).toEqual(before);
    });
  });
});

describe('readCsv', () => {
  it('gives columns and rows', () => {
    const table = data.readCsv('\uFEFFa, "b ""x"", y",c\r\n1,2e3,-3\r\n4,"5",.5\r\n\r\n');
    expect(table.names).toEqual(['a', 'b "x", y', 'c']);
    expect(table.length).toBe(2);
    expect(Array.from(table.column('b "x", y'))).toEqual([2000, 5]);
    expect(table.rows(['c', 'a'])).toEqual({ data: Float32Array.of(-3, 1, 0.5, 4), shape: [2, 2] });
    const plain = data.readCsv('1;2\n3;4', { header: false, delimiter: ';' });
    expect([plain.names, Array.from(plain.column('1'))]).toEqual([
      ['0', '1'],
      [2, 4],
    ]);
    expect(data.readCsv('a,b\n').length).toBe(0);
  });

  it.each([
    ['nothing', '', /the text is empty/],
    ['a short line', 'a,b\n1,2\n3\n', /line 3 has 1 fields where line 1 has 2/],
    ['a long line', 'a,b\n1,2,3\n', /line 2 has 3 fields/],
    ['an empty line in the middle', 'a,b\n\n1,2\n', /line 2 has 1 fields/],
    ['text', 'a,b\n1,x\n', /line 2, column "b": "x" is no finite number/],
    ['NaN', 'a,b\n1,2\nNaN,2\n', /line 3, column "a": "NaN" is no finite number/],
    ['an empty field', 'a,b\n1,\n', /line 2, column "b": "" is no finite number/],
    ['infinity', 'a\nInfinity\n', /no finite number/],
    ['two columns of one name', 'a,a\n1,2\n', /two columns are called "a"/],
    ['a field that goes on after its quote', 'a,b\n"1"2,3\n', /line 2: a quoted field goes on/],
  ])('refuses %s, with its line', (_, text, message) => {
    expect(() => data.readCsv(text)).toThrow(tl.FormatError);
    expect(() => data.readCsv(text)).toThrow(message);
  });

  it('refuses unknown columns and options', () => {
    expect(() => data.readCsv('a\n1').column('b')).toThrow(/there is no column b; there are a/);
    expect(() => data.readCsv('a\n1', { sep: ',' } as object)).toThrow(tl.UnsupportedError);
    expect(() => data.readCsv('a\n1', { delimiter: '' })).toThrow(tl.UnsupportedError);
  });
});
