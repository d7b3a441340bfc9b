// Other libraries that do the same work, where they are installed in bench/peers. They are described by what is used of them, so that
// nothing of tensorloom depends on them.
import type { Contestant } from './harness.ts';
import { type Jax, openJax } from './jax.ts';
import { openTfjs, type Tf } from './tfjs.ts';
import type { Task } from './workloads.ts';

/** A library on one device that does tasks. */
export interface Peer {
  readonly name: string;
  readonly device: 'cpu' | 'webgpu';
  make(task: Task): Contestant;
}

/** How to get at the libraries here. */
export interface Libraries {
  jax(): Promise<Jax>;
  /** With the backends for the devices registered. */
  tfjs(): Promise<Tf>;
}

export type PeerName = 'jax-js' | 'tfjs';

export const PEER_NAMES: readonly PeerName[] = ['jax-js', 'tfjs'];

/** The devices that are asked for. */
export interface PeerDevices {
  readonly webgpu: boolean;
  readonly cpu: boolean;
}

/** A library on those of the devices that it finds. */
export async function openPeer(name: PeerName, libraries: Libraries, devices: PeerDevices): Promise<Peer[]> {
  return name === 'jax-js' ? openJax(await libraries.jax(), devices) : openTfjs(await libraries.tfjs(), devices);
}

/** The peers that run here. `report` gets a line for each that does not. */
export async function openPeers(
  libraries: Libraries,
  devices: PeerDevices,
  report: (line: string) => void,
): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of PEER_NAMES) {
    try {
      peers.push(...(await openPeer(name, libraries, devices)));
    } catch (error) {
      report(`${name} does not run here: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return peers;
}
