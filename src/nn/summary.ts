import { noGrad } from '../autograd/grad.ts';
import { UnsupportedError } from '../core/errors.ts';
import { replaying } from '../core/random.ts';
import { type Shape, showShape } from '../core/shape.ts';
import { textTable } from '../core/table.ts';
import { zeros } from '../ops/creation.ts';
import { describe } from '../ops/record.ts';
import type { Device } from '../tensor/device.ts';
import { internal, tensorsIn } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { inMode } from './mode.ts';
import type { AnyModule } from './module.ts';

/** An input to show shapes for: the shape of a float32 tensor, a tensor, or a list of them for several inputs. */
export type SummaryInput = Shape | Tensor | readonly (Shape | Tensor)[];

/** @internal See `Module.summary`. */
export function summaryOf(model: AnyModule, input?: SummaryInput): string {
  const named = model.namedModules();
  const outputs = input === undefined ? null : outputShapes(model, named, input);
  const seen = new Set<Tensor>();
  const rows = named.map(([name, module]) => {
    const own = module.ownTensors().filter(({ buffer }) => !buffer);
    const count = own.reduce((n, { value }) => n + (seen.has(value) ? 0 : value.size), 0);
    for (const { value } of own) seen.add(value);
    const learning = own.filter(({ value }) => value.requiresGrad).length;
    const [head = ''] = module.children().length > 0 ? [module.constructor.name] : String(module).split('\n');
    return [
      name || '(all)',
      head.replace(/\(\)$/, ''),
      ...(outputs ? [outputs.get(module) ?? ''] : []),
      own.map(({ name: parameter, value }) => `${parameter} ${showShape(value.shape)}`).join(', '),
      count.toLocaleString('en'),
      own.length === 0 ? '' : learning === own.length ? 'yes' : learning === 0 ? 'no' : 'partly',
    ];
  });
  const head = ['name', 'module', ...(outputs ? ['output'] : []), 'parameters', 'count', 'trainable'];
  const { lines, rule } = textTable(head, rows, ['count']);
  const all = model.parameters();
  const total = all.reduce((n, p) => n + p.size, 0);
  const frozen = all.reduce((n, p) => n + (p.requiresGrad ? 0 : p.size), 0);
  const note = frozen > 0 ? `, ${frozen.toLocaleString('en')} of them frozen` : '';
  const [first = '', ...rest] = lines;
  return [first, rule, ...rest, rule, `${total.toLocaleString('en')} parameters${note}`].join('\n');
}

const isShape = (x: unknown): x is Shape => Array.isArray(x) && x.every((n) => typeof n === 'number');

function inputsOf(input: SummaryInput, device: Device | undefined): Tensor[] {
  const list = input instanceof Tensor || isShape(input) ? [input] : input;
  if (!Array.isArray(list))
    throw new UnsupportedError(
      `summary: the input is ${describe(input)}; give the shape of one, such as [1, 64], a tensor, or a list of them`,
    );
  return list.map((one: unknown) => {
    if (one instanceof Tensor) return one;
    if (isShape(one)) return zeros(one, device ? { device } : {});
    throw new UnsupportedError(`summary: an input is ${describe(one)}; give its shape, such as [1, 64], or a tensor`);
  });
}

/** Records a forward pass that is never computed, and notes what each module gives. */
function outputShapes(
  model: AnyModule,
  named: readonly (readonly [string, AnyModule])[],
  input: SummaryInput,
): Map<AnyModule, string> {
  const shapes = new Map<AnyModule, string>();
  const restore = inMode(model, false);
  const watched = named.map(([, module]) => [module, Object.getOwnPropertyDescriptor(module, 'forward')] as const);
  for (const [module] of watched) {
    const forward = module.forward.bind(module) as (...inputs: unknown[]) => unknown;
    const watch = (...inputs: unknown[]): unknown => {
      const out = forward(...inputs);
      shapes.set(module, [...tensorsIn(out)].map((t) => showShape(t.shape)).join(', '));
      return out;
    };
    Object.defineProperty(module, 'forward', { value: watch, configurable: true, enumerable: false });
  }
  const run = (): void =>
    internal('summary', () => {
      const inputs = inputsOf(input, model.parameters()[0]?.device);
      const record = (): void => {
        noGrad(() => (model.forward as (...inputs: Tensor[]) => unknown)(...inputs));
      };
      const [first] = inputs;
      if (first) first.device.engine.withoutFlush(record);
      else record();
    });
  try {
    // The random stream goes on as if the pass had not been.
    replaying()(run);
  } finally {
    for (const [module, own] of watched)
      if (own) Object.defineProperty(module, 'forward', own);
      else Reflect.deleteProperty(module, 'forward');
    restore();
  }
  return shapes;
}
