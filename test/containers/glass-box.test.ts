/** Looking into the container: what it tells about itself, and RunPod's API in the same container. */
import { describe, expect, it } from 'vitest';
import { createClient } from '../../client/index.ts';
import { afterThisTest, noEngine, runImage, startEndpoint } from './support/container-bench.ts';
import { runInvertJob } from './support/jobs.ts';

describe.skipIf(noEngine)('the glass box', () => {
  it('tells inside the container what runs, what the last jobs were and which versions there are', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    await runInvertJob(endpoint.client, [33, 66, 99]);
    const result = await worker.exec('comfy-runpod-inspect', '--json');
    expect(result.exitCode).toBe(0);
    const { inspection } = JSON.parse(result.stdout) as { inspection: Record<string, unknown> };
    expect(inspection).toMatchObject({ mode: 'worker' });
    expect(inspection['jobs']).toMatchObject({ running: [], ended: [{ outcome: 'completed' }] });
    expect(JSON.stringify(inspection)).not.toMatch(/iVBORw0KGgo|in\.png|inverted/);
    const text = await worker.shell('comfy-runpod-inspect');
    expect(text).toContain('ComfyUI');
  });

  it("answers RunPod's API in the same container, for local tests", async () => {
    const worker = await runImage({
      environment: { SERVE_API_LOCALLY: 'true', LOCAL_API_HOST: '0.0.0.0', ALLOW_CPU: '1' },
      ports: [8000],
    });
    const client = createClient({
      apiKey: 'sandbox',
      endpointId: 'ep1',
      baseUrl: `http://127.0.0.1:${worker.container.getMappedPort(8000)}/v2`,
      pollIntervalMs: 500,
    });
    afterThisTest(() => client.close());
    await expect.poll(() => worker.log(), { timeout: 40_000 }).toContain('The worker is up.');
    const receipt = await runInvertJob(client, [200, 100, 0]);
    expect(receipt.wipe).toMatchObject({ verified: true });
  });
});
