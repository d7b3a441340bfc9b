// A short run of the fuzzer; `npm run fuzz` goes on for longer.
import { describe, expect, test } from 'vitest';
import { devices, inBrowser } from '../setup/devices.ts';
import { check } from './check.ts';
import { generate } from './generate.ts';
import { openPlaces } from './library.ts';
import { print } from './print.ts';
import { shrink } from './shrink.ts';

/** Programs on the devices without pipelines, and how many of them run on WebGPU too. */
const PROGRAMS = inBrowser ? { all: 60, webgpu: 6 } : { all: 200, webgpu: 12 };

describe('random programs', () => {
  test(`show the same on ${devices.join(', ')} and the model, to the bit where that can be, and leave nothing behind`, async () => {
    const places = await openPlaces(devices);
    const cheap = places.filter((p) => p.backend.name !== 'webgpu');
    for (let seed = 1; seed <= PROGRAMS.all; seed++) {
      const program = generate(seed);
      const here = seed <= PROGRAMS.webgpu ? places : cheap;
      const { failure } = await check(program, here);
      if (!failure) continue;
      const small = await shrink(
        program,
        async (p) => {
          const f = (await check(p, here)).failure;
          return f?.kind === failure.kind && f.place === failure.place;
        },
        300,
      );
      expect.fail(
        `seed ${seed} on ${failure.place}: ${failure.message}\n` +
          `again: npm run fuzz -- --seed ${seed} --count 1 --every 1\n\n${print(small, failure.place)}`,
      );
    }
    for (const p of places) p.backend.destroy();
  });

  test('are the same for the same seed', () => {
    expect(generate(7)).toEqual(generate(7));
    expect(generate(7)).not.toEqual(generate(8));
  });
});
