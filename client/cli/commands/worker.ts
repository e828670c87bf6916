/** `worker`: what the container image starts. The sandbox is loaded only for SERVE_API_LOCALLY, so that asking for jobs begins at once. */
import { ComfyRunpodError } from '../../../shared/core.ts';
import { type LocalApi, type LocalApiAddress, runWorkerProcess } from '../../../worker/index.ts';
import type { Environment } from '../../config.ts';

/** Runs the worker. Signals, log and exit code are the worker's own business. */
export function workerCommand(environment: Environment): Promise<number> {
  return runWorkerProcess(environment, { openApi });
}

async function openApi({ host, port }: LocalApiAddress): Promise<LocalApi> {
  const { startRunpodEmulator } = await import('../../../sandbox/runpod/index.ts');
  try {
    const emulator = await startRunpodEmulator({ host, port });
    const endpointId = emulator.endpointIds[0] ?? '';
    // The worker beside it reaches it over loopback, whatever else it listens on.
    const loopback = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
    const local = new URL(emulator.baseUrl);
    const base = emulator.baseUrl.replace(local.host, `${loopback}:${local.port}`);
    const worker = emulator.workerEnvironment({ endpointId, podId: 'local' });
    const reachable = Object.entries(worker).map(([name, value]) => [name, value.replace(emulator.baseUrl, base)]);
    return { url: `${base}/${endpointId}`, environment: Object.fromEntries(reachable), close: () => emulator.close() };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ComfyRunpodError('CONFIG_INVALID', `The local API can't listen on port ${port} of ${host} (${code}).`, {
      cause: error,
      nextStep: 'Choose another LOCAL_API_PORT or LOCAL_API_HOST.',
    });
  }
}
