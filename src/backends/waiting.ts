type Attend = (promise: Promise<unknown>) => void;

/** What the platform does while the GPU is waited for; a page's event loop sleeps by itself. */
export let attend: Attend = () => {};

/** @internal Has the platform told of each promise of the GPU's that is waited for. */
export function provideWaiting(provided: Attend): void {
  attend = provided;
}
