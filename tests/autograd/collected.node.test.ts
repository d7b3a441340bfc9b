import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { open, tl } from '../setup/open.ts';

type Tensor = tl.Tensor;

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

const custom = tl.customOp({
  name: 'custom',
  forward(ctx, a: Tensor) {
    const y = a.exp();
    ctx.saveForBackward(a, y);
    return [y, a.sin()];
  },
  backward: ({ savedTensors: [a, y] }, g, h) => g!.mul(y!).add(h!.mul(a!.cos())),
});
const kernel = tl.customKernel({
  name: 'kernel',
  output: (a) => ({ shape: a!.shape }),
  wgsl: 'fn element(i: u32) -> f32 { return input0(i); }',
  cpu: ([a], out) => out.data.set(a!.data),
  gradient: (g) => g,
});
const CALLS: Readonly<Record<string, (x: Tensor) => unknown>> = {
  custom: (x) => custom(x),
  kernel: (x) => kernel(x),
  checkpoint: (x) => tl.checkpoint((a: Tensor) => a.exp().sin(), x),
  vjp: (x) => tl.vjp((a) => a.exp().sin(), x),
};

// What a gradient rule leaves on the tape must not hold the handles that the tape belongs to.
it.each(Object.entries(CALLS))('%s: what nobody disposes is collected with its tape', async (_, call) => {
  const device = await open('cpu');
  const before = tl.memory(device).tensors;
  const make = (): void => {
    for (let i = 0; i < 50; i++) call(tl.tensor([1, 2, 3], { requiresGrad: true }));
  };
  make();
  await device.sync();
  for (let i = 0; i < 20 && tl.memory(device).tensors > before; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
    device.engine.flush();
  }
  // The engine may still see the last ones on its stack.
  expect(tl.memory(device).tensors).toBeLessThanOrEqual(before + 4);
  device.destroy();
});
