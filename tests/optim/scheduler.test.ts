import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import cases from '../fixtures/optim/schedulers.json' with { type: 'json' };
import { open, tl } from '../setup/open.ts';

const { SGD, StepLR, ExponentialLR, LambdaLR } = tl.optim;

describe('schedulers', () => {
  let device: tl.Device;
  let w: tl.Tensor;
  beforeAll(async () => {
    device = await open('cpu');
    w = tl.tensor([1], { requiresGrad: true });
  });
  afterAll(() => {
    device.destroy();
  });

  it.each(cases)("PyTorch's rates: $name", ({ op, args, base_lr: lr, lrs, rtol }) => {
    const sgd = new SGD([w], { lr });
    const scheduler =
      op === 'StepLR'
        ? new StepLR(sgd, { stepSize: args.step_size!, gamma: args.gamma })
        : new ExponentialLR(sgd, { gamma: args.gamma });
    lrs.forEach((want, k) => {
      if (k > 0) scheduler.step();
      expect(Math.abs(sgd.lr - want)).toBeLessThanOrEqual(rtol * want);
    });
    expect(scheduler.getLastLr()).toEqual([sgd.lr]);
  });

  it('LambdaLR multiplies the rate of each group', () => {
    const v = tl.tensor([1], { requiresGrad: true });
    const sgd = new SGD([{ params: [w] }, { params: [v], lr: 0.5 }], { lr: 1 });
    const scheduler = new LambdaLR(sgd, [(k) => 1 / (k + 1), (k) => 0.5 ** k]);
    scheduler.step();
    scheduler.step();
    expect(scheduler.getLastLr()).toEqual([1 / 3, 0.125]);
    v.dispose();
  });

  it('goes on from a state dict', () => {
    const sgd = new SGD([w], { lr: 1 });
    const scheduler = new StepLR(sgd, { stepSize: 2, gamma: 0.5 });
    for (let i = 0; i < 5; i++) scheduler.step();
    const again = new SGD([w], { lr: 1 });
    const other = new StepLR(again, { stepSize: 2, gamma: 0.5 });
    other.loadStateDict(scheduler.stateDict());
    expect(again.lr).toBe(0.25);
    other.step();
    expect(again.lr).toBe(0.125);
  });

  it.each<[string, (sgd: tl.optim.SGD) => unknown, RegExp]>([
    ['no optimizer', () => new StepLR({ paramGroups: [] }, { stepSize: 1 }), /is no optimizer/],
    ['a step size of 0', (sgd) => new StepLR(sgd, { stepSize: 0 }), /stepSize is number 0/],
    ['an unknown option', (sgd) => new StepLR(sgd, { stepSize: 1, factor: 2 } as never), /there is no option factor/],
    ['a negative gamma', (sgd) => new ExponentialLR(sgd, { gamma: -1 }), /gamma is number -1/],
    ['a rate that is NaN', (sgd) => new LambdaLR(sgd, () => Number.NaN), /the rate is number NaN/],
    ['too many functions', (sgd) => new LambdaLR(sgd, [() => 1, () => 1]), /2 functions for 1 parameter groups/],
  ])('refuses %s', (_, act, message) => {
    const sgd = new SGD([w], { lr: 1 });
    expect(() => act(sgd)).toThrow(tl.UnsupportedError);
    expect(() => act(sgd)).toThrow(message);
    expect(sgd.lr).toBe(1);
  });
});
