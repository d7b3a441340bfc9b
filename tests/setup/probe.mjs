// Prints what Dawn finds in this process's environment as JSON: null, or { cpu, description, features }. Run as a child process,
// because the driver is chosen by variables that must be set before a process starts, and because a driver may crash.
import { create } from 'webgpu';

const gpu = create(['enable-dawn-features=vulkan_enable_f16_on_nvidia']);
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
const info = adapter?.info;
console.log(
  JSON.stringify(
    info
      ? {
          cpu:
            info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(JSON.stringify(textOf(info))),
          description: [info.vendor, info.architecture, info.description].filter(Boolean).join(' '),
          features: [...(adapter?.features ?? [])],
        }
      : null,
  ),
);

/** @param {GPUAdapterInfo} info */
function textOf({ vendor, architecture, device, description }) {
  return [vendor, architecture, device, description];
}
