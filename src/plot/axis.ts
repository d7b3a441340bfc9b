/** An axis: where a value lies between 0 and 1, and the values that are marked. */
export interface Axis {
  readonly at: (value: number) => number;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

/** The step of 1, 2 or 5 times a power of ten that makes about so many marks. */
function stepOf(span: number, marks: number): number {
  const rough = span / marks;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * 0.999) ?? 10;
  return factor * power;
}

function show(value: number, step: number, largest: number): string {
  if (largest >= 1e5 || largest < 1e-3) {
    const digits = Math.max(0, Math.floor(Math.log10(Math.abs(value) || 1)) - Math.floor(Math.log10(step)));
    return value === 0 ? '0' : value.toExponential(digits).replace('e+', 'e').replace(/\.0+e/, 'e');
  }
  return value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

/** An axis of equal steps that begins and ends with a mark. */
export function linearAxis(low: number, high: number): Axis {
  const room = high > low ? 0 : Math.abs(low) * 0.1 || 1;
  const [from, to] = [low - room, high + room];
  const step = stepOf(to - from, 5);
  const first = Math.floor(from / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(to / step - 1e-9));
  const values = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const largest = Math.max(Math.abs(first * step), Math.abs(last * step));
  return {
    at: (v) => (v - first * step) / ((last - first) * step),
    ticks: values.map((value) => ({ value, text: show(value, step, largest) })),
  };
}

/** An axis of powers of ten, for numbers above 0; of two and five times them, too, where there are few. */
export function logAxis(low: number, high: number): Axis {
  const first = Math.floor(Math.log10(low) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(Math.log10(high) - 1e-9));
  const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const every = Math.ceil((last - first) / 6);
  const few = last - first <= 2;
  let marks = powers.flatMap((p) => (few ? [1, 2, 5] : [1]).map((f) => Number(`${f}e${p}`)));
  const start = marks.findLastIndex((v) => v <= low * (1 + 1e-9));
  const end = marks.findIndex((v) => v >= high * (1 - 1e-9));
  marks = marks.slice(Math.max(0, Math.min(start, end - 1)), Math.max(end, start + 1) + 1);
  const [from, to] = [Math.log10(marks[0] ?? low), Math.log10(marks.at(-1) ?? high)];
  return {
    at: (v) => (Math.log10(v) - from) / (to - from),
    ticks: marks
      .filter((_, i) => i % every === 0)
      .map((value) => ({
        value,
        text: value >= 0.01 && value < 1e5 ? String(value) : value.toExponential().replace('e+', 'e'),
      })),
  };
}

/** An axis of epochs, which are marked by their numbers from 1. */
export function epochAxis(first: number, last: number, marks: number): Axis {
  const step = Math.max(1, stepOf(Math.max(1, last - first), marks));
  const values: number[] = [];
  for (let n = first + 1; n <= last + 1; n++) if (n % step === 0 || step === 1) values.push(n - 1);
  if (values.length === 0) values.push(first);
  return {
    at: (epoch) => (last > first ? (epoch - first) / (last - first) : 0.5),
    ticks: values.map((value) => ({ value, text: String(value + 1) })),
  };
}
