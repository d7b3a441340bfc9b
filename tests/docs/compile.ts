// Type-checks the blocks of the documentation against the sources, all in one run of the compiler.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import ts from 'typescript';
import type { Block } from './blocks.ts';

const PREAMBLE = "import * as tl from 'tensorloom';";

/**
 * Compiles every block as a module of its own, in the repository's own strictness, and lists what is wrong with it. A block
 * that does not import anything gets the preamble, and may use the names of given.d.ts; a block `addTo=PATH` is added to the
 * end of that source file.
 */
export function check(root: string, blocks: readonly Block[]): string[] {
  const virtual = new Map<string, { text: string; parts: { block: Block; shift: number }[] }>();
  blocks.forEach((block, i) => {
    const [, target] = /^addTo=(\S+)$/.exec(block.info) ?? [];
    if (target) {
      const path = resolve(root, target);
      const { text, parts } = virtual.get(path) ?? { text: readFileSync(path, 'utf8'), parts: [] };
      const shift = text.split('\n').length;
      virtual.set(path, { text: `${text}\n${block.code}\n`, parts: [{ block, shift }, ...parts] });
      return;
    }
    // On the first line, so that line numbers stay.
    const text = /^import /m.test(block.code) ? block.code : `${PREAMBLE}${block.code}\nexport {};`;
    virtual.set(resolve(root, `docs/block-${i}.ts`), { text, parts: [{ block, shift: 0 }] });
  });

  const config = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const settings: ts.CompilerOptions = {
    ...options,
    noUnusedLocals: false,
    noUnusedParameters: false,
    checkJs: false,
    paths: { tensorloom: [join(root, 'src/node.ts')], 'tensorloom/functional': [join(root, 'src/functional.ts')] },
  };
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile } = host;
  host.fileExists = (path) => virtual.has(resolve(path)) || fileExists(path);
  host.readFile = (path) => virtual.get(resolve(path))?.text ?? readFile(path);
  const files = [...virtual.keys(), join(root, 'tests/docs/given.d.ts'), join(root, 'src/wgsl.d.ts')];
  const program = ts.createProgram(files, settings, host);

  const found: string[] = [];
  for (const [path, { parts }] of virtual) {
    const source = program.getSourceFile(path);
    if (!source) throw new Error(`${path} was not compiled`);
    for (const { start = 0, messageText } of [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ]) {
      const { line } = source.getLineAndCharacterOfPosition(start);
      const part = parts.find(({ shift }) => shift <= line);
      const place = part ? `${part.block.file}:${part.block.line + line - part.shift}` : `${path}:${line + 1}`;
      found.push(`${place}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
    }
  }
  return found;
}
