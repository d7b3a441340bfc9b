import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as ops from '../src/ops/methods.ts';
import * as overloads from '../src/ops/overloads.ts';
import { BAD_CALLS, type BadCall } from './bad-calls.ts';
import { BAD_OP_CALLS, LATE_OP_CALLS, openOther } from './bad-op-calls.ts';
import { devices } from './setup/devices.ts';
import { clean, open, tl } from './setup/open.ts';

/** Bad input: each a typed error whose message names the op, what it got, the rule and the way out. */
const BAD: readonly (BadCall & { readonly name: string })[] = [
  {
    name: 'ragged rows',
    run: () => tl.tensor([[1, 2], [3]]),
    error: tl.FormatError,
    says: /tensor: ragged data: element \[1\] has length 1 where the first has length 2; make all rows equally long/,
  },
  {
    name: 'ragged depth',
    run: () => tl.tensor([[1], 2] as never),
    error: tl.FormatError,
    says: /tensor: ragged data: element \[1\] is a number/,
  },
  {
    name: 'a string as data',
    run: () => tl.tensor(['1'] as never),
    error: tl.FormatError,
    says: /tensor: element \[0\] is string 1; only numbers/,
  },
  { name: 'mixed kinds', run: () => tl.tensor([true, 1]), error: tl.FormatError, says: /mixes booleans and numbers/ },
  {
    name: 'a shape that does not fit',
    run: () => tl.tensor([1, 2, 3], { shape: [2, 2] }),
    error: tl.ShapeError,
    says: /tensor: 3 elements do not fill the shape \[2, 2\], which holds 4/,
  },
  {
    name: 'NaN as an integer',
    run: () => tl.tensor([0, Number.NaN], { dtype: 'int32' }),
    error: tl.DTypeError,
    says: /tensor: element 1 is NaN, which int32 cannot hold/,
  },
  {
    name: 'an integer out of range',
    run: () => tl.tensor([2 ** 31], { dtype: 'int32' }),
    error: tl.DTypeError,
    says: /element 0 is 2147483648/,
  },
  {
    name: 'an unknown dtype',
    run: () => tl.zeros([2], { dtype: 'float64' as never }),
    error: tl.DTypeError,
    says: /zeros|full: .*is no dtype; use 'float32'/,
  },
  {
    name: 'an unknown option',
    run: () => tl.zeros([2], { typ: 'int32' } as never),
    error: tl.UnsupportedError,
    says: /there is no option typ; it takes dtype, device, requiresGrad/,
  },
  { name: 'a negative size', run: () => tl.ones([2, -1]), error: tl.ShapeError, says: /\[2, -1\] is no shape/ },
  {
    name: 'shapes that do not broadcast',
    run: () => tl.ones([2, 3]).add(tl.ones([4])),
    error: tl.ShapeError,
    says: /add: shapes \[2, 3\] and \[4\] do not broadcast: dimension 1 is 3 in one and 4 in the other/,
  },
  {
    name: 'matrices that do not multiply',
    run: () => tl.ones([2, 3]).matmul(tl.ones([2, 3])),
    error: tl.ShapeError,
    says: /matmul: shapes \[2, 3\] and \[2, 3\] do not multiply: the last dim of the first \(3\) must equal the second-last/,
  },
  {
    name: 'a scalar in matmul',
    run: () => tl.tensor(1).matmul(tl.ones([1])),
    error: tl.ShapeError,
    says: /matmul: .*use mul for scalars/,
  },
  {
    name: 'reshape to another size',
    run: () => tl.ones([2, 3]).reshape([4]),
    error: tl.ShapeError,
    says: /reshape: \[2, 3\] has 6 elements and \[4\] asks for 4/,
  },
  {
    name: 'a dim that is not there',
    run: () => tl.ones([2, 3]).sum({ dim: 2 }),
    error: tl.IndexError,
    says: /sum: dim 2 is out of range for a tensor of 2 dimensions; use -2 to 1/,
  },
  {
    name: 'a dim named twice',
    run: () => tl.ones([2, 3]).sum({ dim: [0, -2] }),
    error: tl.ShapeError,
    says: /sum: dims \[0, 0\] name a dimension twice/,
  },
  {
    name: 'select out of range',
    run: () => tl.ones([2]).select(0, 2),
    error: tl.IndexError,
    says: /select: index 2 is out of range/,
  },
  {
    name: 'expand of a size that is not 1',
    run: () => tl.ones([2]).expand([3]),
    error: tl.ShapeError,
    says: /expand: /,
  },
  {
    name: 'cat of different shapes',
    run: () => tl.cat([tl.ones([2, 2]), tl.ones([2, 3])]),
    error: tl.ShapeError,
    says: /cat: shapes \[2, 2\] and \[2, 3\] differ/,
  },
  { name: 'cat of nothing', run: () => tl.cat([]), error: tl.UnsupportedError, says: /cat: the list is empty/ },
  {
    name: 'float indices',
    run: () => tl.ones([2, 2]).gather(0, tl.ones([1, 2])),
    error: tl.DTypeError,
    says: /gather: indices must be int32, got float32; convert them with \.to\('int32'\)/,
  },
  {
    name: 'the mean of integers',
    run: () => tl.ones([2], { dtype: 'int32' }).mean(),
    error: tl.DTypeError,
    says: /mean: needs a floating tensor, got int32; convert it with \.to\('float32'\)/,
  },
  {
    name: 'int32 with uint32',
    run: () => tl.ones([2], { dtype: 'int32' }).add(tl.ones([2], { dtype: 'uint32' })),
    error: tl.DTypeError,
    says: /add: int32 and uint32 have no common dtype/,
  },
  {
    name: 'the largest of nothing',
    run: () => tl.zeros([0]).amax(),
    error: tl.ShapeError,
    says: /amax: \[0\] has no elements along the reduced dims/,
  },
  {
    name: 'an op on no tensor',
    run: () => tl.add(1, 2),
    error: tl.UnsupportedError,
    says: /add: at least one input must be a tensor/,
  },
  {
    name: 'an op on something else',
    run: () => tl.add(tl.ones([1]), 'x' as never),
    error: tl.UnsupportedError,
    says: /add: expected a tensor or a number, got string x/,
  },
  {
    name: 'a gradient for integers',
    run: () => tl.zeros([1], { dtype: 'int32', requiresGrad: true }),
    error: tl.DTypeError,
    says: /requiresGrad: only floating tensors have gradients, this one is int32/,
  },
  {
    name: 'backward of nothing',
    run: () => tl.ones([1]).backward(),
    error: tl.UnsupportedError,
    says: /backward: the tensor of shape \[1\] depends on nothing that requires a gradient/,
  },
  {
    name: 'backward of a matrix',
    run: () => tl.ones([2, 2], { requiresGrad: true }).mul(2).backward(),
    error: tl.UnsupportedError,
    says: /backward: the output of shape \[2, 2\] is no scalar; reduce it with sum\(\) or pass \{ gradient \}/,
  },
  {
    name: 'float labels',
    run: () => tl.crossEntropy(tl.ones([2, 3]), tl.ones([2])),
    error: tl.DTypeError,
    says: /crossEntropy: labels of shape \[2\] are float32; give class indices as int32/,
  },
  {
    name: 'labels of another shape',
    run: () => tl.crossEntropy(tl.ones([2, 3]), tl.zeros([3], { dtype: 'int32' })),
    error: tl.ShapeError,
    says: /crossEntropy: logits \[2, 3\] need labels of shape \[2\], got \[3\]/,
  },
  {
    name: 'an unknown reduction',
    run: () => tl.mseLoss(tl.ones([1]), tl.ones([1]), { reduction: 'avg' as never }),
    error: tl.UnsupportedError,
    says: /mseLoss: reduction avg is unknown; use 'mean', 'sum' or 'none'/,
  },
  {
    name: 'an unknown loss option',
    run: () => tl.crossEntropy(tl.ones([1, 2]), tl.zeros([1], { dtype: 'int32' }), { smoothing: 1 } as never),
    error: tl.UnsupportedError,
    says: /crossEntropy: there is no option smoothing; it takes reduction, weight/,
  },
  {
    name: 'a seed that is none',
    run: () => tl.manualSeed(-1),
    error: tl.DTypeError,
    says: /manualSeed: -1 is no seed/,
  },
  {
    name: 'assign of a shape that does not fit',
    run: () => tl.ones([2]).assign_(tl.ones([3])),
    error: tl.ShapeError,
    says: /assign_: shapes|do not broadcast/,
  },
  {
    name: 'assign of floats to integers',
    run: () => tl.ones([2], { dtype: 'int32' }).assign_(tl.ones([2])),
    error: tl.DTypeError,
    says: /assign_: a float32 value does not fit into int32/,
  },
  {
    name: 'assign through an expanded view',
    run: () => tl.ones([1]).expand([3]).assign_(2),
    error: tl.UnsupportedError,
    says: /assign_: the view shows an element of its storage more than once/,
  },
];

