// The programs of the `autograd` group, which use the autodiff engine itself. Their inputs are leaves.
import { op, type Tensor, tl } from './api.ts';
import type { Given } from './table.ts';

type Inputs = Readonly<Record<string, Tensor>>;
type Program = (inputs: Inputs, args: Given['args']) => unknown;

/** Gradients of sum(y) that can be differentiated again. */
const grads = (y: Tensor, ...inputs: Tensor[]): Tensor[] =>
  tl.grad([y.ndim === 0 ? y : y.sum()], inputs, { createGraph: true });
const grad = (y: Tensor, x: Tensor): Tensor => grads(y, x)[0]!;

const cube = (x: Tensor): Tensor => x.pow(3);
const last = { dim: -1 };

/** What `double_backward` differentiates. */
const FUNCTIONS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  cube,
  tanh: (x) => x.tanh(),
  sigmoid: (x) => x.sigmoid(),
  exp: (x) => x.exp(),
  log: (x) => x.log(),
  sqrt: (x) => x.sqrt(),
  reciprocal: (x) => x.reciprocal(),
  sin: (x) => x.sin(),
  gelu: (x) => x.gelu(),
  silu: (x) => x.silu(),
  softplus: (x) => x.softplus(),
  softmax_squares: (x) => x.softmax(-1).pow(2),
  log_softmax_squares: (x) => x.logSoftmax(-1).pow(2),
  logsumexp: (x) => x.logsumexp(last).pow(2),
  layer_norm_cubes: (x) => cube(op('layerNorm', x, x.shape.slice(-1))),
  norm: (x) => op('norm', x, last),
  var: (x) => x.var(last).pow(2),
  prod: (x) => op('prod', x, last),
  cumsum_squares: (x) => op('cumsum', x, -1).pow(2),
  view_mix: (x) =>
    x
      .transpose(-1, -2)
      .pow(2)
      .mul(op('flip', x, [-1]).transpose(-1, -2)),
};

/** x -> [x0 x1, sin(x2), exp(x0) x2, sum(x^2)] */
function threeToFour(x: Tensor): Tensor {
  const [x0, x1, x2] = x.unbind() as [Tensor, Tensor, Tensor];
  return tl.stack([x0.mul(x1), x2.sin(), x0.exp().mul(x2), x.pow(2).sum()]);
}

const rosenbrock = (x: Tensor): Tensor => {
  const head = x.slice(0, 0, -1);
  const tail = x.slice(0, 1);
  return tail.sub(head.pow(2)).pow(2).mul(100).add(tl.sub(1, head).pow(2)).sum();
};
/** For the gradients of what the program gives. */
const recorded = { createGraph: true };

const list: Readonly<Record<string, Program>> = {
  double_backward: ({ x }, args) => grad(FUNCTIONS[String(args.function)]!(x!), x!),
  third_derivative: ({ x }) => grad(grad(grad(x!.pow(5), x!), x!), x!),
  matmul_double_backward: ({ a, b }) => {
    const [grad_a, grad_b] = grads(cube(a!.matmul(b!)), a!, b!);
    return { grad_a, grad_b };
  },
  conv2d_double_backward: ({ input, weight }) => {
    const y = op('conv2d', input, weight, undefined, { stride: 2, padding: 1 });
    const [grad_input, grad_weight] = grads(cube(y), input!, weight!);
    return { grad_input, grad_weight };
  },
  mixed_partial: ({ x, y }) =>
    grad(
      grad(
        x!
          .pow(2)
          .mul(y!.sin())
          .add(x!.mul(y!.pow(3))),
        x!,
      ),
      y!,
    ),
  fan_out: ({ x, w }) => {
    const h = x!.matmul(w!).tanh();
    return h
      .mul(h.sum({ dim: 0 }))
      .add(h.pow(2).mul(h.slice(0, 0, 1)))
      .add(h.exp());
  },
  reuse_input: ({ x }) => x!.mul(x!).add(x!.matmul(x!)).add(x!.t().mul(x!)),
  detach: ({ x }) => {
    const h = x!.sin();
    return h.mul(tl.detach(h)).add(tl.detach(x!).mul(x!.pow(2)));
  },
  where_boundary: ({ x }) => tl.where(x!.gt(0), x!.pow(2), x!.mul(3)),
  where_hides_infinite_branch: ({ x }) => {
    const safe = tl.where(x!.gt(0), x!, 1);
    return tl.where(x!.gt(0), safe.log(), 0);
  },
  clamp_boundary: ({ x }, { min, max }) =>
    x!
      .clamp({ min: min as number, max: max as number })
      .pow(2)
      .add(x!),
  gradient_penalty: ({ x, w1, b1, w2, b2 }) => {
    const f = x!.matmul(w1!.t()).add(b1!).tanh().matmul(w2!.t()).add(b2!);
    return op('norm', grad(f, x!), { dim: 1 }).sub(1).pow(2).mean();
  },
  logistic_hvp: ({ w, b, x, y, vw, vb }, { penalty }) => {
    const fit = op('binaryCrossEntropyWithLogits', x!.matmul(w!).add(b!), y);
    const loss = fit.add(
      w!
        .pow(2)
        .sum()
        .mul(penalty as number),
    );
    const [gw, gb] = grads(loss, w!, b!) as [Tensor, Tensor];
    const [hvp_w, hvp_b] = grads(gw.mul(vw!).sum().add(gb.mul(vb!).sum()), w!, b!);
    return { hvp_w, hvp_b };
  },
  jacobian: ({ x }) => tl.jacobian(threeToFour, x!, recorded),
  jvp: ({ x, v }) => tl.jvp(threeToFour, x!, v!, recorded).tangent,
  hessian: ({ x }) => tl.hessian(rosenbrock, x!, recorded),
  accumulate: ({ x }) => {
    x!.pow(2).sum().backward();
    x!.sin().sum().backward();
    return tl.detach(x!.grad!);
  },
  deep_chain: ({ x }, { steps }) => {
    let y = x!;
    for (let i = 0; i < (steps as number); i++) y = y.sin().add(y.mul(0.5));
    return y;
  },
  inner_gradient_step: ({ w, x, y }, { lr }) => {
    const loss = (v: Tensor): Tensor => x!.matmul(v).sub(y!).pow(2).mean();
    return loss(w!.sub(grad(loss(w!), w!).mul(lr as number)));
  },
  broadcast_sum_back: ({ a, b, c }) => a!.add(b!).mul(c!).div(a!.mul(b!).pow(2).add(1)),
};

/** Entries of the table. */
export const programs: Readonly<Record<string, (given: Given) => unknown>> = Object.fromEntries(
  Object.entries(list).map(([name, program]) => [
    `autograd.${name}`,
    ({ inputs, args }: Given) => program(inputs as Inputs, args),
  ]),
);
