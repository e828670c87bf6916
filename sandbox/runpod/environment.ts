// The variables that point RunPod's own tools, and ours, at an emulator (RunPod protocol notes §1.1, §2.2, appendix B).

/** A worker to be started against an emulated endpoint. */
export interface WorkerIdentity {
  readonly endpointId: string;
  readonly podId: string;
  /** Shows up in the `gpu` query of every worker URL. */
  readonly gpu?: string;
}

/**
 * Environment of a worker process. The `$ID` and `$RUNPOD_POD_ID` in the URLs are meant literally: the worker fills them in,
 * so nothing on the way (a shell, a compose file) may.
 */
export function workerEnvironment(
  baseUrl: string,
  worker: WorkerIdentity,
  settings: { readonly workerKey: string | null; readonly pingIntervalMs: number },
): Record<string, string> {
  const { endpointId, podId, gpu = 'LOCAL' } = worker;
  const url = `${baseUrl}/${endpointId}`;
  const query = `gpu=${encodeURIComponent(gpu).replaceAll('%20', '+')}`;
  return {
    RUNPOD_AI_API_KEY: settings.workerKey ?? 'sandbox',
    RUNPOD_POD_ID: podId,
    RUNPOD_POD_HOSTNAME: podId,
    RUNPOD_ENDPOINT_ID: endpointId,
    RUNPOD_PING_INTERVAL: String(settings.pingIntervalMs),
    RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?${query}`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/job-done/$RUNPOD_POD_ID/$ID?${query}`,
    RUNPOD_WEBHOOK_POST_STREAM: `${url}/job-stream/$RUNPOD_POD_ID/$ID?${query}`,
    RUNPOD_WEBHOOK_PING: `${url}/ping/$RUNPOD_POD_ID?${query}`,
    RUNPOD_SKIP_AUTO_SYSTEM_CHECKS: 'true',
    RUNPOD_SKIP_GPU_CHECK: 'true',
  };
}

/** Environment of a client: every override that RunPod's tools read, and the key. */
export function clientEnvironment(baseUrl: string, endpointId: string, apiKey: string | null): Record<string, string> {
  return {
    RUNPOD_API_KEY: apiKey ?? 'sandbox',
    RUNPOD_ENDPOINT_ID: endpointId,
    RUNPOD_BASE_URL: baseUrl,
    RUNPOD_ENDPOINT_BASE_URL: baseUrl,
    RUNPOD_INVOKE_URL: baseUrl,
    RUNPOD_SERVERLESS_API_URL: baseUrl,
  };
}
