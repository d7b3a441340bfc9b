import { describe, expect, test } from 'vitest';
import { ReferenceBackend } from '../../src/backends/reference/reference.ts';
import { exactFunction } from '../../src/ir/exact.ts';
import { type FunctionOp, load } from '../../src/ir/expr.ts';
import { expandFunctions, functionFormula } from '../../src/ir/functions.ts';
import { blank, generator, map, run, ulps } from '../backends/kernels.ts';

const backend = new ReferenceBackend('float32');

/** The formula at every point, each operation rounded to float32, as WebAssembly computes it. */
async function evaluate(op: FunctionOp, xs: Float32Array, ys = xs): Promise<Float32Array> {
  const arity = BINARY.has(op) ? 2 : 1;
  const loads = [load(0, 'float32'), load(1, 'float32')].slice(0, arity);
  const [expr] = expandFunctions([functionFormula(op)(loads)], new Set());
  const kernel = map(
    [xs.length],
    loads.map(() => ({})),
    [expr!],
  );
  const { buffers } = await run(backend, [kernel], [...[xs, ys].slice(0, arity), blank(xs.length)]);
  return buffers[arity] as Float32Array;
}

const BINARY: ReadonlySet<FunctionOp> = new Set(['gated', 'atan2', 'pow', 'fmod']);

const linear = (low: number, high: number, n = 4000): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
/** Both signs, evenly spread over the exponents. */
const geometric = (low: number, high: number, n = 2000): Float32Array => {
  const steps = Array.from({ length: n }, (_, i) => low * (high / low) ** (i / (n - 1)));
  return Float32Array.from([...steps, ...steps.map((x) => -x)]);
};

interface Range {
  readonly over: string;
  readonly points: Float32Array;
  /** The most ulps it may err. */
  readonly limit: number;
  /** Ulps of results below this are counted as ulps of this: near the zeros of sines, where |x| is not small. */
  readonly floor?: number;
}

const range = (over: string, points: Float32Array, limit: number, floor = 0): Range => ({ over, points, limit, floor });
const EVERYWHERE = geometric(1.2e-38, 3.4e38);

// What is stated here was also found by trying every 37th float of all, and every one near the worst.
const UNARY: Partial<Record<FunctionOp, readonly Range[]>> = {
  exp: [range('all results', linear(-87.3, 88.72), 1.2), range('all magnitudes', EVERYWHERE, 1.2)],
  expm1: [range('moderate x', linear(-18, 88.72), 2.2), range('near 0', geometric(1e-30, 0.7), 2.2)],
  log: [range('near 1', linear(0.5, 2), 1.2), range('all magnitudes', EVERYWHERE, 1.2)],
  log1p: [range('near 0', geometric(1e-30, 0.99), 1.8), range('all magnitudes', EVERYWHERE, 1.8)],
  log2: [range('near 1', linear(0.5, 2), 2), range('all magnitudes', EVERYWHERE, 2)],
  sin: [
    range('|x| <= 100', linear(-100, 100), 1.5),
    range('|x| <= 1e4', linear(-1e4, 1e4), 1.5, 2 ** -12),
    range('near 0', geometric(1e-30, 1), 1.5),
  ],
  cos: [range('|x| <= 100', linear(-100, 100), 1.5, 2 ** -17), range('|x| <= 1e4', linear(-1e4, 1e4), 1.5, 2 ** -12)],
  tan: [range('|x| <= 100', linear(-100, 100), 3.5), range('near 0', geometric(1e-30, 1.5), 3.5)],
  asin: [range('all', linear(-1, 1), 2.4), range('near 0', geometric(1e-30, 1), 2.4)],
  acos: [range('all', linear(-1, 1), 1.3), range('near 1', linear(0.999, 1), 1.3)],
  atan: [range('moderate x', linear(-10, 10), 2.1), range('all magnitudes', EVERYWHERE, 2.1)],
  sinh: [range('all results', linear(-89.4, 89.4), 3.2), range('all magnitudes', EVERYWHERE, 3.2)],
  cosh: [range('all results', linear(-89.4, 89.4), 1.6), range('all magnitudes', EVERYWHERE, 1.6)],
  tanh: [range('moderate x', linear(-9.5, 9.5), 1.82), range('all magnitudes', EVERYWHERE, 1.82)],
  erf: [range('moderate x', linear(-4.2, 4.2), 1.98), range('all magnitudes', EVERYWHERE, 1.98)],
};

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const EDGES = Float32Array.from([
  ...[0, 1, 0.5, 1.5, 2, 2.5, 3, 10, 30, 100, 101, 127, 128, 149, 150],
  ...[88.722, 88.723, 87.33, 89.41, 89.42, 103.9, 1.0000001, 0.99999994, 0.70710677],
  ...[8388607.5, 16777215, 16777216, 2147483648, 1e10, 1e30, 3.4028235e38, 1.17549435e-38, 1e-30, 1e-40, 1.4e-45, inf],
]);
const edges = Float32Array.from([...EDGES, ...EDGES.map((x) => -x), nan]);

