import { UnsupportedError } from '../core/errors.ts';
import { formatElements, type PrintOptions, type PrintSettings, withSuffixes } from '../core/format.ts';
import { contiguousView, showShape, type View } from '../core/shape.ts';
import { currentDevice } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkOptions, checkTensor, describe } from './record.ts';

const DEFAULTS: PrintSettings = { precision: 4, threshold: 1000, edgeItems: 3, lineWidth: 80, sciMode: null };
let settings = DEFAULTS;

const count = (most: number) => (v: unknown) =>
  typeof v === 'number' && v >= 0 && v <= most && (Number.isInteger(v) || v === Number.POSITIVE_INFINITY);
const ANY_COUNT = [count(Number.POSITIVE_INFINITY), 'a whole number of at least 0, or Infinity'] as const;

/** What each option must be. */
const RULES: Readonly<Record<keyof PrintSettings, readonly [fits: (v: unknown) => boolean, text: string]>> = {
  precision: [count(60), 'a whole number from 0 to 60'],
  threshold: ANY_COUNT,
  edgeItems: ANY_COUNT,
  lineWidth: ANY_COUNT,
  sciMode: [(v) => v === null || typeof v === 'boolean', 'true, false or null'],
};

function merged(op: string, options: PrintOptions): PrintSettings {
  checkOptions(op, options, Object.keys(RULES));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    const [fits, text] = RULES[name as keyof PrintSettings];
    if (!fits(value)) throw new UnsupportedError(`${op}: ${name} is ${describe(value)}, but it must be ${text}`);
  }
  return { ...settings, ...Object.fromEntries(given) };
}

/**
 * Changes how tensors are printed, here and in Node's console (`torch.set_printoptions`); what is left out stays as it is.
 *
 * @returns the options that held before, to go back to.
 * @throws UnsupportedError for options that do not exist or whose values break their rule.
 * @example
 * ```ts
 * const before = tl.setPrintOptions({ precision: 2 });
 * console.log(String(tl.tensor([1.5, 2.25]))); // tensor([1.50, 2.25])
 * tl.setPrintOptions(before);
 * ```
 */
export function setPrintOptions(options: PrintOptions): PrintSettings {
  const before = settings;
  settings = merged('setPrintOptions', options);
  return before;
}

function printed(x: Tensor, view: View, at: (place: number) => number, how: PrintSettings): string {
  const suffixes: string[] = [];
  const none = x.size === 0;
  if (none && x.ndim !== 1) suffixes.push(`shape=${showShape(x.shape)}`);
  if (x.dtype !== 'float32' && (none || x.dtype !== 'bool')) suffixes.push(`dtype=${x.dtype}`);
  if (x.device !== currentDevice()) suffixes.push(`device=${x.device.name}`);
  if (x.tape) suffixes.push(x.isLeaf ? 'requiresGrad=true' : `gradFn=<${x.tape.label}>`);
  const prefix = 'tensor(';
  const elements = formatElements(view, x.dtype, at, how, prefix.length);
  return withSuffixes(prefix + elements, suffixes, prefix.length, how.lineWidth);
}

/** @internal The elements as `toString` gives them where they are known without waiting; null elsewhere. Computes nothing. */
export function showKnown(x: Tensor): string | null {
  if (x.disposed || x.device.destroyed) return null;
  const at = x.device.engine.peek(x.node);
  return at && printed(x, x.view, at, settings);
}

/**
 * The tensor as PyTorch prints it, on every device: computes what is pending and reads it. Options hold for this call. Large
 * tensors are summarised.
 *
 * @throws UnsupportedError for options that do not exist or whose values break their rule.
 * @example
 * ```ts
 * console.log(await x.mul(2).format({ precision: 2 }));
 * ```
 */
export async function format(x: Tensor, options: PrintOptions = {}): Promise<string> {
  checkTensor('format', x);
  const how = merged('format', options);
  const data = await x.numbers('format');
  return printed(x, contiguousView(x.shape), (place) => data[place]!, how);
}
