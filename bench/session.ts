// Devices and libraries that are open in one process or page, and the timing of jobs on them.
import { provideGPU } from '../src/init.ts';
import { gpu } from '../tests/setup/devices.ts';
import { copier } from './copy.ts';
import { type Contestant, type DeviceKind, type Figure, race } from './harness.ts';
import { type Libraries, openPeers } from './peers.ts';
import { contestants, type Job, type OpenDevice, openDevice } from './workloads.ts';

/** Where jobs are timed: here, or in a browser. */
export interface Session {
  readonly devices: readonly { readonly kind: DeviceKind; readonly description: string }[];
  /** The figures of a job, none where nothing here does it. */
  time(job: Job, rounds: number): Promise<Figure[]>;
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly kinds: readonly DeviceKind[];
  /** Measure what WebGPU copies in the rounds of workloads that are bound by memory. */
  readonly copy: boolean;
}

/** Opens devices, and peers on them where there are libraries. */
export async function openSession(
  { kinds, copy }: SessionOptions,
  libraries: Libraries | null,
  report: (line: string) => void,
  progress: (text: string) => void,
): Promise<Session> {
  const [cpu, webgpu] = [kinds.includes('cpu'), kinds.includes('webgpu')];
  const entry = webgpu ? await gpu() : null;
  provideGPU(async () => entry);
  const devices: OpenDevice[] = [];
  for (const kind of kinds) devices.push(await openDevice(kind));
  const peers = libraries ? await openPeers(libraries, { cpu, webgpu }, report) : [];
  return {
    devices: devices.map(({ kind, fused }) => ({ kind, description: fused.description })),
    time(job, rounds) {
      const here = !job.without.includes('webgpu') && entry;
      const makers: (() => Contestant | Promise<Contestant>)[] = [
        ...contestants(job, devices),
        ...peers
          .filter((peer) => !job.without.includes(peer.device))
          .map((peer) => async () => {
            const contestant = peer.make(job.task);
            await contestant.enter?.();
            return contestant;
          }),
        ...(copy && here && job.bytes ? [() => copier(here, job.bytes!)] : []),
      ];
      return makers.length === 0 ? Promise.resolve([]) : race({ ...job, contestants: makers }, { rounds, progress });
    },
    async close() {
      for (const { fused, unfused } of devices) {
        fused.destroy();
        unfused.destroy();
      }
    },
  };
}
