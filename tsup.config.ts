import { readFile } from 'node:fs/promises';
import { defineConfig, type Options } from 'tsup';

type Plugin = NonNullable<Options['plugins']>[number];
type BuildPlugin = NonNullable<Options['esbuildPlugins']>[number];

// The Node entry imports the default entry's file instead of sharing a chunk with it. So the code with side effects (the
// methods that src/index.ts installs) is in dist/index.js, which package.json can name under sideEffects; a chunk's name
// has a hash.
const nodeReusesIndex: BuildPlugin = {
  name: 'node-reuses-index',
  setup(build) {
    build.onResolve({ filter: /^\.\/index\.ts$/ }, ({ importer }) =>
      /[\\/]src[\\/]node\.ts$/.test(importer) ? { path: './index.js', external: true } : undefined,
    );
  },
};

// Shaders without their comments and indents.
const shortShaders: BuildPlugin = {
  name: 'short-shaders',
  setup(build) {
    build.onLoad({ filter: /\.wgsl$/ }, async ({ path }) => {
      const lines = (await readFile(path, 'utf8')).split('\n').map((line) => line.replace(/\s*\/\/.*/, '').trim());
      return { contents: lines.filter(Boolean).join('\n'), loader: 'text' };
    });
  },
};

// For `import * as ops`, which installs the methods, esbuild writes a statement that fills an object with every op; then
// nothing of `tensorloom/functional` could be left out of a bundle. As a pure expression it is dropped where nobody reads
// it. The number of lines stays, and so the source map.
const pureNamespaces: Plugin = {
  name: 'pure-namespaces',
  renderChunk(code, { map }) {
    const filled = /^var (\w+) = \{\};\n__export\(\1, (\{[^}]*\})\);$/gm;
    return {
      code: code.replace(filled, 'var $1 = /* @__PURE__ */ ((all) => (\n__export(all, $2), all))({});'),
      map: map ?? null,
    };
  },
};

export default defineConfig({
  entry: ['src/index.ts', 'src/node.ts', 'src/functional.ts'],
  tsconfig: 'tsconfig.build.json',
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  external: ['webgpu', /^node:/],
  removeNodeProtocol: false,
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: true,
  esbuildPlugins: [nodeReusesIndex, shortShaders],
  plugins: [pureNamespaces],
});
