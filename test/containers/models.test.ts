/** Models in a container: downloaded from a web server that breaks off, and linked from the host's cache. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelServer, safetensors, sha256 } from '../support/model-server.ts';
import { afterThisTest, noEngine, onBridge, runImage, startEndpoint } from './support/container-bench.ts';
import { runInvertJob } from './support/jobs.ts';

const mebibyte = 2 ** 20;

/** A folder of this machine for a container's mounts, gone after the test. */
async function hostFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'volume-'));
  await chmod(folder, 0o755);
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe.skipIf(noEngine)('models of a container', () => {
  it('are downloaded, and go on where a broken connection ended', async () => {
    const model = safetensors(48 * mebibyte);
    const server = await ModelServer.start();
    server.files.set('/files/big.safetensors', model);
    let cut: number | undefined;
    server.misbehave = (request, response) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      if (cut !== undefined || range === null || Number(range[2]) - Number(range[1]) < mebibyte) return false;
      const [start, end] = [Number(range[1]), Math.min(Number(range[2]), model.length - 1)];
      cut = start + mebibyte;
      response.writeHead(206, {
        etag: `"${sha256(model)}"`,
        'content-length': end - start + 1,
        'content-range': `bytes ${start}-${end}/${model.length}`,
      });
      response.write(model.subarray(start, cut), () => response.destroy());
      return true;
    };
    const folder = await hostFolder();
    const address = `${await onBridge(Number(new URL(server.url).port))}/files/big.safetensors`;
    const manifest = `version: 1\nmodels:\n  - folder: loras\n    url: ${address}\n    sha256: ${sha256(model)}\n`;
    await writeFile(path.join(folder, 'models.yaml'), manifest);
    const endpoint = await startEndpoint();
    const worker = await runImage({
      environment: { ...endpoint.workerEnvironment(), MODELS_MANIFEST: '/config/models.yaml' },
      mounts: [{ source: folder, target: '/config', mode: 'ro' }],
    });
    await expect.poll(() => worker.log(), { timeout: 60_000 }).toMatch(/"stage":"models".*1 downloaded/);
    const there = await worker.shell('sha256sum /opt/ComfyUI/models/loras/big.safetensors');
    expect(there.split(' ')[0]).toBe(sha256(model));
    expect(cut).toBeDefined();
    const starts = server.ranged().map((range) => Number(/^bytes=(\d+)-/.exec(range)?.[1]));
    expect(starts.some((start) => start > 0 && start <= (cut ?? 0))).toBe(true);
    expect(starts.filter((start) => start === 0).length).toBe(1);
    await runInvertJob(endpoint.client, [3, 2, 1]);
  });

  it('are fetched by the command that is in the image, for images that have them baked in', async () => {
    const model = safetensors(mebibyte);
    const server = await ModelServer.start();
    server.files.set('/files/small.safetensors', model);
    const address = `${await onBridge(Number(new URL(server.url).port))}/files/small.safetensors`;
    const folder = await hostFolder();
    const manifest = `version: 1\nmodels:\n  - folder: loras\n    url: ${address}\n    sha256: ${sha256(model)}\n`;
    await writeFile(path.join(folder, 'models.lock.yaml'), manifest);
    const container = await runImage({
      command: ['sleep', '120'],
      mounts: [{ source: folder, target: '/config', mode: 'ro' }],
    });
    await container.shell('comfy-runpod models pull /config/models.lock.yaml --into /opt/ComfyUI/models');
    const there = await container.shell('sha256sum /opt/ComfyUI/models/loras/small.safetensors');
    expect(there.split(' ')[0]).toBe(sha256(model));
  });

  it('are linked from the host cache of the platform, which costs no space and no download', async () => {
    const model = safetensors(5 * mebibyte);
    const volume = await hostFolder();
    const commit = 'c'.repeat(40);
    const repository = path.join(volume, 'huggingface-cache/hub/models--maker--pack');
    const snapshot = path.join(repository, 'snapshots', commit);
    await Promise.all(['blobs', 'refs'].map((name) => mkdir(path.join(repository, name), { recursive: true })));
    await mkdir(snapshot, { recursive: true });
    await writeFile(path.join(repository, 'blobs', sha256(model)), model);
    await symlink(`../../blobs/${sha256(model)}`, path.join(snapshot, 'a.safetensors'));
    await writeFile(path.join(repository, 'refs/main'), commit);
    const endpoint = await startEndpoint();
    const worker = await runImage({
      environment: { ...endpoint.workerEnvironment(), MODELS: 'maker/pack:a.safetensors:checkpoints' },
      mounts: [{ source: volume, target: '/runpod-volume', mode: 'ro' }],
    });
    await expect.poll(() => worker.log(), { timeout: 60_000 }).toMatch(/"stage":"models".*1 host-cache/);
    const link = (await worker.shell('readlink /opt/ComfyUI/models/checkpoints/a.safetensors')).trim();
    expect(link).toBe(`/runpod-volume/huggingface-cache/hub/models--maker--pack/snapshots/${commit}/a.safetensors`);
    const there = await worker.shell('sha256sum /opt/ComfyUI/models/checkpoints/a.safetensors');
    expect(there.split(' ')[0]).toBe(sha256(model));
  });

  it('stop the start when a required one can not be had: exit code 22, and the last line says which and why', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({
      environment: {
        ...endpoint.workerEnvironment(),
        MODELS: 'maker/pack:gone.safetensors:loras',
        HF_HUB_OFFLINE: '1',
      },
    });
    expect(await worker.exitCode()).toBe(22);
    expect(worker.log().trim().split('\n').at(-1)).toContain('loras/gone.safetensors');
  });
});