/** Calls under the text of their functions. */
const named = (calls: readonly BadCall[]): readonly (BadCall & { readonly name: string })[] =>
  calls.map((call) => ({ ...call, name: String(call.run).replace(/\s+/g, ' ') }));

function check(thrown: unknown, { error, says }: BadCall): void {
  expect(thrown).toBeInstanceOf(error);
  expect(thrown).toBeInstanceOf(tl.TensorloomError);
  const { message } = thrown as Error;
  if (typeof says === 'string') expect(message.slice(0, says.length)).toBe(says);
  else expect(message).toMatch(says);
}

function thrownBy(run: () => unknown): unknown {
  try {
    tl.tidy(() => {
      run();
    });
  } catch (e) {
    return e;
  }
  return undefined;
}

/** What the tensors or the promise of a call fail with. */
async function awaited(run: () => unknown): Promise<unknown> {
  let out: unknown;
  tl.tidy(() => {
    out = run();
    return out instanceof Promise ? undefined : out;
  });
  try {
    const made = (await out) as tl.Tensor;
    await made.data().finally(() => made.dispose());
  } catch (e) {
    return e;
  }
  return undefined;
}

/** Every op that takes a tensor first, by the name that its errors give. */
const OPS: readonly { readonly op: string; readonly call: (x: never) => unknown }[] = Object.entries({
  ...ops,
  ...overloads,
  cast: (x: tl.Tensor) => tl.cast(x, 'int32'),
  clamp: (x: tl.Tensor) => tl.clamp(x, { min: 0 }),
  to: (x: tl.Tensor) => tl.to(x, 'int32'),
  conv2d: tl.nn.functional.conv2d,
  dropout: tl.nn.functional.dropout,
  eigvalsh: tl.linalg.eigvalsh,
  layerNorm: tl.nn.functional.layerNorm,
  'linalg.matrixNorm': tl.linalg.matrixNorm,
  'linalg.norm': tl.linalg.norm,
  'linalg.vectorNorm': tl.linalg.vectorNorm,
  svdvals: tl.linalg.svdvals,
}).map(([op, call]) => ({ op: op === 'cast' ? 'to' : op, call: call as (x: never) => unknown }));

