import { appendFile, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UnsupportedError } from './core/errors.ts';
import type { Callback } from './nn/callbacks/callback.ts';
import { checkOptions, describe } from './ops/record.ts';

/*
 * Event files as TensorBoard reads them: TFRecords (length, checksum, data, checksum) of messages of the protocol buffer `Event`
 * (tensorflow/core/util/event.proto and framework/summary.proto), of which scalars need few fields.
 */

/** CRC-32C (Castagnoli), reflected. */
const CRC_TABLE = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** @internal */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** What TFRecords hold in place of a checksum, since checksums of data with checksums in it are weak. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(out.subarray(0, 8)), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return out;
}

/** Fields of a message, one after the other. */
class Message {
  private readonly bytes: number[] = [];

  varint(field: number, value: number): this {
    this.write(field * 8);
    this.write(value);
    return this;
  }

  float64(field: number, value: number): this {
    this.write(field * 8 + 1);
    this.bytes.push(...new Uint8Array(Float64Array.of(value).buffer));
    return this;
  }

  float32(field: number, value: number): this {
    this.write(field * 8 + 5);
    this.bytes.push(...new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  part(field: number, value: string | Message): this {
    const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value.bytes;
    this.write(field * 8 + 2);
    this.write(bytes.length);
    this.bytes.push(...bytes);
    return this;
  }

  done(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  /** A whole number of at least 0, seven bits a byte, the lowest first. */
  private write(value: number): void {
    let rest = value;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.bytes.push((rest % 128) | 128);
    this.bytes.push(rest);
  }
}

const event = (): Message => new Message().float64(1, Date.now() / 1000);

let made = 0;

/** An event file in a folder. */
class EventFile {
  private path: string | null = null;

  constructor(private readonly folder: string) {}

  async scalars(step: number, values: readonly (readonly [string, number])[]): Promise<void> {
    if (!this.path) {
      await mkdir(this.folder, { recursive: true });
      const started = String(Math.floor(Date.now() / 1000)).padStart(10, '0');
      this.path = join(this.folder, `events.out.tfevents.${started}.${hostname()}.${process.pid}.${made++}`);
      await appendFile(this.path, record(event().part(3, 'brain.Event:2').done()));
    }
    const summary = new Message();
    for (const [tag, value] of values) summary.part(1, new Message().part(1, tag).float32(2, value));
    await appendFile(this.path, record(event().varint(2, step).part(5, summary).done()));
  }
}

/** Options of `tensorBoard`. */
export interface TensorBoardOptions {
  /** Write the learning rate of the first parameter group, too, as `lr`; true unless given. */
  readonly lr?: boolean | undefined;
}

/**
 * Writes the losses and metrics of every epoch for TensorBoard (Keras `TensorBoard`): into event files in the folders `train` and
 * `validation` of a log folder, under the names that they have in training, so that both are drawn in one chart. In Node only.
 *
 * @throws UnsupportedError for what is no path, and for options that do not exist.
 * @example
 * ```ts
 * await model.fit(x, y, { epochs: 20, callbacks: [tl.tensorBoard('runs/first')] });
 * ```
 */
export function tensorBoard(logDir: string, options: TensorBoardOptions = {}): Callback {
  checkOptions('tensorBoard', options, ['lr']);
  const { lr = true } = options;
  if (typeof logDir !== 'string' || logDir === '')
    throw new UnsupportedError(
      `tensorBoard: ${describe(logDir)} is no path of a folder; give one, such as 'runs/first'`,
    );
  if (typeof lr !== 'boolean')
    throw new UnsupportedError(`tensorBoard: lr is ${describe(lr)}, but it must be true or false`);
  const open = () => ({
    train: new EventFile(join(logDir, 'train')),
    validation: new EventFile(join(logDir, 'validation')),
  });
  let run = open();
  return {
    onTrainBegin() {
      run = open();
    },
    async onEpochEnd(epoch, logs, { optimizer }) {
      const names = Object.keys(logs);
      const isValidation = (name: string): boolean => /^val[A-Z]/.test(name) && names.includes(lowered(name));
      const pairs = Object.entries(logs);
      const own: [string, number][] = pairs.filter(([name]) => !isValidation(name));
      if (lr) own.push(['lr', optimizer.lr]);
      await run.train.scalars(epoch, own);
      const held = pairs.filter(([name]) => isValidation(name)).map(([name, v]) => [lowered(name), v] as const);
      if (held.length > 0) await run.validation.scalars(epoch, held);
    },
  };
}

/** `valLoss` is the `loss` of the validation data. */
const lowered = (name: string): string => name.charAt(3).toLowerCase() + name.slice(4);
