/*
 * Mixed precision: whether ops that are asked for now choose their own dtype, as `nn.amp.autocast` says. The rules stand where they
 * apply: products (matmul.ts) take float16, and reductions, norms and losses (`inFloat32`) and functions of which float16 would hold too
 * little (`precise` in their records) give float32.
 */
let on = false;

/** @internal Whether ops choose their own dtype. */
export const autocasting = (): boolean => on;

/** @internal Runs a function with the choice switched on or off. */
export function withAutocast<T>(state: boolean, fn: () => T): T {
  const before = on;
  on = state;
  try {
    return fn();
  } finally {
    on = before;
  }
}
