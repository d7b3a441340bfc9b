import { type DType, isFloating } from '../core/dtype.ts';
import { DTypeError } from '../core/errors.ts';
import { nextStream } from '../core/random.ts';
import { checkShape, type Shape } from '../core/shape.ts';
import { type Template, template } from '../engine/node.ts';
import {
  add,
  cast,
  constant,
  cos,
  type Expr,
  load,
  log,
  lt,
  mul,
  or,
  position,
  shl,
  shr,
  sqrt,
  uniform,
  wide,
  xor,
} from '../ir/expr.ts';
import type { Device } from '../tensor/device.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { deviceOf, produce, reading } from './record.ts';

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const u32 = (v: number): Expr => constant(v, 'uint32');
const rotate = (x: Expr, by: number): Expr => or(shl(x, u32(by)), shr(x, u32(32 - by)));

/**
 * Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): two words of random
 * bits for each element, from its position and the key of the op's place in the stream.
 */
function threefry(): [Expr, Expr] {
  const k0 = uniform(0, 'uint32');
  const k1 = uniform(1, 'uint32');
  const keys = [k0, k1, xor(xor(k0, k1), u32(0x1bd11bda))];
  let x0 = add(cast(position, 'uint32'), k0);
  let x1 = add(uniform(2, 'uint32'), k1);
  for (let round = 0; round < 20; round++) {
    x0 = add(x0, x1);
    x1 = xor(rotate(x1, ROTATIONS[round % 8]!), x0);
    if (round % 4 === 3) {
      const n = (round + 1) / 4;
      x0 = add(x0, keys[n % 3]!);
      x1 = add(add(x1, keys[(n + 1) % 3]!), u32(n));
    }
  }
  return [x0, x1];
}

/** 24 bits as a float in [0, 1). */
const unit = (bits: Expr): Expr => mul(cast(shr(bits, u32(8)), 'float32'), 2 ** -24);
const KEYS = ['uint32', 'uint32', 'uint32'] as const;

/** Of 11 bits, so that float16 holds it and none becomes 1. */
const shortUnit = (bits: Expr): Expr => mul(cast(shr(bits, u32(21)), 'float32'), 2 ** -11);

type Kind = 'bits' | 'uniforms' | 'normals' | 'shortUniforms';
let shared: Readonly<Record<Kind, Template>> | undefined;

/** Made at first use, so that importing the library builds nothing. */
function templates(): Readonly<Record<Kind, Template>> {
  if (shared) return shared;
  const [a, b] = threefry();
  // Box and Muller, with the first uniform in (0, 1] so that its logarithm is finite.
  const radius = sqrt(mul(log(add(unit(a), 2 ** -24)), -2));
  const angle = mul(unit(b), 2 * Math.PI);
  shared = {
    bits: template('map', a, KEYS),
    uniforms: template('map', unit(a), KEYS),
    shortUniforms: template('map', shortUnit(a), KEYS),
    normals: template('map', mul(radius, cos(angle)), KEYS),
  };
  return shared;
}

function draw(device: Device, op: string, shape: Shape, dtype: DType, kind: Kind): Tensor {
  checkShape(op, shape);
  if (kind !== 'bits' && !isFloating(dtype))
    throw new DTypeError(`${op}: random floats are float32 or float16, not ${dtype}; use randint for whole numbers`);
  device.engine.checkDType(op, dtype);
  return produce(device, op, dtype, shape, {
    template: templates()[kind],
    space: shape,
    inputs: [],
    scalars: nextStream(),
  });
}

/** @internal Random uint32 bits: the same on every device for the same seed. */
export const randomBits = (device: Device, shape: Shape): Tensor => draw(device, 'randint', shape, 'uint32', 'bits');
/** @internal Uniform floats in [0, 1): the same bits on every device for the same seed. */
export const randomUniform = (device: Device, shape: Shape, dtype: DType = 'float32'): Tensor =>
  draw(device, 'rand', shape, dtype, dtype === 'float16' ? 'shortUniforms' : 'uniforms');
/** @internal Normal floats of mean 0 and variance 1: equal on all devices up to a few units in the last place. */
export const randomNormal = (device: Device, shape: Shape, dtype: DType = 'float32'): Tensor =>
  draw(device, 'randn', shape, dtype, 'normals');

/** A Bernoulli draw for each element: 1 with the probability that the tensor holds there (`torch.bernoulli`). */
export function bernoulli(probabilities: Tensor): Tensor {
  const device = deviceOf('bernoulli', [probabilities]);
  const { shape, dtype } = probabilities;
  if (!isFloating(dtype)) throw new DTypeError(`bernoulli: probabilities must be floats, got ${dtype}`);
  const [a] = threefry();
  const expr = cast(lt(unit(a), wide(load(0, dtype))), dtype);
  return produce(device, 'bernoulli', dtype, shape, {
    template: template('map', expr, KEYS),
    space: shape,
    inputs: [reading(probabilities, shape)],
    scalars: nextStream(),
  });
}