/** What a call throws, or rejects with. */
const failure = async (call: () => unknown): Promise<unknown> =>
  Promise.resolve()
    .then(call)
    .then(
      () => undefined,
      (error: unknown) => error,
    );

describe.each(devices)('bad input on %s', (name) => {
  let device: tl.Device;
  let other: tl.Device;
  beforeAll(async () => {
    device = await open(name);
    other = await openOther();
  });
  afterAll(() => {
    device.destroy();
    other.destroy();
  });

  it.each([...BAD, ...named(BAD_CALLS), ...named(BAD_OP_CALLS)])('$name', (call) =>
    clean(device, () => check(thrownBy(call.run), call)),
  );

  it.each(named(LATE_OP_CALLS))('$name', (call) =>
    clean(device, async () => {
      check(await awaited(call.run), call);
      expect(tl.memory(other).tensors).toBe(0);
    }),
  );

  it.each(OPS)('$op of what is no tensor', ({ op, call }) =>
    clean(device, async () => {
      // An op in place is the op, and an assignment.
      const named = `^(${op}|${op.replace(/_$/, '')}${op.endsWith('_') ? '|assign_' : ''}): `;
      for (const wrong of [undefined, null, 3, 'x', [1, 2]]) {
        const error = await failure(() => call(wrong as never));
        expect(error).toBeInstanceOf(tl.UnsupportedError);
        const says = `${named}(expected a tensor( or a number)?, got|at least one input must be a tensor)`;
        expect((error as Error).message).toMatch(new RegExp(says));
      }
      const gone = tl.ones([2, 3]);
      gone.dispose();
      const error = await failure(() => call(gone as never));
      expect(error).toBeInstanceOf(tl.DisposedError);
      expect((error as Error).message).toMatch(
        new RegExp(`${named}a tensor of shape \\[2, 3\\] was disposed by dispose`),
      );
    }),
  );

  it('a disposed tensor', () =>
    clean(device, () => {
      const x = tl.ones([2]);
      x.dispose();
      expect(() => x.add(1)).toThrow(tl.DisposedError);
      expect(() => x.add(1)).toThrow(/add: a tensor of shape \[2\] was disposed by dispose\(\)/);
      expect(() => x.reshape([1, 2])).toThrow(tl.DisposedError);
      expect(() => tl.zerosLike(x)).toThrow(/zerosLike: a tensor of shape \[2\] was disposed/);
    }));

  it('reads of a disposed tensor reject', async () => {
    const x = tl.ones([2]);
    x.dispose();
    await expect(x.data()).rejects.toThrow(tl.DisposedError);
    await expect(x.item()).rejects.toThrow(tl.DisposedError);
    await expect(x.toArray()).rejects.toThrow(tl.DisposedError);
  });

  it('item of several elements', async () => {
    using x = tl.ones([2]);
    await expect(x.item()).rejects.toThrow(/item: the tensor of shape \[2\] has 2 elements, not one/);
  });

  it('dataSync where the device cannot', async () => {
    using x = tl.tidy(() => tl.ones([2]).add(1));
    if (name === 'webgpu') {
      expect(() => x.dataSync()).toThrow(tl.DeviceError);
      expect(() => x.dataSync()).toThrow(
        /dataSync: a webgpu device cannot be read synchronously; use `await tensor.data\(\)`/,
      );
    } else expect([...x.dataSync()]).toEqual([2, 2]);
  });

  it('two devices in one op', async () => {
    const other = await tl.device(name === 'cpu' ? (devices.includes('reference') ? 'reference' : 'cpu') : 'cpu');
    using a = tl.ones([2]);
    using b = tl.ones([2], { device: other });
    expect(() => a.add(b)).toThrow(tl.DeviceError);
    expect(() => a.add(b)).toThrow(/add: the tensors are on two devices/);
    b.dispose();
    other.destroy();
  });

  it('labels out of range, found on the device', () =>
    clean(device, async () => {
      const loss = tl.tidy(() => tl.crossEntropy(tl.ones([2, 3]), tl.tensor([0, 3], { dtype: 'int32' })));
      await expect(loss.item()).rejects.toThrow(tl.IndexError);
      loss.dispose();
      const good = tl.tidy(() => tl.crossEntropy(tl.ones([2, 3]), tl.tensor([0, 2], { dtype: 'int32' })));
      expect(await good.item()).toBeCloseTo(Math.log(3), 5);
      good.dispose();
    }));

  it('a device that was destroyed', async () => {
    const brief = await tl.device(name);
    const x = tl.ones([2], { device: brief });
    brief.destroy();
    expect(() => x.add(1)).toThrow(tl.DeviceError);
    expect(() => tl.setDefaultDevice(brief)).toThrow(/was destroyed/);
    x.dispose();
  });
});

describe('devices that are not there', () => {
  it('an unknown name', async () => {
    await expect(tl.init({ device: 'cuda' as never })).rejects.toThrow(
      /there is no device cuda; use 'auto', 'webgpu', 'cpu' or 'reference'/,
    );
    await expect(tl.init({ devise: 'cpu' } as never)).rejects.toThrow(tl.UnsupportedError);
  });
});
