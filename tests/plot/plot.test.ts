import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { epochAxis, linearAxis, logAxis } from '../../src/plot/axis.ts';
import { devices } from '../setup/devices.ts';
import { clean, open, tl } from '../setup/open.ts';

interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
}

const plain = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');

/** Reads an SVG, and fails where it is not well formed. */
function parse(svg: string): Element {
  const root: Element = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  let at = 0;
  for (const match of svg.matchAll(/<(\/?)(\w+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g)) {
    const [whole, closing, name, attributes, empty] = match as unknown as [string, string, string, string, string];
    const text = svg.slice(at, match.index);
    expect(text).not.toMatch(/[<>]|&(?!amp;|lt;|gt;|quot;)/);
    open.at(-1)!.text += plain(text.trim());
    at = match.index + whole.length;
    if (closing) {
      expect(open.pop()!.name).toBe(name);
      continue;
    }
    const pairs = [...attributes.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, key, value]) => [key!, plain(value!)]);
    const element: Element = { name, attributes: Object.fromEntries(pairs), children: [], text: '' };
    open.at(-1)!.children.push(element);
    if (!empty) open.push(element);
  }
  expect(open).toEqual([root]);
  expect(svg.slice(at)).toBe('');
  expect(root.children).toHaveLength(1);
  return root.children[0]!;
}

const all = (element: Element, name: string): Element[] => [
  ...(element.name === name ? [element] : []),
  ...element.children.flatMap((child) => all(child, name)),
];
const texts = (svg: string): string[] => all(parse(svg), 'text').map(({ text }) => text);
const size = ({ attributes }: Element): number[] => [Number(attributes.width), Number(attributes.height)];

describe('axes', () => {
  const shown = (axis: ReturnType<typeof linearAxis>): string[] => axis.ticks.map(({ text }) => text);

  it('are marked at round numbers that enclose the values', () => {
    expect(shown(linearAxis(0.13, 0.97))).toEqual(['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']);
    expect(shown(linearAxis(-3, 12))).toEqual(['-5', '0', '5', '10', '15']);
    expect(shown(linearAxis(1.2e-5, 9.9e-5))).toEqual(['0', '2e-5', '4e-5', '6e-5', '8e-5', '1e-4']);
    expect(shown(linearAxis(123456, 322456))).toEqual(['1e5', '1.5e5', '2e5', '2.5e5', '3e5', '3.5e5']);
    expect(shown(linearAxis(2, 2))).toEqual(['1.8', '1.9', '2.0', '2.1', '2.2']);
    expect(shown(linearAxis(0, 0))).toEqual(['-1.0', '-0.5', '0.0', '0.5', '1.0']);
    expect(shown(logAxis(3e-4, 7))).toEqual(['1e-4', '1e-3', '0.01', '0.1', '1', '10']);
    expect(shown(logAxis(123456, 322456))).toEqual(['1e5', '2e5', '5e5']);
    expect(shown(logAxis(1, 1))).toEqual(['1', '2']);
    expect(shown(epochAxis(0, 199, 7))).toEqual(['50', '100', '150', '200']);
    expect(shown(epochAxis(0, 3, 7))).toEqual(['1', '2', '3', '4']);
    expect(shown(epochAxis(0, 0, 7))).toEqual(['1']);
    expect(shown(epochAxis(100, 104, 2))).toEqual(['102', '104']);
    for (const [low, high] of [
      [0.13, 0.97],
      [-3, 12],
      [1e-9, 5e7],
      [4, 4.000001],
    ] as const)
      for (const axis of [linearAxis(low, high), ...(low > 0 ? [logAxis(low, high)] : [])]) {
        expect(axis.at(low)).toBeGreaterThanOrEqual(-1e-9);
        expect(axis.at(high)).toBeLessThanOrEqual(1 + 1e-9);
        expect(axis.ticks.length).toBeGreaterThan(1);
        expect(axis.ticks.length).toBeLessThan(9);
        expect(new Set(axis.ticks.map(({ value }) => value)).size).toBe(axis.ticks.length);
        expect(axis.at(axis.ticks[0]!.value)).toBeCloseTo(0, 9);
      }
  });
});

