// What every library is given to train.
import { expect, test } from 'vitest';
import { type HostArray, initialWeights, MODEL_NAMES, permuted, sizeOf } from '../../bench/models.ts';
import { beginAlike, MODELS } from '../../bench/training.ts';
import { open, tl } from '../setup/open.ts';

const counting = (...shape: number[]): HostArray => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
});

test('an array with its dims in another order', async () => {
  const device = await open('cpu');
  for (const order of [
    [0, 2, 3, 1],
    [2, 3, 1, 0],
  ]) {
    const given = counting(2, 3, 4, 5);
    const expected = tl.tensor(given.data, { shape: given.shape }).permute(order);
    const found = permuted(given, order);
    expect(found.shape).toEqual(expected.shape);
    expect([...found.data]).toEqual([...(await expected.contiguous().data())]);
  }
  device.destroy();
});

test.each(MODEL_NAMES)('the %s of tensorloom begins with the weights that are given to all', async (name) => {
  const device = await open('cpu');
  const training = MODELS[name]();
  beginAlike(training, name);
  const weights = initialWeights(name);
  const parameters = training.model.namedParameters();
  expect(parameters.map(([key]) => key).sort()).toEqual(Object.keys(weights).sort());
  for (const [key, p] of parameters) expect(await p.data(), key).toEqual(weights[key]!.data);
  device.destroy();
});
