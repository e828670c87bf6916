/** The container as RunPod treats it: stopped in the middle of a job, given little shared memory, a read-only root or another user. */
import { describe, expect, it } from 'vitest';
import { envelopeOf, noEngine, type RunningContainer, runImage, startEndpoint } from './support/container-bench.ts';
import { expectInverted, invertJob, runInvertJob } from './support/jobs.ts';

const mebibyte = 2 ** 20;

async function comfyPids(worker: RunningContainer): Promise<string[]> {
  const output = await worker.shell("grep -l 'main\\.py' /proc/[0-9]*/cmdline 2>/dev/null || true");
  const lines = output.split('\n').map((line) => /^\/proc\/(\d+)\//.exec(line)?.[1] ?? '');
  // The grep that looks for it names it as well.
  const alive = await Promise.all(
    lines
      .filter(Boolean)
      .map(async (pid) => ((await worker.exec('test', '-e', `/proc/${pid}/cmdline`)).exitCode === 0 ? pid : '')),
  );
  return alive.filter(Boolean);
}

describe.skipIf(noEngine)('a worker in its container', () => {
  it('gets ComfyUI back when it is killed, and the next job works', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    await runInvertJob(endpoint.client, [5, 10, 15]);
    const [before] = await comfyPids(worker);
    expect(before).toBeDefined();
    await worker.shell(`kill -9 ${before}`);
    await runInvertJob(endpoint.client, [50, 100, 150]);
    expect(await comfyPids(worker)).not.toContain(before);
  });

  it('finishes the job at hand when it is told to stop, posts the result, and ends with code 0 within the grace period', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    const job = await endpoint.client.submit(await invertJob([77, 88, 99], 60));
    await expect.poll(() => comfyPids(worker), { timeout: 30_000 }).toHaveLength(1);
    await expect.poll(() => endpoint.emulator.inspect.job(job.id)?.status, { timeout: 30_000 }).toBe('IN_PROGRESS');
    const stopping = worker.container.stop({ timeout: 30_000, remove: false });
    const { artifacts } = envelopeOf(await job.wait());
    await expectInverted(artifacts[0], [77, 88, 99]);
    await stopping;
    expect(await worker.exitCode()).toBe(0);
    expect(worker.log()).toContain('SIGTERM');
  });

  it('works with the 64 MB of shared memory that plain Docker gives, on a private folder, and says so', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment(), sharedMemoryBytes: 64 * mebibyte });
    const receipt = await runInvertJob(endpoint.client, [9, 8, 7]);
    expect(receipt.wipe).toMatchObject({ mode: 'wiped', verified: true, kept: [] });
    expect(worker.log()).toMatch(/WORKSPACE_DIR has only \d+ MiB free/);
    expect((await worker.shell('stat -c %a /tmp/comfy-runpod')).trim()).toBe('700');
    expect((await worker.shell('cd /tmp/comfy-runpod && find input output temp -type f | wc -l')).trim()).toBe('0');
  });

  it('runs under any user id on a read-only root, with tmpfs for what must be written', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({
      environment: endpoint.workerEnvironment(),
      user: '4242:4242',
      readOnlyRoot: true,
      tmpfs: { '/tmp': 'rw,mode=1777', '/run': 'rw,mode=1777' },
    });
    await runInvertJob(endpoint.client, [200, 201, 202]);
    expect((await worker.shell('id -u')).trim()).toBe('4242');
    expect((await worker.exec('sh', '-c', 'touch /opt/comfy-runpod/x')).output).toMatch(/Read-only file system/);
  });

  it('lets nobody but itself reach ComfyUI: its port listens on loopback', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    await runInvertJob(endpoint.client, [1, 1, 1]);
    const other = await runImage({ command: ['sleep', '120'] });
    const ask = (host: string) =>
      `fetch('http://${host}:8188/system_stats').then((a) => console.log(a.status), (e) => console.log(e.cause?.code))`;
    expect((await worker.exec('node', '-e', ask('127.0.0.1'))).output.trim()).toBe('200');
    expect((await worker.exec('node', '-e', ask(await worker.address()))).output.trim()).toBe('ECONNREFUSED');
    expect((await other.exec('node', '-e', ask(await worker.address()))).output.trim()).toBe('ECONNREFUSED');
  });

  it.each([
    ['PREFETCH', 'perhaps'],
    ['COMFY_PORT', '99999'],
    ['RUNPOD_WEBHOOK_GET_JOB', 'not an address'],
  ])('ends with code 2 and a sentence that names %s when it is wrong', async (name, value) => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: { ...endpoint.workerEnvironment(), [name]: value } });
    expect(await worker.exitCode()).toBe(2);
    const lines = worker.log().trim().split('\n');
    const last = lines.at(-1) ?? '';
    expect(last).toContain(name);
    expect(last).toContain('CONFIG_INVALID');
    expect(last).not.toContain(value);
    expect(endpoint.emulator.inspect.requestsSeen('job-take')).toEqual([]);
  });

  it('ends with code 20 where there is no GPU and none was waived, with the reason in the last line', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: { ...endpoint.workerEnvironment(), ALLOW_CPU: '0' } });
    expect(await worker.exitCode()).toBe(20);
    const last = worker.log().trim().split('\n').at(-1) ?? '';
    expect(last).toContain('GPU_MISSING');
    expect(last).toContain('ALLOW_CPU=1');
  });
});
