import { DeviceError, type TensorloomError } from '../../core/errors.ts';
import { COMPUTE, type Counters } from './constants.ts';
import { guarded } from './scopes.ts';
import type { Param, Shader } from './wgsl/module.ts';

export type Constants = Readonly<Record<string, number>>;

/** Dynamic offsets of uniform buffers are multiples of this. */
const UNIFORM_STEP = 256;

interface Layout {
  readonly id: number;
  readonly bindGroup: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

export interface Pipeline {
  readonly layout: Layout;
  readonly params: readonly Param[];
  /** Bytes of its params in the uniform arena, whole steps. */
  readonly uniformBytes: number;
  readonly checked: boolean;
  /** Until it is compiled. */
  ready: Promise<void> | undefined;
  gpu: GPUComputePipeline | undefined;
  error: TensorloomError | undefined;
  /** It was dispatched before: another dispatch needs no error scope of its own. */
  proven: boolean;
}

const numbered = (source: string): string =>
  source
    .split('\n')
    .map((line, i) => `${String(i + 1).padStart(4)} | ${line}`)
    .join('\n');

/** Pipelines by the key of what they compute and the values of their override constants; compiled in the background. */
export class Pipelines {
  private readonly pipelines = new Map<string, Pipeline>();
  private readonly layouts = new Map<string, Layout>();

  constructor(
    private readonly device: GPUDevice,
    private readonly counters: Counters,
  ) {}

  get(key: string, constants: Constants, shader: () => Shader): Pipeline {
    const full = `${key}|${Object.values(constants).join(' ')}`;
    let pipeline = this.pipelines.get(full);
    if (!pipeline) {
      pipeline = this.compile(shader(), constants);
      this.pipelines.set(full, pipeline);
    }
    return pipeline;
  }

  private compile({ source, params, bindings, checked }: Shader, constants: Constants): Pipeline {
    const { device } = this;
    const uniformBytes = Math.ceil(Math.max(params.length * 4, 1) / UNIFORM_STEP) * UNIFORM_STEP;
    this.counters.pipelines++;
    const made = guarded(device, 'making a shader', () => {
      const layout = this.layout(bindings, uniformBytes);
      const module = device.createShaderModule({ code: source });
      return { layout, module };
    });
    const { layout, module } = made.value;
    const pipeline: Pipeline = {
      layout,
      params,
      uniformBytes,
      checked,
      ready: undefined,
      proven: false,
      gpu: undefined,
      error: undefined,
    };
    const compiled = device.createComputePipelineAsync({
      layout: layout.pipeline,
      compute: { module, entryPoint: 'main', constants: constants as Record<string, number> },
    });
    pipeline.ready = Promise.all([made.error, compiled])
      .then(
        ([error, gpu]) => {
          pipeline.gpu = gpu;
          pipeline.error = error;
        },
        async (reason: unknown) => {
          const info = await module.getCompilationInfo().catch(() => undefined);
          const messages = info?.messages.map((m) => `line ${m.lineNum}: ${m.message}`) ?? [];
          const text =
            messages.length > 0 ? messages.join('; ') : reason instanceof Error ? reason.message : String(reason);
          pipeline.error = new DeviceError(`the shader does not compile: ${text}\n${numbered(source)}`);
        },
      )
      .then(() => {
        pipeline.ready = undefined;
      });
    return pipeline;
  }

  private layout(bindings: Shader['bindings'], uniformBytes: number): Layout {
    const key = `${bindings.join(' ')} ${uniformBytes}`;
    const known = this.layouts.get(key);
    if (known) return known;
    const entries: GPUBindGroupLayoutEntry[] = bindings.map((access, binding) => ({
      binding,
      visibility: COMPUTE,
      buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
    }));
    entries.push({
      binding: bindings.length,
      visibility: COMPUTE,
      buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: uniformBytes },
    });
    const bindGroup = this.device.createBindGroupLayout({ entries });
    const pipeline = this.device.createPipelineLayout({ bindGroupLayouts: [bindGroup] });
    const layout: Layout = { id: this.layouts.size, bindGroup, pipeline };
    this.layouts.set(key, layout);
    return layout;
  }
}
