// Memory in common with the page: tensors as GPUBuffers, and GPUBuffers as tensors.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DeviceError, DTypeError, FormatError, ShapeError, UnsupportedError } from '../../src/core/errors.ts';
import * as tl from '../../src/index.ts';
import { devices, gpu } from '../setup/devices.ts';
import { openDevice } from './harness.ts';

const [MAP_READ, COPY_SRC, COPY_DST, STORAGE] = [0x1, 0x4, 0x8, 0x80];

test.each(devices)('a %s device that has no GPUDevice in common says so', async (name) => {
  const device = await openDevice(name);
  using s = tl.scope();
  const x = s.track(tl.ones([2], { device }));
  await expect(x.gpuBuffer()).rejects.toThrow(DeviceError);
  await expect(tl.gpuBuffer(x)).rejects.toThrow(
    `gpuBuffer: this ${name} device has no GPUDevice in common with you; make one with init({ gpuDevice })`,
  );
  expect(() => tl.fromGPUBuffer({} as GPUBuffer, { shape: [2], device })).toThrow(DeviceError);
  x.dispose();
  device.destroy();
});

describe.skipIf(!devices.includes('webgpu'))('with a GPUDevice in common', () => {
  let own: GPUDevice;
  let device: tl.Device;
  let plain: tl.Device;
  const complaints: string[] = [];

  beforeAll(async () => {
    own = await (await (await gpu()).requestAdapter())!.requestDevice();
    own.addEventListener('uncapturederror', (e) => complaints.push(e.error.message));
    device = await tl.init({ gpuDevice: own });
    plain = await tl.device('webgpu', { gpuDevice: own, fusion: false });
  });
  afterAll(async () => {
    for (const d of [device, plain]) d.destroy();
    own.destroy();
  });

  let before: ReturnType<typeof tl.memory>;
  beforeEach(() => {
    before = tl.memory(device);
  });
  afterEach(async () => {
    await device.sync();
    expect(tl.memory(device)).toMatchObject({ bytes: before.bytes, buffers: before.buffers });
    await own.queue.onSubmittedWorkDone();
    expect(complaints).toEqual([]);
  });

  /** A buffer of the page's with the given bytes. */
  function made(data: ArrayBufferView<ArrayBuffer>, usage = STORAGE | COPY_SRC | COPY_DST): GPUBuffer {
    const buffer = own.createBuffer({ size: Math.max(4, data.byteLength), usage });
    own.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  /** What commands of the page's read from a buffer. */
  async function seen({ buffer, offset, size }: tl.GPUBufferRange): Promise<ArrayBuffer> {
    const [from, to] = [4 * Math.floor(offset / 4), 4 * Math.ceil((offset + size) / 4)];
    const staging = own.createBuffer({ size: Math.max(4, to - from), usage: MAP_READ | COPY_DST });
    const encoder = own.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, from, staging, 0, to - from);
    own.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const bytes = staging.getMappedRange().slice(offset - from, offset - from + size);
    staging.destroy();
    return bytes;
  }

  test('a tensor is seen by commands of the page, whatever its state', async () => {
    for (const d of [device, plain]) {
      using s = tl.scope();
      const given = s.track(tl.tensor([1, 2, 3], { device: d }));
      const pending = s.run(() => given.mul(2).add(0.5));
      const bytes = s.track(tl.tensor(Uint8Array.of(1, 2, 3, 4, 5), { device: d }));
      const flags = s.track(tl.tensor([true, false], { device: d }));
      expect(new Float32Array(await seen(await pending.gpuBuffer()))).toEqual(Float32Array.of(2.5, 4.5, 6.5));
      expect(new Float32Array(await seen(await given.gpuBuffer()))).toEqual(Float32Array.of(1, 2, 3));
      expect(String(given)).toContain('1., 2., 3.');
      expect(new Uint8Array(await seen(await bytes.gpuBuffer()))).toEqual(Uint8Array.of(1, 2, 3, 4, 5));
      expect(new Uint32Array(await seen(await flags.gpuBuffer()))).toEqual(Uint32Array.of(1, 0));
      const empty = s.track(tl.zeros([0, 3], { device: d }));
      expect(await empty.gpuBuffer()).toMatchObject({ offset: 0, size: 0 });
    }
  });

  test('a view lies at its place, and one with gaps is refused', async () => {
    using s = tl.scope();
    const x = s.run(() => tl.arange(12).reshape([4, 3]));
    const [row, byte] = s.run(() => [x.slice(0, 2, 4), tl.arange(9, { dtype: 'uint8' }).slice(0, 3, 6)]);
    const range = await row!.gpuBuffer();
    expect(range).toMatchObject({ offset: 24, size: 24 });
    expect(new Float32Array(await seen(range))).toEqual(Float32Array.of(6, 7, 8, 9, 10, 11));
    expect(new Uint8Array(await seen(await byte!.gpuBuffer()))).toEqual(Uint8Array.of(3, 4, 5));
    const turned = s.run(() => x.t());
    await expect(turned.gpuBuffer()).rejects.toThrow(/gpuBuffer: a view of shape \[3, 4\] has gaps .* contiguous\(\)/);
    await expect(turned.gpuBuffer()).rejects.toThrow(ShapeError);
  });

  test('what was handed out stays as it is while its tensor lives', async () => {
    const x = tl.tidy(() => tl.arange(64).mul(1));
    const range = await x.gpuBuffer();
    const first = Float32Array.from({ length: 64 }, (_, i) => i);
    // Ops that would take the buffer over if it were free, and updates in place.
    tl.tidy(() => {
      x.add_(1);
      x.mul_(2);
    });
    await device.sync();
    tl.tidy(() => {
      for (let i = 0; i < 8; i++) tl.keep(tl.full([64], -7)).dispose();
      x.add_(1);
    });
    await device.sync();
    expect(new Float32Array(await seen(range))).toEqual(first);
    expect(await x.data()).toEqual(first.map((v) => 2 * (v + 1) + 1));
    expect(tl.memory(device).bytes - before.bytes).toBe(2 * 256);
    // Asked again, it lets go of the old one.
    const again = await x.gpuBuffer();
    expect(again.buffer).not.toBe(range.buffer);
    expect(new Float32Array(await seen(again))).toEqual(first.map((v) => 2 * (v + 1) + 1));
    expect(tl.memory(device).bytes - before.bytes).toBe(256);
    // A view of the same storage keeps it.
    const view = tl.tidy(() => x.slice(0, 1, 3));
    x.dispose();
    expect(new Float32Array(await seen(again))).toEqual(first.map((v) => 2 * (v + 1) + 1));
    view.dispose();
    expect(tl.memory(device).bytes).toBe(before.bytes);
    await expect(x.gpuBuffer()).rejects.toThrow(tl.DisposedError);
  });

  test('a buffer of the page is a tensor, and stays as it is', async () => {
    for (const d of [device, plain]) {
      const values = Float32Array.from({ length: 24 }, (_, i) => i - 5);
      const buffer = made(values);
      const outside = tl.memory(d);
      using s = tl.scope();
      const x = s.track(tl.fromGPUBuffer(buffer, { shape: [4, 6], device: d }));
      expect([x.shape, x.dtype, x.device]).toEqual([[4, 6], 'float32', d]);
      // Nothing was copied, and what is not ours does not count.
      expect(tl.memory(d)).toEqual({ ...outside, tensors: outside.tensors + 1 });
      expect(await x.data()).toEqual(values);
      const y = s.run(() => x.t().mul(2).sum({ dim: 1 }).add(x.select(0, 1)));
      const column = (j: number): number => [0, 1, 2, 3].reduce((sum, i) => sum + 2 * values[6 * i + j]!, 0);
      expect(await y.toArray()).toEqual([0, 1, 2, 3, 4, 5].map((j) => column(j) + values[6 + j]!));
      // In place, and through a view of it: the tensor changes, the buffer does not.
      s.run(() => {
        x.add_(1);
        x.select(0, 0).fill_(9);
      });
      expect(await x.data()).toEqual(values.map((v, i) => (i < 6 ? 9 : v + 1)));
      expect(new Float32Array(await seen({ buffer, offset: 0, size: 96 }))).toEqual(values);
      // A tensor that dies in the op that reads it would give its memory to the result.
      const z = s.run(() => tl.fromGPUBuffer(buffer, { shape: [24], device: d }).mul(3));
      expect(await z.data()).toEqual(values.map((v) => 3 * v));
      expect(new Float32Array(await seen({ buffer, offset: 0, size: 96 }))).toEqual(values);
      buffer.destroy();
    }
  });

  test('what the page writes is what is read next', async () => {
    const buffer = made(Float32Array.of(1, 2));
    using s = tl.scope();
    const x = s.track(tl.fromGPUBuffer(buffer, { shape: [2] }));
    expect(await x.toArray()).toEqual([1, 2]);
    own.queue.writeBuffer(buffer, 0, Float32Array.of(3, 4));
    expect(await x.toArray()).toEqual([3, 4]);
    expect(await s.run(() => x.mul(2)).toArray()).toEqual([6, 8]);
    expect(String(x)).not.toContain('1.');
    buffer.destroy();
  });

  test('of every dtype, in a buffer that is larger', async () => {
    const buffer = made(Uint8Array.of(1, 255, 3, 0, 7, 0, 0, 0, 9, 9, 9, 9));
    using s = tl.scope();
    const of = (dtype: tl.DType, shape: readonly number[]): tl.Tensor =>
      s.track(tl.fromGPUBuffer(buffer, { shape, dtype }));
    expect(await of('uint8', [5]).toArray()).toEqual([1, 255, 3, 0, 7]);
    expect(await of('int8', [3]).toArray()).toEqual([1, -1, 3]);
    expect(await of('uint32', [2]).toArray()).toEqual([0x3ff01, 7]);
    expect(await of('bool', [2]).toArray()).toEqual([true, true]);
    expect(await of('int32', [0, 2]).toArray()).toEqual([]);
    expect(await s.run(() => of('uint8', [2, 2]).add(of('int8', [2, 2]))).toArray()).toEqual([
      [2, 254],
      [6, 0],
    ]);
    buffer.destroy();
  });

  test('refuses what does not fit', async () => {
    const buffer = made(new Float32Array(4));
    const of =
      (options: tl.GPUBufferOptions, from = buffer) =>
      () =>
        tl.fromGPUBuffer(from, options);
    expect(of({ shape: [5] })).toThrow(/buffer of 16 bytes does not hold the shape \[5\] of float32, which takes 20/);
    expect(of({ shape: [5] })).toThrow(ShapeError);
    expect(of({ shape: [-1] })).toThrow(ShapeError);
    expect(of({ shape: [4], dtype: 'float64' as 'float32' })).toThrow(DTypeError);
    expect(of({ shape: [4], offset: 4 } as tl.GPUBufferOptions)).toThrow(UnsupportedError);
    expect(of({ shape: [1] }, Float32Array.of(1) as unknown as GPUBuffer)).toThrow(FormatError);
    if (!own.features.has('shader-f16')) expect(of({ shape: [1], dtype: 'float16' })).toThrow(DTypeError);
    for (const usage of [STORAGE | COPY_DST, COPY_SRC | COPY_DST]) {
      const bad = made(new Float32Array(4), usage);
      expect(of({ shape: [4] }, bad)).toThrow(/usage flags .* STORAGE \| COPY_SRC/);
      expect(of({ shape: [4] }, bad)).toThrow(DeviceError);
      bad.destroy();
    }
    const mapped = own.createBuffer({ size: 16, usage: STORAGE | COPY_SRC, mappedAtCreation: true });
    expect(of({ shape: [4] }, mapped)).toThrow(/is mapped/);
    mapped.destroy();
    buffer.destroy();
  });

  test('a buffer of another device, or a destroyed one, is an error where it is used', async () => {
    const other = await (await (await gpu()).requestAdapter())!.requestDevice();
    const foreign = other.createBuffer({ size: 16, usage: STORAGE | COPY_SRC });
    const gone = made(new Float32Array(4));
    gone.destroy();
    for (const buffer of [foreign, gone]) {
      using s = tl.scope();
      const x = s.track(tl.fromGPUBuffer(buffer, { shape: [4] }));
      await expect(x.data()).rejects.toThrow(DeviceError);
      await expect((async () => s.run(() => x.add(1)).data())()).rejects.toThrow(/of another GPUDevice, or destroyed/);
      await expect(x.gpuBuffer()).rejects.toThrow(DeviceError);
    }
    // The device goes on.
    using s = tl.scope();
    expect(await s.track(tl.ones([2])).toArray()).toEqual([1, 1]);
    other.destroy();
  });

  test('a buffer goes round: out of one tensor, through a kernel of the page, into another', async () => {
    using s = tl.scope();
    const x = s.run(() => tl.arange(100).mul(2));
    const { buffer } = await x.gpuBuffer();
    const target = own.createBuffer({ size: 400, usage: STORAGE | COPY_SRC });
    const code = `@group(0) @binding(0) var<storage, read> x: array<f32>;
      @group(0) @binding(1) var<storage, read_write> y: array<f32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < 100u) { y[id.x] = x[id.x] + 1f; }
      }`;
    const pipeline = own.createComputePipeline({
      layout: 'auto',
      compute: { module: own.createShaderModule({ code }) },
    });
    const entries = [buffer, target].map((b, binding) => ({ binding, resource: { buffer: b } }));
    const encoder = own.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, own.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(2);
    pass.end();
    own.queue.submit([encoder.finish()]);
    const y = s.track(tl.fromGPUBuffer(target, { shape: [100] }));
    expect(await s.run(() => y.sub(x)).toArray()).toEqual(new Array(100).fill(1));
    target.destroy();
  });

  test('bind groups of a buffer go with it', async () => {
    const backend = device.backend as unknown as { encoder: { groupsOf: Map<unknown, unknown> } };
    const step = async (): Promise<void> => {
      const buffer = made(Float32Array.of(1, 2));
      using s = tl.scope();
      const x = s.track(tl.fromGPUBuffer(buffer, { shape: [2] }));
      expect(await s.run(() => x.add(1)).toArray()).toEqual([2, 3]);
      buffer.destroy();
    };
    await step();
    const kept = backend.encoder.groupsOf.size;
    for (let i = 0; i < 5; i++) await step();
    expect(backend.encoder.groupsOf.size).toBe(kept);
  });
});
