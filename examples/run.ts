// Runs the course: npm run examples -- --help
import { parseArgs } from 'node:util';
import type * as tl from '../src/node.ts';
import { holds, names, runExample, stated } from './course.ts';

const HELP = `Runs the examples, and compares their figures with those in their headers.

  npm run examples -- [NAME …] [options]

  NAME            which of them (default: all): see examples/README.md
  --short         fewer steps, as the tests run them
  --device NAME   auto, webgpu, cpu or reference (default: auto)
  --out FOLDER    where the pictures go (default: examples/pictures)
  --help          this text`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: 'boolean', default: false },
    device: { type: 'string', default: 'auto' },
    out: { type: 'string', default: 'examples/pictures' },
    help: { type: 'boolean' },
  },
});
const all = await names();
const unknown = positionals.filter((name) => !all.includes(name));
if (values.help) console.log(HELP);
else if (unknown.length > 0) {
  console.error(`there is no example ${unknown.join(', ')}; there are: ${all.join(', ')}`);
  process.exitCode = 1;
} else {
  const { short, out } = values;
  for (const name of positionals.length > 0 ? positionals : all) {
    console.log(`\n${name}`);
    const started = performance.now();
    const { figures, pictures } = await runExample(name, {
      short,
      device: values.device as tl.DeviceName,
      folder: out,
    });
    const seconds = (performance.now() - started) / 1000;
    const said = (await stated(name)).figures;
    const rows = Object.entries(figures).map(([figure, value]) => {
      const here = said.get(figure)?.[short ? 'short' : 'full'];
      const fits = here !== undefined && holds(value, here);
      if (!fits) process.exitCode = 1;
      return [figure, { value: Number(value.toPrecision(5)), stated: here ?? 'nothing', holds: fits }];
    });
    console.table(Object.fromEntries(rows));
    console.log(`${seconds.toFixed(1)} s; pictures: ${pictures.join(', ')}`);
  }
}