describe('plot', () => {
  const history = {
    epoch: [0, 1, 2, 3],
    history: {
      loss: [2, 1, 0.5, 0.25],
      accuracy: [0.2, 0.4, 0.6, 0.8],
      valLoss: [2.5, 1.5, 1, 1.25],
      valAccuracy: [0.1, 0.3, 0.5, 0.4],
      valuable: [1, 2, 3, 4],
    },
  };

  it('draws a chart for each figure, with that of the validation data in it', () => {
    const svg = tl.plot(history, { title: 'A <b> & "c"' });
    const root = parse(svg);
    expect(size(root)).toEqual([760, 534]);
    const found = texts(svg);
    expect(found[0]).toBe('A <b> & "c"');
    expect(root.attributes['aria-label']).toBe('A <b> & "c"');
    for (const name of ['loss', 'accuracy', 'valuable']) expect(found.filter((t) => t === name)).toHaveLength(1);
    for (const legend of ['training', 'validation']) expect(found.filter((t) => t === legend)).toHaveLength(2);
    expect(found.filter((t) => t === 'epoch')).toHaveLength(3);
    const lines = all(root, 'polyline').map(({ attributes }) =>
      attributes.points!.split(' ').map((point) => point.split(',').map(Number) as [number, number]),
    );
    expect(lines.map((points) => points.length)).toEqual([4, 4, 4, 4, 4]);
    // Validation first, below; the loss falls, so y grows.
    const [held, loss] = lines as [[number, number][], [number, number][]];
    expect(loss.map(([x]) => x)).toEqual(held.map(([x]) => x));
    expect(loss[1]![1]).toBeGreaterThan(loss[0]![1]);
    // y is linear between the marks: 2, 1, 0.5 and 0.25 lie as they should.
    const scale = (loss[1]![1] - loss[0]![1]) / (2 - 1);
    expect(loss[3]![1] - loss[0]![1]).toBeCloseTo(1.75 * scale, 1);
    expect(loss[0]![1] - held[0]![1]).toBeCloseTo(0.5 * scale, 1);
    const dots = all(root, 'circle').map((dot) => all(dot, 'title')[0]!.text);
    expect(dots).toContain('validation, epoch 3: 1');
    expect(dots).toHaveLength(20);
  });

  it('leaves gaps where there is no number, and marks what stands alone', () => {
    const gaps = { epoch: [0, 1, 2, 3, 4], history: { loss: [1, Number.NaN, 2, 3, Number.POSITIVE_INFINITY] } };
    const root = parse(tl.plot(gaps));
    expect(all(root, 'polyline').map(({ attributes }) => attributes.points!.split(' ').length)).toEqual([2]);
    expect(all(root, 'circle')).toHaveLength(3);
    const logged = parse(tl.plot({ epoch: [0, 1, 2], history: { loss: [0, 10, 100] } }, { logScale: true }));
    expect(all(logged, 'circle')).toHaveLength(2);
    expect(texts(tl.plot({ epoch: [0], history: { loss: [Number.NaN] } }))).toEqual(['loss', 'no finite values']);
    const many = Array.from({ length: 400 }, (_, i) => Math.sin(i));
    const long = parse(tl.plot({ epoch: many.map((_, i) => i), history: { loss: many } }));
    expect(all(long, 'circle')).toHaveLength(0);
    expect(texts(tl.plot({ epoch: [], history: {} }))).toEqual([]);
  });

  it('takes figures, columns, sizes and colours as asked', () => {
    const svg = tl.plot(history, { figures: ['valuable', 'loss'], columns: 1, width: 500, height: 200, theme: 'dark' });
    expect(size(parse(svg))).toEqual([500, 400]);
    expect(texts(svg).filter((t) => ['loss', 'accuracy', 'valuable'].includes(t))).toEqual(['valuable', 'loss']);
    expect(svg).not.toMatch(/<style>|class=/);
    expect(tl.plot(history, { theme: 'light' })).not.toContain('<style>');
    expect(tl.plot(history)).toContain('<style>@media (prefers-color-scheme: dark){');
    const background = (theme: tl.PlotTheme): string =>
      all(parse(tl.plot(history, { theme })), 'rect')[0]!.attributes.fill!;
    expect(background('dark')).not.toBe(background('light'));
    expect(background('auto')).toBe(background('light'));
  });

  it('refuses what is no history, and what breaks a rule', () => {
    const wrong: [() => unknown, RegExp][] = [
      [() => tl.plot(3 as never), /plot: number 3 is no history; pass what fit gave/],
      [() => tl.plot({ epoch: [0] } as never), /plot: an object is no history/],
      [
        () => tl.plot(history, { figures: ['f1'] }),
        /plot: there is no figure string f1 in the history; it has loss, accuracy, valuable/,
      ],
      [() => tl.plot(history, { columns: 0 }), /plot: columns is number 0/],
      [() => tl.plot(history, { width: 10 }), /plot: width is number 10, but it must be a number of at least 160/],
      [() => tl.plot(history, { height: Number.NaN }), /plot: height is number NaN/],
      [() => tl.plot(history, { theme: 'red' as 'dark' }), /plot: theme is string red; use 'auto', 'light' or 'dark'/],
      [() => tl.plot(history, { logScale: 1 as never }), /plot: logScale is number 1/],
      [() => tl.plot(history, { log: true } as object), /plot: there is no option log/],
    ];
    for (const [act, message] of wrong) {
      expect(act).toThrow(message);
      expect(act).toThrow(tl.UnsupportedError);
    }
  });
});

