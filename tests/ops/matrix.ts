// What docs/ops.md says: every op with the dtypes that it takes and its gradients, from the records. `npm run ops` writes the page.
import type { DType } from '../../src/core/dtype.ts';
import { DTypeError, UnsupportedError } from '../../src/core/errors.ts';
import * as tl from '../../src/index.ts';
import type { OpSamples } from '../../src/ops/samples.ts';
import { arityOf, type Op, ops } from './harness.ts';
import { gradients, records } from './records.ts';

const COLUMNS: readonly DType[] = ['float32', 'float16', 'int32', 'uint32', 'bool'];
/** Not shown: the page says that they are taken where int32 is. */
const DTYPES: readonly DType[] = [...COLUMNS, 'int8', 'uint8'];

interface Row {
  readonly op: string;
  readonly dtypes: readonly boolean[];
  /** Orders of derivatives, or why there is none. */
  readonly gradient: string;
}

/** Does a call work, or is the dtype refused? */
function takes(call: () => unknown): boolean {
  try {
    tl.tidy(() => {
      call();
    });
    return true;
  } catch (error) {
    if (error instanceof DTypeError || error instanceof UnsupportedError) return false;
    throw error;
  }
}

function elementwiseRow(name: string, parts: readonly Op[], device: tl.Device): Row {
  const operands = (op: Op, dtype: DType): (tl.Tensor | number)[] =>
    Array.from({ length: arityOf(op) }, (_, i) => {
      const number = op.record.numbers?.[i] ?? null;
      return number ?? tl.ones([2], { dtype: name === 'where' && i === 0 ? 'bool' : dtype, device });
    });
  const dtypes = DTYPES.map((dtype) => parts.some((op) => takes(() => op(...operands(op, dtype)))));
  if (parts.some((op) => op.record.gradient !== null)) return { op: name, dtypes, gradient: 'every order' };
  const of = parts[0]!;
  const result = tl.tidy(() => of(...operands(of, DTYPES[dtypes.indexOf(true)]!)).dtype);
  return { op: name, dtypes, gradient: `none: gives ${result === 'bool' ? 'bools' : 'integers'}` };
}

async function sampledRow(name: string, record: OpSamples, device: tl.Device): Promise<Row> {
  const of = (i: number, dtype: DType): boolean => {
    const s = record.calls[i]!;
    return takes(() => {
      const inputs = s.inputs.map((input) => {
        const { shape, dtype: own = 'float32' } = 'shape' in input ? input : { shape: input };
        const x = tl.eye(Math.max(1, ...shape), Math.max(1, ...shape), { device });
        const n = shape.reduce((a, b) => a * b, 1);
        const drawn = (
          shape.length < 2 ? tl.ones(shape, { device }) : x.index({ end: 1 }).expand([n, -1]).select(1, 0)
        ).reshape(shape);
        // Index tensors and masks stay what they are.
        return drawn.to(own === 'float32' ? dtype : own);
      });
      s.call(...inputs);
    });
  };
  const plain = record.calls.findIndex((s) =>
    s.inputs.some((x) => !('shape' in x) || (x.dtype ?? 'float32') === 'float32'),
  );
  const dtypes = DTYPES.map((dtype) => (plain < 0 ? dtype !== 'float16' : of(plain, dtype)));
  if (record.noGradient !== undefined) return { op: name, dtypes, gradient: `none: ${record.noGradient}` };
  if (record.asynchronous) return { op: name, dtypes, gradient: 'every order; gives a promise' };
  const orders = await Promise.all(
    ([1, 2] as const).map(async (order) => {
      for (const s of record.calls) if (await gradients(s, device, 'contiguous', order)) return true;
      return false;
    }),
  );
  return {
    op: name,
    dtypes,
    gradient: orders.every(Boolean) ? 'every order' : orders[0] ? 'first order' : 'none found',
  };
}

/** The page. */
export async function matrix(): Promise<string> {
  const device = await tl.device('reference', { precision: 'float64' });
  try {
    const byName = new Map<string, Op[]>();
    for (const [title, op] of ops) {
      const name = title.split(/[: ]/)[0]!;
      byName.set(name, [...(byName.get(name) ?? []), op]);
    }
    const rows = [...byName].map(([name, parts]) => elementwiseRow(name, parts, device));
    for (const [name, record] of records) rows.push(await sampledRow(name, record, device));
    rows.sort((a, b) => (a.op < b.op ? -1 : 1));
    const whole = COLUMNS.indexOf('int32');
    const unlike = rows.filter(({ dtypes }) => dtypes.slice(COLUMNS.length).some((taken) => taken !== dtypes[whole]));
    if (unlike.length > 0)
      throw new Error(`not as the page says: bytes and int32 differ in ${unlike.map((r) => r.op).join(', ')}`);
    const line = ({ op, dtypes, gradient }: Row): string =>
      `| \`${op}\` | ${COLUMNS.map((_, i) => (dtypes[i] ? 'yes' : '–')).join(' | ')} | ${gradient} |`;
    const without = rows.filter((r) => r.gradient.startsWith('none'));
    return `# Ops

Every op of tensors, with the dtypes that it takes and its gradients. Written by \`npm run ops\` from the records of the ops and from what
their calls give; a test fails when it is stale. Each op runs on \`reference\`, \`cpu\` and \`webgpu\`, fused and unfused, and the generated
tests compare all of these, values and gradients of first and second order, with float64 (\`tests/ops\`). float16 is there on
WebGPU devices that have it and on the reference. int8 and uint8 are taken wherever int32 is, and what computes with them gives int32 or floats.

| op | ${COLUMNS.join(' | ')} | gradient |
|---|${COLUMNS.map(() => '---|').join('')}---|
${rows.map(line).join('\n')}

## Without a gradient

${without.map((r) => `- \`${r.op}\`: ${r.gradient.replace('none: ', '')}`).join('\n')}
`;
  } finally {
    device.destroy();
  }
}
