// Builds and packs the package, installs it into an empty folder, and uses it there as others will:
//   node tests/package/try.mjs [--no-build] [--keep]
// The README's program in Node, TypeScript against the declarations, bundles and their sizes, and a page in the browser.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright';
import ts from 'typescript';
import { build as bundlePage } from 'vite';
import { prepareBrowser } from '../setup/environment.mjs';

// The bundler that tsup brings.
const { build } = createRequire(createRequire(import.meta.url).resolve('tsup'))('esbuild');

const { values: options } = parseArgs({ options: { 'no-build': { type: 'boolean' }, keep: { type: 'boolean' } } });
const root = fileURLToPath(new URL('../..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));

/**
 * Bytes after gzip that bundles may take. To be raised in the change that needs it, with its reason there: core is every function of
 * tensorloom/functional, of which there are 250 with linear algebra, indexing and the transforms of autograd. Everything has layers,
 * losses, attention in blocks, optimizers, training, data and estimators besides. One op takes what all ops have in common: handles with int8, uint8 and
 * GPU buffers, and the checks of options. With `autotune` came its entry, the option `tuning`, and variants of products as data; what
 * measures is loaded on demand, and what it shares with the rest is in chunks of its own. Rows joined by subgroups have a shader more.
 */
const LARGEST = {
  'one op, functional': 15_000,
  'one op and init, functional': 29_800,
  'core and WebGPU': 102_900,
  'everything and WebGPU': 173_200,
};

/** @param {string} command @param {string[]} args @param {string} cwd */
async function run(command, args, cwd) {
  const { stdout } = await promisify(execFile)(command, args, { cwd, maxBuffer: 2 ** 26, timeout: 300_000 });
  return stdout;
}

/** @param {string} folder */
async function install(folder) {
  if (!options['no-build']) await run('npm', ['run', 'build'], root);
  const packed = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', folder], root));
  const [{ filename, size, files }] = packed;
  const paths = files.map((/** @type {{ path: string }} */ file) => file.path);
  for (const path of ['README.md', 'LICENSE', 'CHANGELOG.md', 'dist/index.js', 'dist/node.d.ts'])
    assert(paths.includes(path), `the package lacks ${path}`);
  assert.deepEqual(
    paths.filter(
      (/** @type {string} */ path) => !/^(dist\/|README\.md|LICENSE|CHANGELOG\.md|package\.json)/.test(path),
    ),
    [],
  );
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'try', private: true, type: 'module' }));
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${filename}`], folder);
  const installed = (await readdir(join(folder, 'node_modules'))).filter((name) => !name.startsWith('.'));
  assert.deepEqual(installed, ['tensorloom'], 'the package brings no other');
  console.log(`package: ${kilobytes(size)} packed, ${files.length} files, installed without network`);
}

/** @param {string} folder */
async function runReadme(folder) {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, code] = /```ts run\n([\s\S]*?)```/.exec(readme) ?? [];
  assert(code, 'the README has a program');
  await writeFile(join(folder, 'readme.mjs'), code);
  const output = await run(process.execPath, ['readme.mjs'], folder);
  assert.equal(output.trimEnd().split('\n').at(-1), '[[false],[true],[true],[false]]');
  console.log("Node: the README's program learns");
}

/**
 * Copies a program, which is written against the sources, to use the package.
 * @param {string} name @param {string} folder
 */
async function copy(name, folder) {
  const text = await readFile(join(here, name), 'utf8');
  const used = text.replace("'../../src/index.ts'", "'tensorloom'");
  await writeFile(join(folder, name), used.replace("'../../src/functional.ts'", "'tensorloom/functional'"));
}

/** @param {string} folder */
async function checkTypes(folder) {
  await copy('types.mts', folder);
  /** @param {'Node16' | 'Bundler'} resolution @param {ts.CompilerOptions} more */
  const check = (resolution, more) => {
    const program = ts.createProgram([join(folder, 'types.mts')], {
      strict: true,
      noEmit: true,
      target: ts.ScriptTarget.ES2022,
      module: resolution === 'Node16' ? ts.ModuleKind.Node16 : ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind[resolution],
      ...more,
    });
    const wrong = ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
      const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
      return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
    });
    assert.deepEqual(wrong, [], `types with moduleResolution ${resolution}`);
  };
  for (const resolution of /** @type {const} */ (['Node16', 'Bundler'])) {
    check(resolution, { skipLibCheck: true, types: [] });
    // The declarations themselves, with the types that they mention.
    const lib = ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'];
    check(resolution, { lib, types: ['@webgpu/types'], typeRoots: [join(root, 'node_modules')] });
  }
  console.log('types: correct with moduleResolution node16 and bundler');
}

/**
 * Bundles a program for a page and gives the bytes of its files after gzip: the entry with what it always loads, and each
 * backend, which is loaded on demand.
 * @param {string} folder @param {string} code
 */
async function bundle(folder, code) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    outdir: join(folder, 'bundle'),
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  const bytes = new Map(
    outputFiles.map((/** @type {{ path: string, contents: Uint8Array }} */ file) => [
      file.path.slice(folder.length + 1),
      { plain: file.contents.length, gzip: gzipSync(file.contents, { level: 9 }).length },
    ]),
  );
  /** The files that loading one of them loads. @param {string} name @param {Set<string>} found */
  const closure = (name, found = new Set()) => {
    if (found.has(name)) return found;
    found.add(name);
    const { imports } = metafile.outputs[Object.keys(metafile.outputs).find((path) => path.endsWith(name)) ?? name];
    for (const { path, kind } of imports)
      if (kind === 'import-statement') closure(path.slice(path.indexOf('bundle/')), found);
    return found;
  };
  /** @param {Iterable<string>} names */
  const total = (names) => {
    let [plain, gzip] = [0, 0];
    for (const name of names) {
      plain += bytes.get(name)?.plain ?? 0;
      gzip += bytes.get(name)?.gzip ?? 0;
    }
    return { plain, gzip };
  };
  const entry = closure('bundle/stdin.js');
  const backend = (/** @type {string} */ name) => {
    const file = [...bytes.keys()].find((path) => path.startsWith(`bundle/${name}-`));
    return total([...closure(file ?? '')].filter((path) => !entry.has(path)));
  };
  return { entry: total(entry), backend };
}

/** @param {string} folder */
async function measure(folder) {
  const one = await bundle(folder, "import { relu } from 'tensorloom/functional'; console.log(relu);");
  const used = await bundle(
    folder,
    "import { init, relu, tensor } from 'tensorloom/functional'; await init(); console.log(await relu(tensor([1])).data());",
  );
  const core = await bundle(folder, "import * as tl from 'tensorloom/functional'; globalThis.tl = tl;");
  const all = await bundle(folder, "import * as tl from 'tensorloom'; globalThis.tl = tl;");
  /** @param {...{ plain: number, gzip: number }} parts */
  const sum = (...parts) => ({
    plain: parts.reduce((n, part) => n + part.plain, 0),
    gzip: parts.reduce((n, part) => n + part.gzip, 0),
  });
  const sizes = {
    'one op, functional': one.entry,
    'one op and init, functional': used.entry,
    'core (all of functional)': core.entry,
    everything: all.entry,
    'WebGPU backend': all.backend('webgpu'),
    'CPU backend': all.backend('cpu'),
    'reference backend': all.backend('reference'),
    'core and WebGPU': sum(core.entry, core.backend('webgpu')),
    'everything and WebGPU': sum(all.entry, all.backend('webgpu')),
    'everything and CPU': sum(all.entry, all.backend('cpu')),
  };
  for (const [name, { plain, gzip }] of Object.entries(sizes))
    console.log(`size of ${name}: ${kilobytes(gzip)} gzip, ${kilobytes(plain)} minified`);
  for (const [name, most] of Object.entries(LARGEST)) {
    const { gzip } = sizes[/** @type {keyof typeof sizes} */ (name)];
    assert(gzip > 0 && gzip <= most, `${name} takes ${gzip} bytes, more than ${most}`);
  }
}

/** @param {string} folder */
async function buildPage(folder) {
  const source = join(folder, 'page');
  await mkdir(source);
  await copyFile(join(here, 'page.html'), join(source, 'index.html'));
  await copy('page.ts', source);
  await bundlePage({ root: source, configFile: false, logLevel: 'warn', build: { outDir: 'dist', target: 'es2022' } });
  return join(source, 'dist');
}

const TYPES = /** @type {Record<string, string>} */ ({ '.html': 'text/html', '.js': 'text/javascript' });

/** @param {string} folder */
async function usePage(folder) {
  const dist = await buildPage(folder);
  let policy = '';
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const file = join(dist, pathname === '/' ? 'index.html' : pathname);
    try {
      const body = await readFile(file);
      response.writeHead(200, {
        'Content-Type': TYPES[extname(file)] ?? 'text/plain',
        'Content-Security-Policy': policy,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const { executablePath, channel, args, env } = await prepareBrowser();
  const browser = await chromium.launch({
    ...(executablePath ? { executablePath } : {}),
    ...(channel ? { channel } : {}),
    args,
    env: Object.fromEntries(
      Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  });
  try {
    /** @param {string} devices @param {string} scripts @param {string} shot */
    const open = async (devices, scripts, shot) => {
      policy = `default-src 'none'; script-src 'self' ${scripts}; img-src data:`;
      const page = await browser.newPage();
      /** @type {string[]} */
      const errors = [];
      /** @type {string[]} */
      const warnings = [];
      page.on('pageerror', (error) => errors.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
        if (message.type() === 'warning') warnings.push(message.text());
      });
      await page.goto(`http://localhost:${port}/?devices=${devices}`);
      await page.waitForFunction(
        () => /done|failed/.test(document.querySelector('#out')?.textContent ?? ''),
        undefined,
        {
          timeout: 120_000,
        },
      );
      const text = (await page.textContent('#out')) ?? '';
      await page.screenshot({ path: join(folder, `${shot}.png`) });
      await page.close();
      return { text, errors, warnings };
    };
    const learned = (/** @type {string} */ device) =>
      new RegExp(`^${device}: loss 0\\.886 to 0\\.0\\d\\d, \\[\\[false\\],\\[true\\],\\[true\\],\\[false\\]\\]$`, 'm');

    const usual = await open('cpu,webgpu', "'wasm-unsafe-eval'", 'page');
    assert.deepEqual(usual.errors, [], 'errors in the console');
    assert.match(usual.text, learned('cpu'));
    assert.match(usual.text, learned('webgpu'));
    console.log(`page, with 'wasm-unsafe-eval':\n  ${usual.text.replaceAll('\n', '\n  ')}`);

    // WebGPU needs no permission; the CPU backend gives way to the reference device, and says so.
    const strict = await open('cpu,webgpu', '', 'strict');
    assert.match(strict.text, learned('reference'));
    assert.match(strict.text, learned('webgpu'));
    assert(
      strict.warnings.some((text) => text.includes('wasm-unsafe-eval')),
      `no warning, but ${strict.warnings}`,
    );
    console.log("page, without 'wasm-unsafe-eval': WebGPU as before, the reference device in place of the CPU backend");
  } finally {
    await browser.close();
    server.close();
  }
}

/** @param {number} bytes */
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

const folder = await mkdtemp(join(tmpdir(), 'tensorloom-package-'));
try {
  await install(folder);
  await runReadme(folder);
  await checkTypes(folder);
  await measure(folder);
  await usePage(folder);
} finally {
  if (options.keep) console.log(`kept: ${folder}`);
  else await rm(folder, { recursive: true });
}