const show = (op: string, args: readonly number[], got: number, want: number): string =>
  `${op}(${args.map((x) => (Object.is(x, -0) ? '-0' : x)).join(', ')}) is ${Object.is(got, -0) ? '-0' : got}, not ${want}`;

describe.each(Object.entries(UNARY))('%s', (name, ranges) => {
  const op = name as FunctionOp;
  const exact = exactFunction(op);

  test.each(ranges)('$over: at most $limit ulp', async ({ points, limit, floor }) => {
    const got = await evaluate(op, points);
    let worst = 0;
    let at = 0;
    got.forEach((y, i) => {
      const want = exact(points[i]!, 0);
      const scale = floor && Math.abs(want) < floor ? Math.abs(want) / floor : 1;
      const error = ulps(y, want) * scale;
      if (error > worst) [worst, at] = [error, i];
    });
    expect(worst, show(op, [points[at]!], got[at]!, exact(points[at]!, 0))).toBeLessThanOrEqual(limit);
  });

  test('edges', async () => {
    const got = await evaluate(op, edges);
    edges.forEach((x, i) => {
      const want = exact(x, 0);
      if (/^(sin|cos|tan)$/.test(op) && Number.isFinite(x) && Math.abs(x) > 1e4) {
        expect(Math.abs(got[i]!), show(op, [x], got[i]!, want)).toBeLessThanOrEqual(op === 'tan' ? inf : 1);
        return;
      }
      const limit = Math.max(...ranges.map((r) => r.limit));
      expect(ulps(got[i]!, want), show(op, [x], got[i]!, want)).toBeLessThanOrEqual(limit);
    });
  });
});

test('sines of large numbers: digits are lost slowly up to 8e5, and all stay between -1 and 1', async () => {
  const points = linear(-8e5, 8e5);
  for (const op of ['sin', 'cos'] as const) {
    const got = await evaluate(op, points);
    points.forEach((x, i) => {
      expect(Math.abs(got[i]! - exactFunction(op)(x, 0)), show(op, [x], got[i]!, exactFunction(op)(x, 0))).toBeLessThan(
        3e-4,
      );
    });
    for (const y of await evaluate(op, geometric(8e5, 3.4e38))) expect(Math.abs(y)).toBeLessThanOrEqual(1);
  }
});

test('sin and cos at multiples of pi, where they nearly vanish', async () => {
  const points = Float32Array.of(Math.PI, 2 * Math.PI, 10 * Math.PI, 100 * Math.PI, Math.PI / 2, 1000 * Math.PI);
  const [sin, cos] = [await evaluate('sin', points), await evaluate('cos', points)];
  points.forEach((x, i) => {
    expect(Math.abs(sin[i]! - Math.sin(x))).toBeLessThan(x * 2 ** -49 + Math.abs(Math.sin(x)) * 2 ** -23);
    expect(Math.abs(cos[i]! - Math.cos(x))).toBeLessThan(x * 2 ** -49 + Math.abs(Math.cos(x)) * 2 ** -23);
  });
});

test('isnan', async () => {
  expect([...(await evaluate('isnan', Float32Array.of(nan, inf, -inf, 0, -0, 1, 3e38, 1e-45)))]).toEqual([
    1, 0, 0, 0, 0, 0, 0, 0,
  ]);
  // A negative NaN, which x86 gives for 0 / 0.
  const negative = new Float32Array(Uint32Array.of(0xffc00000, 0xff800001, 0xff800000).buffer);
  expect([...(await evaluate('isnan', negative))]).toEqual([1, 1, 0]);
});

test.each(['tanh', 'erf'] as const)('%s never passes 1, and reaches it', async (op) => {
  const got = await evaluate(op, linear(1, 12));
  expect(Math.max(...got)).toBe(1);
  expect(got.at(-1)).toBe(1);
});

