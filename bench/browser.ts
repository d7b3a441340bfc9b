// Workloads in headless Chromium: the page is served by Vite, with the headers that let it share memory between threads.
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { prepareBrowser } from '../tests/setup/environment.mjs';
import { ISOLATED, wgsl } from '../tests/setup/vite.ts';
import type { Entrant } from './first.ts';
import type { ModelName } from './models.ts';
import type { BenchPage } from './page.ts';
import type { Session, SessionOptions } from './session.ts';

let server: Promise<ViteDevServer> | undefined;

/** One server, for as long as the process runs. */
function serve(): Promise<ViteDevServer> {
  server ??= createServer({
    root: fileURLToPath(new URL('..', import.meta.url)),
    configFile: false,
    logLevel: 'warn',
    plugins: [wgsl],
    oxc: { target: 'es2022' },
    // A page that is being timed is not to be reloaded; the entry needs no package, and the peers come as they are.
    server: { headers: ISOLATED, hmr: false, watch: null },
    optimizeDeps: { noDiscovery: true },
  }).then((made) => made.listen());
  return server;
}

async function launch(): Promise<Browser> {
  const { executablePath, channel, args, env } = await prepareBrowser();
  const variables = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return chromium.launch({
    headless: true,
    ...(executablePath ? { executablePath } : {}),
    ...(channel ? { channel } : {}),
    args: [...args, '--js-flags=--expose-gc'],
    env: Object.fromEntries(variables),
  });
}

type InPage = { readonly bench: BenchPage };

async function openPage(
  browser: Browser,
  report: (line: string) => void,
  progress: (text: string) => void,
): Promise<Page> {
  const page = await browser.newPage();
  page.on('pageerror', (error) => report(`an error in the page: ${error.message}`));
  await page.exposeFunction('benchReport', report);
  await page.exposeFunction('benchProgress', progress);
  const [url] = (await serve()).resolvedUrls!.local;
  await page.goto(`${url}bench/page.html`);
  await page.waitForFunction('globalThis.bench !== undefined', undefined, { timeout: 60_000 });
  return page;
}

/** A session in a page, and the browser's name and version. */
export async function openBrowserSession(
  options: SessionOptions,
  peers: boolean,
  report: (line: string) => void,
  progress: (text: string) => void,
): Promise<{ readonly session: Session; readonly version: string }> {
  const browser = await launch();
  const page = await openPage(browser, report, progress);
  const devices = await page.evaluate(
    ([given, withPeers]) => (globalThis as unknown as InPage).bench.open(given, withPeers),
    [options, peers] as const,
  );
  return {
    version: `Chromium ${browser.version()}`,
    session: {
      devices,
      time: (job, rounds) =>
        page.evaluate(([given, n]) => (globalThis as unknown as InPage).bench.time(given, n), [job, rounds] as const),
      close: () => browser.close(),
    },
  };
}

/** The first step of a library in a new browser, in milliseconds. */
export async function firstStepInBrowser(entrant: Entrant, model: ModelName): Promise<number> {
  const browser = await launch();
  try {
    const page = await openPage(browser, console.log, () => {});
    return await page.evaluate(([given, name]) => (globalThis as unknown as InPage).bench.first(given, name), [
      entrant,
      model,
    ] as const);
  } finally {
    await browser.close();
  }
}
