/*
 * Gradient checking: the gradient of a small network by autograd against central differences (f(t + h) - f(t - h)) / 2h, with one
 * parameter t moved at a time; they differ by O(h^2) of the differences and by O(epsilon / h) of rounding.
 *
 * How far two gradients are apart is |a - b| / (|a| + |b|). Over the step h it is a valley: rounding on its left, which float64 has
 * less of, and the differences themselves on its right. A backward pass with a mistake in it is far off at every step; tl.gradcheck
 * does the same for any function, and says where it disagrees.
 *
 * | figure                        | full            | short           |
 * |-------------------------------|-----------------|-----------------|
 * | float32, error at best        | <= 0.00005      | <= 0.00005      |
 * | float32, best h               | 0.01            | 0.01            |
 * | float64, error at best        | <= 0.0000000001 | <= 0.0000000001 |
 * | float64, best h               | 0.00001         | 0.00001         |
 * | wrong gradient, error at best | 0.633           | 0.633           |
 * | gradcheck of the right one    | 1               | 1               |
 * | gradcheck of the wrong one    | 0               | 0               |
 */
import * as Plot from '@observablehq/plot';
// The sources of this repository; elsewhere it is: import * as tl from 'tensorloom';
import * as tl from '../../src/node.ts';
import { type Course, chart, type Figures } from '../course.ts';

const [SAMPLES, INPUTS, HIDDEN] = [16, 3, 5];
const PARAMETERS = INPUTS * HIDDEN + 2 * HIDDEN + 1;

type Op = (x: tl.Tensor) => tl.Tensor;

/** The hyperbolic tangent with a wrong gradient: that of y = tanh(x) is 1 - y^2, not 1 - y. */
const wrongTanh = tl.customOp({
  name: 'wrongTanh',
  forward(ctx, x: tl.Tensor) {
    const y = x.tanh();
    ctx.saveForBackward(y);
    return y;
  },
  backward({ savedTensors: [y] }, g) {
    return g.mul(tl.sub(1, y!));
  },
});

/** The loss of a network whose parameters are one vector t, or of many networks, one for each row of t. */
function lossOf(x: tl.Tensor, y: tl.Tensor, tanh: Op): Op {
  return (t: tl.Tensor) => {
    const [w1, b1, w2, b2] = t.split([INPUTS * HIDDEN, HIDDEN, HIDDEN, 1], -1);
    const hidden = tanh(x.matmul(w1!.reshape([-1, INPUTS, HIDDEN])).add(b1!.reshape([-1, 1, HIDDEN])));
    const out = hidden
      .matmul(w2!.reshape([-1, HIDDEN, 1]))
      .squeeze(-1)
      .add(b2!.reshape([-1, 1]));
    return out.sub(y).square().mean({ dim: -1 });
  };
}

/** All central differences at once: each row of the matrices moves one parameter. */
function centralDifferences(loss: Op, t: tl.Tensor, h: number): tl.Tensor {
  const moves = tl.eye(PARAMETERS, { device: t.device }).mul(h);
  return loss(t.add(moves))
    .sub(loss(t.sub(moves)))
    .div(2 * h);
}

const apart = (a: tl.Tensor, b: tl.Tensor) => a.sub(b).norm().div(a.norm().add(b.norm())).item();

export async function run({ short, save, log }: Course): Promise<Figures> {
  const given = [tl.randn([SAMPLES, INPUTS]), tl.randn([SAMPLES]), tl.randn([PARAMETERS])];
  const double = await tl.device('reference', { precision: 'float64' });

  /** How far autograd is from the differences, over their step. */
  async function sweep(device: tl.Device, tanh: Op, name: string, smallest: number) {
    const [x, y, t] = (await Promise.all(given.map((a) => a.to(device)))) as [tl.Tensor, tl.Tensor, tl.Tensor];
    const loss = lossOf(x, y, tanh);
    const [gradient] = tl.grad((t: tl.Tensor) => loss(t).sum())(t);
    const points = [];
    for (let power = smallest; power <= 0; power += short ? 1 : 0.5) {
      const h = 10 ** power;
      points.push({ name, h, error: await apart(gradient, centralDifferences(loss, t, h)) });
    }
    const best = points.reduce((a, b) => (b.error < a.error ? b : a));
    log(`${name}: at best ${best.error.toExponential(2)}, with h = ${best.h.toExponential(1)}`);
    const verdict = await tl.gradcheck(loss, [t]).catch((error: Error) => error);
    log(`  gradcheck: ${verdict === true ? 'right' : verdict.message}`);
    return { points, best, right: verdict === true ? 1 : 0 };
  }
  const single = await sweep(given[0]!.device, tl.tanh, 'float32', -6);
  const exact = await sweep(double, tl.tanh, 'float64', -10);
  const wrong = await sweep(double, wrongTanh, 'float64, wrong gradient', -10);
  double.destroy();

  const points = [single, exact, wrong].flatMap(({ points }) => points);
  const power = (v: number) => v.toExponential(0);
  await save(
    'step',
    chart('The error of the gradient over the step of the central differences', {
      x: { label: 'step h', type: 'log', tickFormat: power, ticks: 6 },
      y: { label: '|a - b| / (|a| + |b|)', type: 'log', domain: [1e-11, 10], tickFormat: power, ticks: 6 },
      marginLeft: 64,
      marks: [
        Plot.line(points, { x: 'h', y: 'error', stroke: 'name', strokeWidth: 2, marker: 'dot' }),
        Plot.text(
          points,
          Plot.selectFirst({ x: 'h', y: 'error', z: 'name', text: 'name', textAnchor: 'start', dx: 8, dy: -8 }),
        ),
      ],
    }),
  );
  return {
    'float32, error at best': single.best.error,
    'float32, best h': single.best.h,
    'float64, error at best': exact.best.error,
    'float64, best h': exact.best.h,
    'wrong gradient, error at best': wrong.best.error,
    'gradcheck of the right one': exact.right,
    'gradcheck of the wrong one': wrong.right,
  };
}
