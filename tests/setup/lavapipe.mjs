// node tests/setup/lavapipe.mjs [COMMAND ...]
// Runs a command (the float16 tests, unless another is given) on Mesa's lavapipe, a software Vulkan driver that has
// shader-f16. Debian's packages are downloaded from the archive that the system's own apt is set up for, and unpacked under
// node_modules/.cache; nothing is installed. Where that does not work, one line says why, and nothing is run.
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, 'node_modules/.cache/tensorloom');
const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const OLDEST_MESA = 25;

/** @param {string} command @param {string[]} args */
async function run(command, args) {
  const { stdout } = await promisify(execFile)(command, args, { timeout: 300_000, maxBuffer: 2 ** 24 });
  return stdout;
}

/** The URI of the system's Debian archive and the name of its release. */
async function archive() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`it is for Linux x64, not ${process.platform} ${process.arch}`);
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  const targets = await run('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages']);
  const found = targets.split('\n').map((line) => line.split(' '));
  const uri = found.find(([, release]) => release === codename)?.[0];
  if (!codename || !uri) throw new Error("the system's apt knows no archive of its release");
  return { uri, codename };
}

/** Fills a folder with the files of the packages and of those that they need and the system lacks. @param {string} folder */
async function unpack(folder) {
  const { uri, codename } = await archive();
  const list = join(folder, 'sources.list');
  const suites = [codename, `${codename}-backports`];
  await writeFile(list, suites.map((suite) => `deb ${uri} ${suite} main\n`).join(''));
  await mkdir(join(folder, 'lists/partial'), { recursive: true });
  await mkdir(join(folder, 'apt/archives/partial'), { recursive: true });
  const options = [
    `Dir::Etc::sourcelist=${list}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State::lists=${join(folder, 'lists')}`,
    `Dir::Cache=${join(folder, 'apt')}`,
    'Debug::NoLocking=1',
  ].flatMap((option) => ['-o', option]);
  await run('apt-get', [...options, '-q', 'update']);
  const install = ['-q', '-y', '--no-install-recommends', '--download-only', '-t', `${codename}-backports`, 'install'];
  await run('apt-get', [...options, ...install, ...PACKAGES]);
  const packages = await readdir(join(folder, 'apt/archives'));
  const version = packages.map((name) => /^mesa-vulkan-drivers_(\d+)/.exec(name)?.[1]).find(Boolean);
  if (!(Number(version) >= OLDEST_MESA)) throw new Error(`the archive has Mesa ${version}, older than ${OLDEST_MESA}`);
  for (const name of packages.filter((p) => p.endsWith('.deb')))
    await run('dpkg', ['-x', join(folder, 'apt/archives', name), join(folder, 'files')]);
  for (const name of ['lists', 'apt', 'sources.list']) await rm(join(folder, name), { recursive: true, force: true });
}

/**
 * Unpacks lavapipe once, and gives the variables of a process that uses it.
 * @returns {Promise<Record<string, string>>}
 */
export async function prepareLavapipe() {
  const folder = join(cache, `lavapipe-${OLDEST_MESA}`);
  if (!existsSync(folder)) {
    const aside = `${folder}.${process.pid}`;
    await mkdir(aside, { recursive: true });
    try {
      await unpack(aside);
      await rename(aside, folder);
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  }
  const libraries = join(folder, 'files/usr/lib/x86_64-linux-gnu');
  const manifest = join(folder, 'lavapipe.json');
  const driver = { library_path: join(libraries, 'libvulkan_lvp.so'), api_version: '1.4.305' };
  await writeFile(manifest, JSON.stringify({ file_format_version: '1.0.0', ICD: driver }));
  const env = {
    VK_ICD_FILENAMES: manifest,
    LD_LIBRARY_PATH: [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter),
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? folder,
  };
  const probe = fileURLToPath(new URL('./probe.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [probe], { env: { ...process.env, ...env } });
  const adapter = JSON.parse(stdout);
  if (!adapter?.features.includes('shader-f16'))
    throw new Error(`Dawn finds ${adapter?.description ?? 'no adapter'} there, without shader-f16`);
  return { ...env, TENSORLOOM_WEBGPU: 'software', TENSORLOOM_FLOAT16: adapter.description };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const tests = ['tests/setup/test.mjs', 'node', 'tests/ops/float16.test.ts', 'tests/nn/amp.test.ts'];
  const given = process.argv.slice(2);
  try {
    const env = await prepareLavapipe();
    console.log(`float16 on ${env.TENSORLOOM_FLOAT16}`);
    const args = given.length > 0 ? given : tests;
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
    child.on('exit', (code) => {
      process.exitCode = code ?? 1;
    });
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).trim().split('\n');
    console.warn(`float16 on WebGPU: skipped, as lavapipe cannot be had here: ${reason}`);
  }
}
