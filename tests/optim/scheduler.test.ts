// The rates of every scheduler are compared with PyTorch's in tests/conformance.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { open, tl } from '../setup/open.ts';

const { SGD, Adam, RMSprop } = tl.optim;
const O = tl.optim;

type Schedule = tl.optim.LRScheduler;

/** Every scheduler that counts steps. */
const SCHEDULERS: readonly (readonly [name: string, make: (o: tl.optim.Optimizer) => Schedule])[] = [
  ['StepLR', (o) => new O.StepLR(o, { stepSize: 2, gamma: 0.5 })],
  ['MultiStepLR', (o) => new O.MultiStepLR(o, { milestones: [3, 3, 6] })],
  ['ExponentialLR', (o) => new O.ExponentialLR(o, { gamma: 0.9 })],
  ['ConstantLR', (o) => new O.ConstantLR(o, { totalIters: 3 })],
  ['LinearLR', (o) => new O.LinearLR(o)],
  ['PolynomialLR', (o) => new O.PolynomialLR(o, { totalIters: 9, power: 2 })],
  ['CosineAnnealingLR', (o) => new O.CosineAnnealingLR(o, { tMax: 7, etaMin: 0.01 })],
  ['CosineAnnealingWarmRestarts', (o) => new O.CosineAnnealingWarmRestarts(o, { t0: 2, tMult: 2 })],
  ['OneCycleLR', (o) => new O.OneCycleLR(o, { maxLr: [1, 2], totalSteps: 12, threePhase: true })],
  ['LambdaLR', (o) => new O.LambdaLR(o, (k) => 1 / (k + 1))],
  [
    'SequentialLR',
    (o) =>
      new O.SequentialLR(o, {
        schedulers: [new O.LinearLR(o, { totalIters: 3 }), new O.ExponentialLR(o, { gamma: 0.5 })],
        milestones: [3],
      }),
  ],
];

