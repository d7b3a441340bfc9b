import { describe, expect, it } from 'vitest';
import { tl } from '../setup/open.ts';

const { data } = tl;

const gzip = async (bytes: Uint8Array): Promise<Uint8Array> => {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

/** An IDX file: header, then the bytes of its elements. */
const idx = (type: number, shape: readonly number[], body: readonly number[]): Uint8Array => {
  const head = new DataView(new ArrayBuffer(4 + 4 * shape.length));
  head.setUint8(2, type);
  head.setUint8(3, shape.length);
  shape.forEach((n, d) => {
    head.setUint32(4 + 4 * d, n);
  });
  return Uint8Array.from([...new Uint8Array(head.buffer), ...body]);
};

describe('readIdx', () => {
  it('gives the elements of every type, plain and gzip, from all sources', async () => {
    const images = idx(8, [2, 1, 3], [1, 2, 3, 253, 254, 255]);
    const want = { data: Uint8Array.of(1, 2, 3, 253, 254, 255), shape: [2, 1, 3] };
    expect(await data.readIdx(images)).toEqual(want);
    expect(await data.readIdx(images.buffer as ArrayBuffer)).toEqual(want);
    expect(await data.readIdx(await gzip(images))).toEqual(want);
    expect(await data.readIdx(new Blob([images as Uint8Array<ArrayBuffer>]))).toEqual(want);
    expect(await data.readIdx(new Response(images as Uint8Array<ArrayBuffer>))).toEqual(want);
    // Not at the start of its buffer.
    expect(await data.readIdx(Uint8Array.from([9, ...images]).subarray(1))).toEqual(want);
    expect((await data.readIdx(idx(9, [2], [0xff, 1]))).data).toEqual(Int8Array.of(-1, 1));
    expect((await data.readIdx(idx(11, [2], [0xff, 0xfe, 1, 0]))).data).toEqual(Int16Array.of(-2, 256));
    expect((await data.readIdx(idx(12, [1], [0xff, 0xff, 0xff, 0xfd]))).data).toEqual(Int32Array.of(-3));
    expect((await data.readIdx(idx(13, [1], [0x3f, 0xc0, 0, 0]))).data).toEqual(Float32Array.of(1.5));
    expect((await data.readIdx(idx(14, [1], [0x3f, 0xf8, 0, 0, 0, 0, 0, 0]))).data).toEqual(Float64Array.of(1.5));
    expect(await data.readIdx(idx(8, [0, 4], []))).toEqual({ data: new Uint8Array(), shape: [0, 4] });
  });

  it.each([
    ['nothing', new Uint8Array(), /starts with the bytes \(none\)/],
    ['another file', Uint8Array.from([0x89, 0x50, 0x4e, 0x47]), /starts with the bytes 137, 80, 78, 71/],
    ['an unknown type', idx(10, [1], [0]), /a type \(8, 9, 11 to 14\)/],
    ['no dims', idx(8, [], [0]), /too few for a header of 0 dims/],
    ['a header that is cut off', idx(8, [2, 2], []).subarray(0, 7), /7 bytes are too few for a header of 2 dims/],
    [
      'a file that is cut off',
      idx(8, [2, 2], [1, 2, 3]),
      /says \[2, 2\] elements of 1 bytes, which are 4, but 3 follow/,
    ],
    ['a file that goes on', idx(8, [2], [1, 2, 3]), /which are 2, but 3 follow/],
    ['sizes beyond all bounds', idx(14, [0xffffffff, 0xffffffff, 0xffffffff], [1]), /but 1 follow/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(data.readIdx(bytes)).rejects.toThrow(tl.FormatError);
    await expect(data.readIdx(bytes)).rejects.toThrow(message);
  });

  it('refuses what is no file, damaged gzip, and gzip that holds too much', async () => {
    const packed = await gzip(idx(8, [5000], new Array<number>(5000).fill(0)));
    expect(packed.length).toBeLessThan(100);
    await expect(data.readIdx(packed, { maxBytes: 1000 })).rejects.toThrow(
      /holds more than 1000 bytes; raise maxBytes/,
    );
    await expect(data.readIdx(packed.subarray(0, 20))).rejects.toThrow(/damaged or cut off/);
    await expect(data.readIdx('train.idx' as never)).rejects.toThrow(/is no file; give its bytes/);
    await expect(data.readIdx(new Response('', { status: 404 }))).rejects.toThrow(/the response has the status 404/);
    await expect(data.readIdx(packed, { limit: 3 } as object)).rejects.toThrow(tl.UnsupportedError);
    await expect(data.readIdx(packed, { maxBytes: 0 })).rejects.toThrow(/maxBytes is number 0/);
  });
});

describe('readCifar10', () => {
  const record = (label: number, value: number): number[] => [label, ...new Array<number>(3072).fill(value)];

  it('gives images and labels', async () => {
    const bytes = Uint8Array.from([...record(3, 7), ...record(9, 255)]);
    for (const source of [bytes, await gzip(bytes)]) {
      const { x, y } = await data.readCifar10(source);
      expect(x.shape).toEqual([2, 3, 32, 32]);
      expect([x.data[0], x.data[3071], x.data[3072], x.data[6143]]).toEqual([7, 7, 255, 255]);
      expect(Array.from(y)).toEqual([3, 9]);
      expect(new data.TensorDataset(x, y).length).toBe(2);
    }
  });

  it.each([
    ['nothing', new Uint8Array(), /0 bytes are no whole number of images of 3073/],
    ['half an image', Uint8Array.from(record(1, 1)).subarray(0, 1500), /1500 bytes are no whole number/],
    ['a label that is no class', Uint8Array.from([...record(1, 1), ...record(10, 1)]), /image 1 has the label 10/],
  ])('refuses %s', async (_, bytes, message) => {
    await expect(data.readCifar10(bytes)).rejects.toThrow(tl.FormatError);
    await expect(data.readCifar10(bytes)).rejects.toThrow(message);
  });
});

describe('readText', () => {
  it('reads UTF-8, plain and gzip', async () => {
    const bytes = new TextEncoder().encode('grün,a\n1,2\n');
    for (const source of [bytes, await gzip(bytes)])
      expect(data.readCsv(await data.readText(source)).names).toEqual(['grün', 'a']);
    await expect(data.readText(Uint8Array.of(0xff, 0xfe))).rejects.toThrow(/no text in UTF-8/);
  });
});