describe('plotConfusionMatrix', () => {
  it('writes every count in its cell, as strong as its share of the row', () => {
    const svg = tl.plotConfusionMatrix(
      [
        [9, 1, 0],
        [2, 1998, 0],
        [0, 0, 0],
      ],
      { labels: ['a<b', 'dog', 'none'], title: 'T' },
    );
    const root = parse(svg);
    const cells = all(root, 'g');
    expect(cells.map((cell) => all(cell, 'text')[0]!.text)).toEqual(['9', '1', '0', '2', '1,998', '0', '0', '0', '0']);
    const share = cells.map((cell) => Number(all(cell, 'rect')[1]!.attributes['fill-opacity']));
    expect(share.map((v) => v / 0.9)).toEqual([0.9, 0.1, 0, 0.001, 0.999, 0, 0, 0, 0].map((v) => expect.closeTo(v, 2)));
    expect(all(cells[1]!, 'title')[0]!.text).toBe('a<b taken for dog: 1, 10.0%');
    const [x, y] = ['x', 'y'].map((k) => cells.map((cell) => Number(all(cell, 'rect')[0]!.attributes[k]))) as [
      number[],
      number[],
    ];
    // Columns are the answers, rows the labels.
    expect(x[1]! - x[0]!).toBeGreaterThan(0);
    expect([x[3], y[1]]).toEqual([x[0], y[0]]);
    expect(y[3]! - y[0]!).toBeCloseTo(x[1]! - x[0]!, 5);
    const found = texts(svg);
    for (const text of ['T', 'predicted', 'actual']) expect(found).toContain(text);
    expect(found.filter((t) => t === 'a<b')).toHaveLength(2);
    const shares = texts(
      tl.plotConfusionMatrix(
        [
          [3, 1],
          [0, 0],
        ],
        { normalize: true },
      ),
    );
    expect(shares).toEqual(expect.arrayContaining(['75%', '25%', '0%']));
  });

  it('refuses what is no square of counts', () => {
    for (const wrong of [
      [],
      [[1, 2]],
      [
        [1, -1],
        [0, 0],
      ],
      [[Number.NaN]],
      3,
      [3],
    ])
      expect(() => tl.plotConfusionMatrix(wrong as never)).toThrow(/is no square of counts; pass what await/);
    expect(() => tl.plotConfusionMatrix([[1]], { labels: ['a', 'b'] })).toThrow(
      /labels are an array, but there must be 1 of them/,
    );
    expect(() => tl.plotConfusionMatrix([[1]], { normalize: 1 as never })).toThrow(/normalize is number 1/);
    expect(() => tl.plotConfusionMatrix([[1]], { label: [] } as object)).toThrow(/there is no option label/);
  });
});

