import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { prepareAdapter, prepareBrowser } from './tests/setup/environment.mjs';
import { ISOLATED, wgsl } from './tests/setup/vite.ts';

// The workers and the browser inherit this process's environment, so `npx vitest` works as `npm test` does.
const webgpu = await prepareAdapter();
const { executablePath, channel, args, env } = await prepareBrowser();

const variables = {
  TENSORLOOM_WEBGPU: webgpu,
  ...(process.env.TENSORLOOM_DEVICES ? { TENSORLOOM_DEVICES: process.env.TENSORLOOM_DEVICES } : {}),
};

export default defineConfig({
  plugins: [wgsl],
  oxc: { target: 'es2022' },
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    env: variables,
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          include: ['tests/**/*.test.ts'],
          exclude: ['tests/**/*.browser.test.ts'],
          pool: 'forks',
          maxWorkers: 2,
          execArgv: ['--expose-gc'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        server: { headers: ISOLATED },
        // Found before the first test: a dependency that Vite finds later reloads the page.
        optimizeDeps: { include: ['fast-check'] },
        test: {
          name: 'chromium',
          include: ['tests/**/*.test.ts'],
          exclude: ['tests/**/*.node.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: {
                ...(executablePath ? { executablePath } : {}),
                ...(channel ? { channel } : {}),
                args,
                env: Object.fromEntries(
                  Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
                ),
              },
            }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
