/** The stages of a start that are neither models nor ComfyUI. worker/compose.ts puts all of them together. */
export { describeGpus, probeGpu } from './gpu-probe.ts';
export { type SshServer, startSshServer } from './ssh-server.ts';