/** The pixels of a PNG in a data URL: red, green, blue, alpha. */
async function pixels(href: string): Promise<{ width: number; height: number; rows: number[][][] }> {
  const bytes = Uint8Array.from(atob(href.replace(/^data:image\/png;base64,/, '')), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  expect([...bytes.subarray(0, 8)]).toEqual([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const chunks: [string, Uint8Array<ArrayBuffer>][] = [];
  for (let at = 8; at < bytes.length; ) {
    const length = view.getUint32(at);
    let crc = 0xffffffff;
    for (const byte of bytes.subarray(at + 4, at + 8 + length)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
    }
    expect(view.getUint32(at + 8 + length)).toBe(~crc >>> 0);
    chunks.push([String.fromCharCode(...bytes.subarray(at + 4, at + 8)), bytes.slice(at + 8, at + 8 + length)]);
    at += length + 12;
  }
  expect(chunks.map(([type]) => type)).toEqual(['IHDR', 'IDAT', 'IEND']);
  const head = new DataView(chunks[0]![1].buffer);
  const [width, height] = [head.getUint32(0), head.getUint32(4)];
  expect([...chunks[0]![1].subarray(8)]).toEqual([8, 6, 0, 0, 0]);
  const stream = new Blob([chunks[1]![1]]).stream().pipeThrough(new DecompressionStream('deflate'));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  expect(raw.length).toBe(height * (4 * width + 1));
  const rows = Array.from({ length: height }, (_, y) => {
    expect(raw[y * (4 * width + 1)]).toBe(0);
    return Array.from({ length: width }, (_, x) => {
      const at = y * (4 * width + 1) + 1 + 4 * x;
      return [...raw.subarray(at, at + 4)];
    });
  });
  return { width, height, rows };
}

describe.each(devices)('plotImages on %s', (name) => {
  let device: tl.Device;
  beforeAll(async () => {
    device = await open(name);
  });
  afterAll(() => {
    device.destroy();
  });

  const drawn = async (images: tl.Tensor, options: tl.PlotImagesOptions = {}) => {
    const svg = await tl.plotImages(images, options);
    images.dispose();
    const found = all(parse(svg), 'image');
    return { svg, found, pictures: await Promise.all(found.map(({ attributes }) => pixels(attributes.href!))) };
  };
  const grey = (v: number): number[] => [v, v, v, 255];

  it('draws grey and coloured images, element by element', async () => {
    await clean(device, async () => {
      const { svg, found, pictures } = await drawn(
        tl.tensor([
          [
            [0, 0.5, 1],
            [Number.NaN, 0.25, 0],
          ],
          [
            [1, 1, 1],
            [0, 0, 0],
          ],
        ]),
        { labels: ['<a>', 7], size: 30 },
      );
      expect(pictures.map(({ width, height }) => [width, height])).toEqual([
        [3, 2],
        [3, 2],
      ]);
      expect(pictures[0]!.rows).toEqual([
        [grey(0), grey(128), grey(255)],
        [[0, 0, 0, 0], grey(64), grey(0)],
      ]);
      expect(texts(svg)).toEqual(['<a>', '7']);
      expect(found.map(({ attributes }) => [attributes.width, attributes.height])).toEqual([
        ['30', '20'],
        ['30', '20'],
      ]);
      const colours = [
        [1, 0, 0, 0.5],
        [0, 1, 0, 1],
      ];
      const wanted = [
        [
          [255, 0, 0, 128],
          [0, 255, 0, 255],
        ],
      ];
      const last = await drawn(tl.tensor([[colours]]), { channelsLast: true });
      expect(last.pictures[0]!.rows).toEqual(wanted);
      const first = await drawn(tl.tidy(() => tl.tensor([[colours]]).permute([0, 3, 1, 2])));
      expect(first.pictures[0]!.rows).toEqual(wanted);
      // Integers reach to 255, floats beyond [0, 1] to their extremes, and a range is what it says.
      expect((await drawn(tl.tensor([[0, 255]], { dtype: 'int32' }))).pictures[0]!.rows).toEqual([
        [grey(0), grey(255)],
      ]);
      expect((await drawn(tl.tensor([[true, false]]))).pictures[0]!.rows).toEqual([[grey(255), grey(0)]]);
      expect((await drawn(tl.tensor([[-2, 0, 2]]))).pictures[0]!.rows).toEqual([[grey(0), grey(128), grey(255)]]);
      expect((await drawn(tl.tensor([[3, 3]]))).pictures[0]!.rows).toEqual([[grey(128), grey(128)]]);
      expect((await drawn(tl.tensor([[-1, 5, 20]]), { range: [0, 10] })).pictures[0]!.rows).toEqual([
        [grey(0), grey(128), grey(255)],
      ]);
    });
  });

  it('lays images out in rows, and refuses what is none', async () => {
    await clean(device, async () => {
      const { found } = await drawn(tl.zeros([5, 2, 2]), { columns: 2, size: 20 });
      const places = found.map(({ attributes }) => [Number(attributes.x), Number(attributes.y)]);
      expect(places).toEqual([
        [10, 10],
        [40, 10],
        [10, 40],
        [40, 40],
        [10, 70],
      ]);
      const [images, flat, empty] = [tl.zeros([2, 2, 2]), tl.zeros([4]), tl.zeros([0, 2, 2])];
      const wrong: [tl.Tensor, object, RegExp][] = [
        [flat, {}, /plotImages: a tensor of shape \[4\] holds no images; give \[H, W\], \[N, H, W\]/],
        [empty, {}, /plotImages: there are no pixels; the images have the shape \[0, 2, 2\]/],
        [3 as never, {}, /plotImages: expected a tensor, got number 3/],
        [images, { columns: 0 }, /columns is number 0/],
        [images, { size: -1 }, /size is number -1/],
        [images, { labels: ['a'] }, /labels are an array, but there must be 2 of them/],
        [images, { range: [1, 0] }, /range is \[1,0\], but it must be two finite numbers/],
        [images, { channelsLast: 1 }, /channelsLast is number 1/],
        [images, { wide: 1 }, /there is no option wide/],
      ];
      for (const [tensor, options, message] of wrong)
        await expect(tl.plotImages(tensor, options)).rejects.toThrow(message);
      for (const t of [images, flat, empty]) t.dispose();
    });
  });
});
