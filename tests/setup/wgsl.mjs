// node --import ./tests/setup/wgsl.mjs: lets Node import .wgsl files as text, as the build and the tests do.
import { register } from 'node:module';

register('./wgsl-loader.mjs', import.meta.url);