describe('schedulers', () => {
  let device: tl.Device;
  let w: tl.Tensor;
  let v: tl.Tensor;
  beforeAll(async () => {
    device = await open('cpu');
    [w, v] = [tl.tensor([1], { requiresGrad: true }), tl.tensor([1], { requiresGrad: true })];
  });
  afterAll(() => {
    device.destroy();
  });

  const two = (): tl.optim.SGD => new SGD([{ params: [w] }, { params: [v], lr: 0.5 }], { lr: 1, momentum: 0.9 });
  const rates = (schedule: { step(): void; getLastLr(): number[] }, steps: number): number[][] =>
    Array.from({ length: steps }, () => {
      schedule.step();
      return schedule.getLastLr();
    });

  it.each(SCHEDULERS)('%s goes on from a state dict, for every group', (_, make) => {
    const whole = rates(make(two()), 10);
    const first = make(two());
    expect(rates(first, 4)).toEqual(whole.slice(0, 4));
    const other = two();
    other.lr = 0.3;
    const second = make(other);
    second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
    expect(second.getLastLr()).toEqual(first.getLastLr());
    expect(rates(second, 6)).toEqual(whole.slice(4));
    expect(second.lastEpoch).toBe(10);
  });

  it('LambdaLR multiplies the rate of each group', () => {
    const scheduler = new O.LambdaLR(two(), [(k) => 1 / (k + 1), (k) => 0.5 ** k]);
    scheduler.step();
    scheduler.step();
    expect(scheduler.getLastLr()).toEqual([1 / 3, 0.125]);
  });

  it('a scheduler starts from the rate before other schedulers, or from one that was set by hand', () => {
    const sgd = new SGD([w], { lr: 1 });
    new O.LinearLR(sgd, { startFactor: 0.25 });
    expect(sgd.lr).toBe(0.25);
    new O.ExponentialLR(sgd, { gamma: 0.5 });
    expect(sgd.lr).toBe(1);
    sgd.lr = 0.5;
    const last = new O.ExponentialLR(sgd, { gamma: 0.5 });
    last.step();
    expect(sgd.lr).toBe(0.25);
  });

  it('SequentialLR warms up, and then decays from its own start', () => {
    const sgd = new SGD([w], { lr: 1 });
    const warmUp = new O.LinearLR(sgd, { startFactor: 0.25, totalIters: 3 });
    const decay = new O.ExponentialLR(sgd, { gamma: 0.5 });
    const schedule = new O.SequentialLR(sgd, { schedulers: [warmUp, decay], milestones: [3] });
    expect(sgd.lr).toBe(0.25);
    expect(rates(schedule, 5).flat()).toEqual([0.5, 0.75, 1, 0.5, 0.25]);
  });

  it('OneCycleLR lets the momentum go the other way', () => {
    const sgd = new SGD([w], { lr: 1, momentum: 0.5 });
    const adam = new Adam([v]);
    const options = { maxLr: 1, epochs: 2, stepsPerEpoch: 5, pctStart: 0.5, annealStrategy: 'linear' } as const;
    const [a, b] = [new O.OneCycleLR(sgd, options), new O.OneCycleLR(adam, options)];
    const seen: number[][] = [];
    for (let k = 0; k < 9; k++) {
      a.step();
      b.step();
      expect(adam.paramGroups[0]!.betas[1]).toBe(0.999);
      seen.push([sgd.lr, sgd.paramGroups[0]!.momentum, adam.paramGroups[0]!.betas[0]]);
    }
    expect(seen[3]).toEqual([1, 0.85, 0.85]);
    expect(seen[1]![1]).toBeCloseTo(0.9, 12);
    expect(seen[8]).toEqual([1 / 25 / 1e4, 0.95, 0.95].map((x) => expect.closeTo(x, 12)));
    a.step();
    const before = a.getLastLr();
    expect(() => a.step()).toThrow(/OneCycleLR: step 11 is past the last of 10/);
    expect([a.lastEpoch, a.getLastLr()]).toEqual([10, before]);
  });

  it('CosineAnnealingWarmRestarts takes fractions of an epoch', () => {
    const sgd = new SGD([w], { lr: 1 });
    const schedule = new O.CosineAnnealingWarmRestarts(sgd, { t0: 2 });
    schedule.step(0.5);
    expect(sgd.lr).toBeCloseTo((1 + Math.cos(Math.PI / 4)) / 2, 12);
    schedule.step();
    expect(sgd.lr).toBeCloseTo(0.5, 12);
    schedule.step(2);
    expect(sgd.lr).toBe(1);
  });

  it('ReduceLROnPlateau goes on from a state dict, and counts NaN as no improvement', () => {
    const metrics = [3, 2, 2, Number.NaN, 2.5, 1, 1, 1, 1, 1, 1];
    const options = { factor: 0.5, patience: 1, cooldown: 1, minLr: [0, 0.2] };
    const run = (schedule: tl.optim.ReduceLROnPlateau, list: readonly number[]): number[][] =>
      list.map((m) => {
        schedule.step(m);
        return schedule.getLastLr();
      });
    const whole = run(new O.ReduceLROnPlateau(two(), options), metrics);
    expect(whole.at(3)).toEqual([0.5, 0.25]);
    expect(whole.at(-1)![1]).toBe(0.2);
    const first = new O.ReduceLROnPlateau(two(), options);
    run(first, metrics.slice(0, 5));
    const second = new O.ReduceLROnPlateau(two(), options);
    second.loadStateDict(first.stateDict());
    expect(run(second, metrics.slice(5))).toEqual(whole.slice(5));
  });

  it.each<[string, (sgd: tl.optim.SGD) => unknown, RegExp]>([
    ['no optimizer', () => new O.StepLR({ paramGroups: [] }, { stepSize: 1 }), /is no optimizer/],
    ['a step size of 0', (sgd) => new O.StepLR(sgd, { stepSize: 0 }), /stepSize is number 0/],
    ['an unknown option', (sgd) => new O.StepLR(sgd, { stepSize: 1, factor: 2 } as never), /there is no option factor/],
    ['a negative gamma', (sgd) => new O.ExponentialLR(sgd, { gamma: -1 }), /gamma is number -1/],
    ['a rate that is NaN', (sgd) => new O.LambdaLR(sgd, () => Number.NaN), /the rate is number NaN/],
    ['too many functions', (sgd) => new O.LambdaLR(sgd, [() => 1, () => 1]), /2 functions for 1 parameter groups/],
    ['half a milestone', (sgd) => new O.MultiStepLR(sgd, { milestones: [1.5] }), /a milestone is number 1.5/],
    ['milestones that are none', (sgd) => new O.MultiStepLR(sgd, { milestones: 3 as never }), /milestones is number 3/],
    ['a factor above 1', (sgd) => new O.ConstantLR(sgd, { factor: 2 }), /factor is number 2/],
    ['a warm-up from 0', (sgd) => new O.LinearLR(sgd, { startFactor: 0 }), /startFactor is number 0/],
    ['no steps', (sgd) => new O.PolynomialLR(sgd, { totalIters: 0 }), /totalIters is number 0/],
    ['no half-period', (sgd) => new O.CosineAnnealingLR(sgd, {} as never), /tMax is undefined/],
    [
      'restarts that get shorter',
      (sgd) => new O.CosineAnnealingWarmRestarts(sgd, { t0: 3, tMult: 0.5 }),
      /tMult is number 0.5/,
    ],
    [
      'a cycle without an end',
      (sgd) => new O.OneCycleLR(sgd, { maxLr: 1 }),
      /give totalSteps, or epochs and stepsPerEpoch/,
    ],
    [
      'largest rates for other groups',
      (sgd) => new O.OneCycleLR(sgd, { maxLr: [1, 2], totalSteps: 5 }),
      /maxLr is an array, but it must be a number, or one for each of the 1/,
    ],
    [
      'a strategy that is none',
      (sgd) => new O.OneCycleLR(sgd, { maxLr: 1, totalSteps: 5, annealStrategy: 'sine' as never }),
      /annealStrategy sine is unknown/,
    ],
    [
      'momentum of an optimizer without it',
      () => new O.OneCycleLR(new O.Adagrad([w]), { maxLr: 1, totalSteps: 5 }),
      /neither momentum nor betas to cycle; pass \{ cycleMomentum: false \}/,
    ],
    ['a plateau that grows', (sgd) => new O.ReduceLROnPlateau(sgd, { factor: 1 }), /factor is number 1/],
    ['a mode that is none', (sgd) => new O.ReduceLROnPlateau(sgd, { mode: 'up' as never }), /mode up is unknown/],
    [
      'a metric that is a tensor',
      (sgd) => new O.ReduceLROnPlateau(sgd).step(w as never),
      /the metric is a Tensor, .* read a tensor with await loss.item\(\)/,
    ],
    [
      'no schedulers',
      (sgd) => new O.SequentialLR(sgd, { schedulers: [], milestones: [] }),
      /schedulers is an array, but it must be a list/,
    ],
    [
      'a scheduler of another optimizer',
      (sgd) => new O.SequentialLR(sgd, { schedulers: [new O.LinearLR(new RMSprop([v]))], milestones: [] }),
      /a LinearLR among the schedulers is none of this optimizer/,
    ],
    [
      'too few milestones',
      (sgd) =>
        new O.SequentialLR(sgd, {
          schedulers: [new O.LambdaLR(sgd, () => 1), new O.LambdaLR(sgd, () => 1)],
          milestones: [],
        }),
      /it must be a list of 1, one less than there are schedulers/,
    ],
    [
      'the state of other groups',
      (sgd) => new O.LinearLR(sgd).loadStateDict({ lastEpoch: 1, baseLrs: [1, 2] }),
      /the state is that of 2 parameter groups, the optimizer has 1/,
    ],
  ])('refuses %s', (_, act, message) => {
    const sgd = new SGD([w], { lr: 1 });
    expect(() => act(sgd)).toThrow(tl.UnsupportedError);
    expect(() => act(sgd)).toThrow(message);
  });
});
