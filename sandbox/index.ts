/** The sandbox: stand-ins for both clouds, for tests and for trying things out without spending anything. */
export { startComfyStandIn } from './comfyui/index.ts';
export { startRunpodEmulator } from './runpod/index.ts';
