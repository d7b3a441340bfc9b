// npm run ops: writes docs/ops.md.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { matrix } from './matrix.ts';

writeFileSync(fileURLToPath(new URL('../../docs/ops.md', import.meta.url)), await matrix());
