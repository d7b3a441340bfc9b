import type { Plugin } from 'vite';

/** Has Vite import .wgsl files as text, as the build does. */
export const wgsl: Plugin = {
  name: 'wgsl',
  enforce: 'pre',
  transform(code, id) {
    if (/\.wgsl(\?|$)/.test(id))
      return { code: `export default ${JSON.stringify(code)};`, map: null, moduleType: 'js' };
    return undefined;
  },
};

/** With them a page may share memory between threads. */
export const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
} as const;
