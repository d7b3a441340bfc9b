import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import autograd from '../fixtures/conformance/autograd.json' with { type: 'json' };
import binary from '../fixtures/conformance/binary.json' with { type: 'json' };
import linalg from '../fixtures/conformance/linalg.json' with { type: 'json' };
import losses from '../fixtures/conformance/losses.json' with { type: 'json' };
import nn_conv_pool from '../fixtures/conformance/nn_conv_pool.json' with { type: 'json' };
import attention from '../fixtures/conformance/nn_norm_attention.json' with { type: 'json' };
import optim from '../fixtures/conformance/optim.json' with { type: 'json' };
import reductions from '../fixtures/conformance/reductions.json' with { type: 'json' };
import rnn from '../fixtures/conformance/rnn.json' with { type: 'json' };
import shape from '../fixtures/conformance/shape.json' with { type: 'json' };
import unary from '../fixtures/conformance/unary.json' with { type: 'json' };
import { devices } from '../setup/devices.ts';
import { type Device, tl } from './api.ts';
import { type Case, runBeside } from './runner.ts';

const groups = {
  unary,
  binary,
  reductions,
  shape,
  linalg,
  nn_conv_pool,
  nn_norm_attention: attention,
  losses,
  rnn,
  optim,
  autograd,
} as unknown as Readonly<Record<string, readonly Case[]>>;

/** The cases of a group by op. */
function byOp(cases: readonly Case[]): [op: string, cases: Case[]][] {
  const found = new Map<string, Case[]>();
  for (const c of cases) found.set(c.op, [...(found.get(c.op) ?? []), c]);
  return [...found];
}

describe.each(devices)('on %s', (name) => {
  let device: Device;
  beforeAll(async () => {
    device = await tl.device(name);
  });
  afterAll(() => device.destroy());

  describe.each(Object.entries(groups))('%s', (_, cases) => {
    test.each(byOp(cases))('%s gives what PyTorch gives', async (_op, list) => {
      const before = tl.memory(device).bytes;
      // At once: most of the time goes by in waiting for the device.
      const outcomes = await Promise.all(list.map(async (c) => ({ name: c.name, ...(await runBeside(c, device)) })));
      expect(outcomes.filter(({ status }) => status !== 'passed')).toEqual([]);
      await device.sync();
      expect(tl.memory(device).bytes, 'bytes on the device').toBe(before);
    });
  });
});
