// Software WebGPU from npm alone: @sparticuz/chromium ships a headless Chromium and SwiftShader, a Vulkan driver for the
// CPU, as brotli archives for Linux x64. They are unpacked once into node_modules/.cache/tensorloom.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-fs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const archives = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '../../bin');

/** Whether this machine can run the binaries that the package ships. */
export const softwareAvailable = process.platform === 'linux' && process.arch === 'x64';

/**
 * Unpacks SwiftShader and returns its folder, which holds libvulkan.so.1, the driver and its manifest.
 * @returns {Promise<string>}
 */
export function unpackSwiftShader() {
  return once('swiftshader', (folder) => unpackTar('swiftshader', folder));
}

/**
 * Unpacks Chromium with SwiftShader beside it, the libraries it needs (`lib`) and a font (`fonts`).
 * @returns {Promise<string>} its folder
 */
export function unpackChromium() {
  return once('chromium', async (folder) => {
    await Promise.all([
      unpackFile('chromium', join(folder, 'chromium')),
      unpackTar('swiftshader', folder),
      unpackTar('al2023', folder),
      unpackTar('fonts', folder),
    ]);
  });
}

/**
 * Fills a folder of the cache aside and renames it into place, so that it is complete whenever it exists.
 * @param {string} name
 * @param {(folder: string) => Promise<void>} fill
 */
async function once(name, fill) {
  const manifest = JSON.parse(await readFile(join(archives, '../package.json'), 'utf8'));
  const folder = join(root, 'node_modules/.cache/tensorloom', `${name}-${manifest.version}`);
  if (await exists(folder)) return folder;
  const aside = `${folder}.${process.pid}`;
  await mkdir(aside, { recursive: true });
  try {
    await fill(aside);
    await rename(aside, folder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    // Another process may have been first; then its folder serves.
    if (!(await exists(folder))) throw error;
  }
  return folder;
}

/** @param {string} path */
async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** @param {string} archive @param {string} path */
async function unpackFile(archive, path) {
  const source = createReadStream(join(archives, `${archive}.br`));
  await pipeline(source, createBrotliDecompress(), createWriteStream(path, { mode: 0o755 }));
}

/** @param {string} archive @param {string} folder */
async function unpackTar(archive, folder) {
  const source = createReadStream(join(archives, `${archive}.tar.br`));
  await pipeline(source, createBrotliDecompress(), extract(folder));
}
