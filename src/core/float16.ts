/*
 * IEEE 754 binary16 on the host. A float16 is a sign, 5 bits of exponent with bias 15, and 10 of fraction; float32 has 8 bits with
 * bias 127, and 23.
 */

const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

/** The bits of the float16 nearest to a number that was rounded to float32: halves to even, infinite from 65520 on. */
export function halfBits(x: number): number {
  floats[0] = x;
  const word = words[0]!;
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below 2^-14, whole multiples of 2^-24: added to 0.5, they are the last bits of the sum, which rounds them.
    floats[0] = Math.abs(floats[0]!) + 0.5;
    return sign | (words[0]! - 0x3f000000);
  }
  // What is dropped is more than half, or half and the last bit is odd: the carry may pass into the exponent.
  const rounded = magnitude + 0x0fff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The number with the given bits of a float16. */
export function halfValue(bits: number): number {
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 0x3ff;
  const magnitude =
    exponent === 31
      ? fraction === 0
        ? Infinity
        : Number.NaN
      : exponent === 0
        ? fraction * 2 ** -24
        : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The nearest float16 of a number rounded to float32, as a number. */
export const halfRound = (x: number): number => halfValue(halfBits(x));
