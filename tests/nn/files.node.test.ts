// Callbacks that write files, through the entry for Node.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as tl from '../../src/node.ts';
import { crc32c } from '../../src/tensorboard.ts';
import { clean } from '../setup/open.ts';

const { nn, optim } = tl;
const x = Array.from({ length: 8 }, (_, i) => [Math.sin(i)]);
const y = x.map(([v]) => [2 * v!]);

/** CRC-32C bit by bit, as it is defined. */
function slowCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0x82f63b78 & -(crc & 1));
  }
  return ~crc >>> 0;
}

type Field = number | bigint | Uint8Array;

/** The fields of a protocol buffer message, by number. */
function fields(bytes: Uint8Array): Map<number, Field[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = new Map<number, Field[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    let value: Field;
    if (tag % 8 === 0) value = varint();
    else if (tag % 8 === 1) {
      value = view.getFloat64(at, true);
      at += 8;
    } else if (tag % 8 === 5) {
      value = view.getFloat32(at, true);
      at += 4;
    } else if (tag % 8 === 2) {
      const length = Number(varint());
      value = bytes.subarray(at, at + length);
      at += length;
    } else throw new Error(`wire type ${tag % 8}`);
    found.set(tag >> 3, [...(found.get(tag >> 3) ?? []), value]);
  }
  expect(at).toBe(bytes.length);
  return found;
}

/** The records of a TFRecord file, with their checksums checked. */
function records(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const mask = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(view.getUint32(at + 8, true)).toBe(mask(slowCrc(bytes.subarray(at, at + 8))));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 12 + length, true)).toBe(mask(slowCrc(data)));
    found.push(data);
    at += length + 16;
  }
  return found;
}

const text = (value: Field | undefined): string => new TextDecoder().decode(value as Uint8Array);

/** What the event files of a folder say: for each step the figures by their tags. */
function scalars(folder: string): { step: number; values: Record<string, number> }[][] {
  return readdirSync(folder)
    .sort()
    .map((file) => {
      expect(file).toMatch(/^events\.out\.tfevents\.\d{10}\./);
      const [first, ...rest] = records(readFileSync(join(folder, file))).map(fields);
      expect(text(first!.get(3)![0])).toBe('brain.Event:2');
      return rest.map((event) => {
        expect(Math.abs((event.get(1)![0] as number) - Date.now() / 1000)).toBeLessThan(120);
        const summary = fields(event.get(5)![0] as Uint8Array);
        const values = summary.get(1)!.map((value) => {
          const part = fields(value as Uint8Array);
          return [text(part.get(1)![0]), part.get(2)![0] as number] as const;
        });
        return { step: Number(event.get(2)![0]), values: Object.fromEntries(values) };
      });
    });
}

describe('callbacks that write files', () => {
  let device: tl.Device;
  let folder = '';
  beforeAll(async () => {
    device = await tl.init({ device: 'cpu' });
    folder = mkdtempSync(join(tmpdir(), 'tensorloom-files-'));
  });
  afterAll(() => {
    device.destroy();
    rmSync(folder, { recursive: true });
  });

  const train = async (callback: tl.nn.Callback, options: tl.nn.FitOptions = {}): Promise<tl.nn.History> => {
    tl.manualSeed(1);
    using model = new nn.Linear(1, 1);
    using sgd = new optim.SGD(model.parameters(), { lr: 0.125 });
    model.compile({ optimizer: sgd, loss: nn.functional.mseLoss, metrics: ['mae'] });
    return await model.fit(x, y, { epochs: 2, verbose: 0, callbacks: [callback], ...options });
  };

  it('csvLogger writes a file anew, or goes on in it', async () => {
    await clean(device, async () => {
      const path = join(folder, 'log.csv');
      const { history } = await train(nn.csvLogger(path));
      const lines = (from: number): string =>
        history.loss!.map((loss, i) => `${from + i},${loss},${history.mae![i]}\n`).join('');
      expect(readFileSync(path, 'utf8')).toBe(`epoch,loss,mae\n${lines(0)}`);
      await train(nn.csvLogger(path));
      expect(readFileSync(path, 'utf8')).toBe(`epoch,loss,mae\n${lines(0)}`);
      await train(nn.csvLogger(path, { append: true }), { initialEpoch: 2, epochs: 4 });
      expect(readFileSync(path, 'utf8')).toBe(`epoch,loss,mae\n${lines(0)}${lines(2)}`);
      await expect(train(nn.csvLogger(join(folder, 'none', 'log.csv')))).rejects.toThrow(/ENOENT/);
    });
  });

  it('tensorBoard writes events that read back', async () => {
    await clean(device, async () => {
      const logs = join(folder, 'runs', 'first');
      const callback = tl.tensorBoard(logs);
      const { history } = await train(callback, { epochs: 300, initialEpoch: 298, validationData: [x, y] });
      expect(scalars(join(logs, 'train'))).toEqual([
        [298, 299].map((step, i) => ({
          step,
          values: { loss: Math.fround(history.loss![i]!), mae: Math.fround(history.mae![i]!), lr: 0.125 },
        })),
      ]);
      expect(scalars(join(logs, 'validation'))).toEqual([
        [298, 299].map((step, i) => ({
          step,
          values: { loss: Math.fround(history.valLoss![i]!), mae: Math.fround(history.valMae![i]!) },
        })),
      ]);
      // Another run writes another file, and no validation data no folder.
      await train(callback);
      expect(scalars(join(logs, 'train'))).toHaveLength(2);
      await train(tl.tensorBoard(join(folder, 'plain'), { lr: false }));
      expect(readdirSync(join(folder, 'plain'))).toEqual(['train']);
      expect(Object.keys(scalars(join(folder, 'plain', 'train'))[0]![0]!.values)).toEqual(['loss', 'mae']);
    });
  });

  it('computes CRC-32C as RFC 3720 has it', () => {
    const bytes = (fn: (i: number) => number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => fn(i));
    expect(crc32c(bytes(() => 0))).toBe(0x8a9136aa);
    expect(crc32c(bytes(() => 0xff))).toBe(0x62a8ab43);
    expect(crc32c(bytes((i) => i))).toBe(0x46dd794e);
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
  });

  it('refuses what is no path', () => {
    expect(() => tl.tensorBoard('')).toThrow(/tensorBoard: string {2}is no path of a folder; give one/);
    expect(() => tl.tensorBoard(3 as never)).toThrow(tl.UnsupportedError);
    expect(() => tl.tensorBoard('runs', { lr: 1 as never })).toThrow(/tensorBoard: lr is number 1/);
    expect(() => tl.tensorBoard('runs', { freq: 1 } as object)).toThrow(/tensorBoard: there is no option freq/);
  });
});