describe('two arguments', () => {
  const next = generator(7);
  const random = (low: number, high: number): number => low + ((high - low) * next()) / 2 ** 32;
  const pairs = (n: number, make: () => readonly [number, number]): [Float32Array, Float32Array] => {
    const both = Array.from({ length: n }, make);
    return [Float32Array.from(both, (p) => p[0]), Float32Array.from(both, (p) => p[1])];
  };

  async function worst(
    op: FunctionOp,
    [xs, ys]: [Float32Array, Float32Array],
    limit: (want: number) => number,
  ): Promise<void> {
    const got = await evaluate(op, xs, ys);
    got.forEach((y, i) => {
      const want = exactFunction(op)(xs[i]!, ys[i]!);
      expect(ulps(y, want), show(op, [xs[i]!, ys[i]!], y, want)).toBeLessThanOrEqual(limit(want));
    });
  }

  const grid = [...edges].flatMap((x) => [...edges].map((y) => [x, y] as const));
  const all: [Float32Array, Float32Array] = [
    Float32Array.from(grid, (p) => p[0]),
    Float32Array.from(grid, (p) => p[1]),
  ];

  test('atan2: at most 2.2 ulp', async () => {
    await worst(
      'atan2',
      pairs(4000, () => [random(-3, 3), random(-3, 3)]),
      () => 2.2,
    );
    await worst(
      'atan2',
      pairs(2000, () => [random(-1, 1) * 10 ** random(-30, 30), random(-1, 1) * 10 ** random(-30, 30)]),
      () => 2.2,
    );
  });
  test('atan2: edges', () => worst('atan2', all, () => 2.2));

  test('gated: at most 2.5 ulp, and the edges where both are the same', async () => {
    const spread = linear(-87, 88);
    await worst('gated', [spread, spread], () => 2.5);
    await worst(
      'gated',
      pairs(2000, () => [random(-1, 1) * 10 ** random(-20, 20), random(-40, 40)]),
      () => 2.5,
    );
    // e^-z overflows from 88.73 on, where the share is the smallest normal number.
    const same = edges.filter((x) => Number.isNaN(x) || x > -88.72 || x < -110);
    await worst('gated', [same, same], () => 2.5);
  });

  // Errors grow with the exponent of the result, up to 5 ulp near overflow and underflow.
  const powLimit = (want: number): number => (Math.abs(Math.log2(Math.abs(want))) > 64 ? 5.5 : 3);
  test('pow: at most 3 ulp where 2^-64 < |x^y| < 2^64, 5.5 elsewhere', async () => {
    await worst(
      'pow',
      pairs(1000, () => [2 ** random(-126, 127), random(-4, 4)]),
      powLimit,
    );
    await worst(
      'pow',
      pairs(1000, () => [1 + random(-0.5, 0.5), random(-200, 200)]),
      powLimit,
    );
    await worst(
      'pow',
      pairs(1000, () => [Math.round(random(-40, 40)) / 8, Math.round(random(-20, 20))]),
      powLimit,
    );
  });
  test('pow: edges', () => worst('pow', all, powLimit));

  test('pow: whole results are exact', async () => {
    const [xs, ys] = pairs(600, () => [Math.round(random(-20, 20)), Math.round(random(0, 5))]);
    const got = await evaluate('pow', xs, ys);
    got.forEach((y, i) => {
      expect(y, `${xs[i]}^${ys[i]}`).toBe(xs[i]! ** ys[i]!);
    });
    expect([...(await evaluate('pow', Float32Array.of(10, 2, 2), Float32Array.of(30, 127, -126)))]).toEqual(
      [1e30, 2 ** 127, 2 ** -126].map(Math.fround),
    );
  });

  test('fmod: exact for quotients below 2^23', async () => {
    await worst(
      'fmod',
      pairs(3000, () => [random(-100, 100), random(-10, 10)]),
      () => 0,
    );
    await worst(
      'fmod',
      pairs(3000, () => {
        const y = Math.fround(random(1, 2) * 2 ** Math.round(random(-60, 60)));
        return [y * random(-1, 1) * 2 ** random(0, 22.9), y];
      }),
      () => 0,
    );
    await worst(
      'fmod',
      pairs(2000, () => [Math.round(random(-8e6, 8e6)), Math.round(random(1, 9))]),
      () => 0,
    );
  });

  test('fmod: edges', async () => {
    const near = grid.filter(([x, y]) => !(Math.abs(x / y) >= 2 ** 23 && Number.isFinite(x / y) && y !== 0));
    await worst('fmod', [Float32Array.from(near, (p) => p[0]), Float32Array.from(near, (p) => p[1])], () => 0);
  });

  test('fmod: larger quotients stay below the divisor, with the sign of the dividend', async () => {
    const [xs, ys] = pairs(500, () => [random(-1, 1) * 1e30, random(1, 2)]);
    const got = await evaluate('fmod', xs, ys);
    got.forEach((y, i) => {
      expect(Math.abs(y)).toBeLessThan(ys[i]!);
      expect(Object.is(Math.sign(1 / y), Math.sign(xs[i]!))).toBe(true);
    });
  });
});

test.each([
  // Abramowitz and Stegun, table 7.1, and DLMF 7.23.
  [0.1, 0.112462916018285],
  [0.5, 0.520499877813047],
  [1, 0.842700792949715],
  [1.5, 0.966105146475311],
  [2, 0.995322265018953],
  [2.4, 0.999311486103355],
  [2.6, 0.999763965583471],
  [3, 0.999977909503001],
  [4, 0.999999984582742],
  [5, 0.999999999998463],
])('exact erf(%d) is %d', (x, y) => {
  const erf = exactFunction('erf');
  expect(Math.abs(erf(x, 0) - y)).toBeLessThan(1e-15);
  expect(erf(-x, 0)).toBe(-erf(x, 0));
});

test('exact erf at its ends', () => {
  const erf = exactFunction('erf');
  expect([erf(0, 0), erf(inf, 0), erf(-inf, 0), erf(nan, 0), erf(7, 0)]).toEqual([0, 1, -1, nan, 1]);
});
