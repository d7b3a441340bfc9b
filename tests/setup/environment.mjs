// Decides which WebGPU adapter the tests and scripts run on, and what a child process's environment needs for it.
//
// Read from the environment:
//   TENSORLOOM_ADAPTER   'software' or 'hardware'; without it, hardware where there is some, software elsewhere
//   VK_ICD_FILENAMES     a Vulkan driver of your own choice (Mesa's lavapipe, say) is respected
//   TENSORLOOM_CHROMIUM  path of a browser to use instead of the one that comes with npm
// Set for child processes:
//   TENSORLOOM_WEBGPU    'hardware', 'software' or 'none'
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { softwareAvailable, unpackChromium, unpackSwiftShader } from './software.mjs';

const probePath = fileURLToPath(new URL('./probe.mjs', import.meta.url));

/**
 * Finds an adapter for Node and puts what it needs into `process.env`, for child processes: LD_LIBRARY_PATH is read when a
 * process starts, so this process itself may not use WebGPU. Says in one line when there is no adapter; where CI is set,
 * that is an error.
 * @returns {Promise<'hardware' | 'software' | 'none'>}
 */
export async function prepareAdapter() {
  const found = process.env.TENSORLOOM_WEBGPU;
  if (found === 'hardware' || found === 'software' || found === 'none') return found;

  const { kind, env, reason } = await findAdapter();
  if (kind === 'none') {
    if (process.env.CI) throw new Error(`WebGPU tests are required where CI is set: ${reason}`);
    console.warn(`WebGPU tests are skipped: ${reason}`);
  }
  Object.assign(process.env, env, { TENSORLOOM_WEBGPU: kind });
  return kind;
}

/**
 * The adapter, the variables that child processes need for it, and where there is none the reason.
 * @returns {Promise<{ kind: 'hardware' | 'software' | 'none', env: Record<string, string>, reason?: string }>}
 */
export async function findAdapter() {
  const wanted = process.env.TENSORLOOM_ADAPTER;
  if (wanted && wanted !== 'software' && wanted !== 'hardware') {
    throw new Error(`TENSORLOOM_ADAPTER is '${wanted}'; it may be 'software' or 'hardware'`);
  }
  const ownDriver = Boolean(process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES);
  if (wanted !== 'software' || ownDriver) {
    const adapter = await probe({});
    if (adapter && !adapter.cpu && wanted !== 'software') return { kind: 'hardware', env: {} };
    if (adapter?.cpu && ownDriver && wanted !== 'hardware') return { kind: 'software', env: {} };
    if (wanted === 'hardware') {
      const reason = `TENSORLOOM_ADAPTER asks for hardware, but Dawn finds ${adapter?.description ?? 'no adapter'}`;
      return { kind: 'none', env: {}, reason };
    }
  }
  if (!softwareAvailable) {
    const reason = `no hardware adapter found, and the software one is for Linux x64, not ${process.platform} ${process.arch}`;
    return { kind: 'none', env: {}, reason };
  }
  const folder = await unpackSwiftShader();
  const env = {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: joinPaths(folder, process.env.LD_LIBRARY_PATH),
  };
  if (await probe(env)) return { kind: 'software', env };
  return { kind: 'none', env: {}, reason: 'Dawn finds neither a hardware adapter nor the SwiftShader from npm' };
}

/**
 * @param {Record<string, string>} env
 * @returns {Promise<{ cpu: boolean, description: string } | null>}
 */
async function probe(env) {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [probePath], {
      env: { ...process.env, ...env },
      timeout: 60_000,
    });
    return JSON.parse(stdout);
  } catch {
    return null;
  }
}

/**
 * How to start a browser with WebGPU, as Playwright's launch options.
 * @returns {Promise<{ executablePath?: string, channel?: string, args: string[], env: Record<string, string | undefined> }>}
 */
export async function prepareBrowser() {
  const common = [
    '--no-sandbox',
    '--enable-unsafe-webgpu',
    '--js-flags=--expose-gc',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-quic',
    '--disable-sync',
  ];
  const software = [...common, '--use-webgpu-adapter=swiftshader'];
  const hardware = [...common, '--enable-features=Vulkan'];
  const chosen = process.env.TENSORLOOM_CHROMIUM;
  if (chosen) {
    return {
      executablePath: chosen,
      args: process.env.TENSORLOOM_WEBGPU === 'hardware' ? hardware : software,
      env: { ...process.env },
    };
  }
  if (!softwareAvailable) return { channel: 'chrome', args: hardware, env: { ...process.env } };

  const folder = await unpackChromium();
  const executablePath = join(folder, 'chromium');
  /** @type {Record<string, string | undefined>} */
  const env = { ...process.env };
  if (lacksLibraries(executablePath)) env.LD_LIBRARY_PATH = joinPaths(join(folder, 'lib'), env.LD_LIBRARY_PATH);
  if (!existsSync('/etc/fonts/fonts.conf')) {
    const fonts = `<fontconfig><dir>${join(folder, 'fonts')}</dir><cachedir>${join(folder, 'fonts-cache')}</cachedir></fontconfig>`;
    env.FONTCONFIG_FILE = join(folder, 'tensorloom-fonts.conf');
    await writeFile(env.FONTCONFIG_FILE, fonts);
  }
  return { executablePath, args: software, env };
}

/** @param {string} executable */
function lacksLibraries(executable) {
  try {
    return execFileSync('ldd', [executable], { encoding: 'utf8' }).includes('not found');
  } catch {
    return true;
  }
}

/** @param {string} first @param {string | undefined} rest */
function joinPaths(first, rest) {
  return rest ? `${first}${delimiter}${rest}` : first;
}
