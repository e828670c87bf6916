/** The image does what it is for: it boots, takes a job of the public API, and keeps to itself. */
import { resolve } from 'node:path';
import { DockerComposeEnvironment, Wait } from 'testcontainers';
import { describe, expect, it } from 'vitest';
import { createClient } from '../../client/index.ts';
import { afterThisTest, image, noEngine, runImage, startEndpoint } from './support/container-bench.ts';
import { runInvertJob } from './support/jobs.ts';

describe.skipIf(noEngine)('the image', () => {
  it('boots to a worker that asks for jobs, and is healthy', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment('pod-boot') });
    await expect
      .poll(() => endpoint.emulator.inspect.workers().map(({ id }) => id), { timeout: 30_000 })
      .toEqual(['pod-boot']);
    await expect.poll(() => endpoint.emulator.inspect.workers()[0]?.heldTakes, { timeout: 30_000 }).toBe(1);
    await expect.poll(() => worker.health(), { timeout: 30_000 }).toBe('healthy');
  });

  it('runs a job that the real client submits, and erases what the job left', async () => {
    const endpoint = await startEndpoint();
    await runImage({ environment: endpoint.workerEnvironment() });
    const receipt = await runInvertJob(endpoint.client, [200, 30, 90]);
    expect(receipt.wipe).toMatchObject({ mode: 'wiped', verified: true, kept: [] });
  });

  it.each([
    ['for tests, with a read-only root and no capabilities', 'compose.test.yml'],
    ['for people', 'compose.yml'],
  ])('comes up with an emulated endpoint from the compose file %s', async (_what, file) => {
    const compose = await new DockerComposeEnvironment(resolve('docker'), file)
      .withEnvironment({ COMFY_RUNPOD_IMAGE: image, BASE_IMAGE: 'not-built-here', RUNPOD_PORT: '0' })
      .withDefaultWaitStrategy(Wait.forHealthCheck())
      .up();
    afterThisTest(() => compose.down({ removeVolumes: true }));
    const port = compose.getContainer('runpod-1').getMappedPort(8000);
    const client = createClient({
      apiKey: 'sandbox',
      endpointId: 'ep1',
      baseUrl: `http://127.0.0.1:${port}/v2`,
      pollIntervalMs: 500,
    });
    afterThisTest(() => client.close());
    const receipt = await runInvertJob(client, [10, 220, 130]);
    expect(receipt.wipe).toMatchObject({ mode: 'wiped', verified: true });
  });
});
