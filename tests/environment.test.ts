import { describe, expect, test } from 'vitest';
import { defaultLimits, gpu, hasWebGPU, inBrowser } from './setup/devices.ts';

const doubling = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> numbers: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&numbers)) { numbers[id.x] = 2 * numbers[id.x]; }
}`;

describe('the test environment', () => {
  test.skipIf(!hasWebGPU)('has a WebGPU adapter that computes', async () => {
    const adapter = await (await gpu()).requestAdapter();
    expect(adapter, 'requestAdapter').not.toBeNull();
    const device = await adapter!.requestDevice();
    try {
      const input = Float32Array.from({ length: 1000 }, (_, i) => i - 500);
      expect(await double(device, input)).toEqual(input.map((x) => 2 * x));
    } finally {
      device.destroy();
    }
  });

  test.runIf(hasWebGPU && defaultLimits)('has devices of default limits where they are asked for', async () => {
    const adapter = await (await gpu()).requestAdapter();
    const device = await adapter?.requestDevice({ requiredLimits: { maxStorageBuffersPerShaderStage: 9 } });
    expect(device?.limits.maxStorageBuffersPerShaderStage).toBe(8);
    expect(device?.limits.maxStorageBufferBindingSize).toBe(2 ** 27);
    device?.destroy();
  });

  test('has a garbage collector to call', () => {
    expect(globalThis.gc).toBeTypeOf('function');
  });

  if (inBrowser) {
    test('is cross-origin isolated, so that memory can be shared', () => {
      expect(crossOriginIsolated).toBe(true);
      expect(new SharedArrayBuffer(8).byteLength).toBe(8);
    });
  }
});

async function double(device: GPUDevice, input: Float32Array<ArrayBuffer>): Promise<Float32Array> {
  const size = input.byteLength;
  const numbers = device.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const readback = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  device.queue.writeBuffer(numbers, 0, input);
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: doubling }) },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: numbers } }],
    }),
  );
  pass.dispatchWorkgroups(Math.ceil(input.length / 64));
  pass.end();
  encoder.copyBufferToBuffer(numbers, 0, readback, 0, size);
  device.queue.submit([encoder.finish()]);
  await readback.mapAsync(GPUMapMode.READ);
  const result = new Float32Array(readback.getMappedRange().slice(0));
  readback.unmap();
  return result;
}
