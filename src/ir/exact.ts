import type { ScalarOp } from './expr.ts';

/** Series for small |x|, continued fraction (Lentz) for large: W. J. Cody's split, both to double precision. */
function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(a)) return x;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 80; n++) {
      term *= (-a * a) / n;
      const next = sum + term / (2 * n + 1);
      if (next === sum) break;
      sum = next;
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  // erfc(a) = exp(-a²)/√π · 1/(a + (1/2)/(a + 1/(a + (3/2)/(a + …)))), evaluated from the tail.
  let f = a;
  for (let n = 120; n >= 1; n--) f = a + n / 2 / f;
  return Math.sign(x) * (1 - Math.exp(-a * a) / (Math.sqrt(Math.PI) * f));
}

const FUNCTIONS: Partial<Record<ScalarOp, (x: number, y: number) => number>> = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  log2: Math.log2,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  atan2: Math.atan2,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  erf,
  gated: (x, z) => x / (1 + Math.exp(-z)),
  // C's pow, which differs from JavaScript's where the base is ±1 or the exponent infinite.
  pow: (x, y) => (x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y),
  fmod: (x, y) => x % y,
  isnan: (x) => (Number.isNaN(x) ? 1 : 0),
};

/** The function of an expression in double precision: what the float32 formulas of `functions.ts` are tested against. */
export function exactFunction(op: ScalarOp): (x: number, y: number) => number {
  const f = FUNCTIONS[op];
  if (!f) throw new Error(`no function ${op}`);
  return f;
}
