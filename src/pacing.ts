// As long as a promise of Dawn's binding for Node is open, it asks on every turn of the event loop whether that is done, and has the loop
// turn at once: a core is at full load however long the wait is, which the driver's compiler or a software adapter could use.

/** So much of a wait passes without a pause, so that short ones do not get longer. */
const EAGER_MS = 2;
/** How long a pause is, as a share of the wait so far: on the average a wait ends later by half of it. */
const SHARE = 1 / 32;
/** Nor does anything else in the process wait longer than this. */
const LONGEST_MS = 0.5;

const never = new Int32Array(new SharedArrayBuffer(4));
let open = 0;
let since = 0;
let turning = false;

function turn(): void {
  if (open === 0) {
    turning = false;
    return;
  }
  const waited = performance.now() - since;
  if (waited > EAGER_MS) Atomics.wait(never, 0, 0, Math.min(waited * SHARE, LONGEST_MS));
  setImmediate(turn).unref();
}

function settle(): void {
  open--;
  since = performance.now();
}

/** Until the promise, one of Dawn's, settles, the process pauses between the looks at it. */
export function pace(promise: Promise<unknown>): void {
  if (open++ === 0) since = performance.now();
  promise.then(settle, settle);
  if (turning) return;
  turning = true;
  // Dawn keeps the process alive as long as it works; this does not.
  setImmediate(turn).unref();
}
