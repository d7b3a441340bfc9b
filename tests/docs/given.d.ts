// What a fragment in the documentation may use without declaring it. A block of its own is a module, so a name that it
// declares itself hides the one here.

/** A float32 tensor, and targets for it. */
declare const x: import('../../src/index.ts').Tensor;
declare const y: import('../../src/index.ts').Tensor;
/** A model with parameters. */
declare const model: import('../../src/index.ts').nn.Sequential;
/** A device of the page's own, and a buffer on it. */
declare const gpuDevice: GPUDevice;
declare const vertices: GPUBuffer;
