// The machine that figures are from, and its terminal; in Node.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';

/** Writes over one line while something runs; nothing where there is no terminal. */
export function terminalProgress(): (text: string) => void {
  const { stderr } = process;
  if (!stderr.isTTY) return () => {};
  return (text) => {
    stderr.clearLine(0);
    stderr.cursorTo(0);
    stderr.write(text);
  };
}

export interface MachineReport {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  readonly v8: string;
  readonly adapter: string | null;
  readonly browser?: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** The version that an installed package states, seen from a file. */
export async function packageVersion(name: string, from: string | URL): Promise<string | null> {
  const paths = createRequire(from).resolve.paths(name) ?? [];
  const path = paths.map((folder) => `${folder}/${name}/package.json`).find((file) => existsSync(file));
  if (!path) return null;
  const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string };
  return version;
}

/** Where the figures are from. */
export async function describeMachine(
  adapter: string | null,
  versions: Readonly<Record<string, string>>,
  browser?: string,
): Promise<MachineReport> {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const dawn = await packageVersion('webgpu', import.meta.url);
  const list = cpus();
  return {
    cpu: await cpuName(list[0]?.model ?? 'unknown'),
    cores: list.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    v8: process.versions.v8,
    adapter,
    ...(browser && { browser }),
    versions: { tensorloom: version, ...(dawn && { webgpu: dawn }), ...versions },
  };
}

/** Some virtual machines hide the model: then the widest vector extension says more. */
async function cpuName(model: string): Promise<string> {
  if (process.platform !== 'linux') return model;
  const flags = await readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  const wide = ['avx512f', 'avx2', 'asimd'].find((flag) => new RegExp(`\\b${flag}\\b`).test(flags));
  return wide ? `${model.trim()} (${wide})` : model.trim();
}
