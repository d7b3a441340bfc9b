// Finds the TypeScript in the documentation: ```ts blocks of Markdown pages, and those of the @examples in the sources.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Block {
  /** Path of the file, from the root of the repository. */
  readonly file: string;
  /** Where the code starts: the line after the fence, counted from 1. */
  readonly line: number;
  /** What follows `ts` on the fence: `run`, `addTo=PATH`, or nothing. */
  readonly info: string;
  readonly code: string;
}

/** The blocks of a text whose lines may all begin with a prefix, such as that of a comment. */
function blocksOf(file: string, text: string, prefix: RegExp): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; info: string; indent: number; code: string[] } | null = null;
  text.split('\n').forEach((raw, i) => {
    const line = raw.replace(prefix, '');
    const fence = /^(\s*)```(\S*)\s*(.*)$/.exec(line);
    if (!fence) {
      open?.code.push(line.slice(open.indent));
      return;
    }
    if (open) {
      if (open.line > 0) blocks.push({ file, line: open.line, info: open.info, code: open.code.join('\n') });
      open = null;
    } else {
      // A block in another language is passed over.
      const typescript = fence[2] === 'ts';
      open = { line: typescript ? i + 2 : 0, info: fence[3]!.trim(), indent: fence[1]!.length, code: [] };
    }
  });
  if (open) throw new Error(`${file}: a code block does not end`);
  return blocks;
}

/** Markdown pages: those at the root, and docs/. */
export function pages(root: string): string[] {
  const markdown = (folder: string): string[] =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => (folder ? `${folder}/${name}` : name));
  return [...markdown(''), ...markdown('docs')].sort();
}

export const pageBlocks = (root: string): Block[] =>
  pages(root).flatMap((file) => blocksOf(file, readFileSync(join(root, file), 'utf8'), /^/));

/** Sources without declaration files. */
export function sources(root: string): string[] {
  return (readdirSync(join(root, 'src'), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => `src/${name.replaceAll('\\', '/')}`)
    .sort();
}

export const sourceBlocks = (root: string): Block[] =>
  sources(root).flatMap((file) => blocksOf(file, readFileSync(join(root, file), 'utf8'), /^\s*\* ?/));
