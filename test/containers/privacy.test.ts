/** What a job wrote in the container: on the memory file system only, and not readable afterwards by any way that root has. */
import { describe, expect, it } from 'vitest';
import { envelopeOf, noEngine, runImage, startEndpoint } from './support/container-bench.ts';
import { expectInverted, invertJob, runInvertJob } from './support/jobs.ts';

/** Gives every file of a job a second name, as soon as it appears: what that name shows later is what became of the file's bytes. */
const keepEveryFile = `mkdir -p /dev/shm/kept; cd /dev/shm/comfy-runpod
while [ ! -e /dev/shm/enough ]; do
  for file in $(find input output temp -type f 2>/dev/null); do
    name=/dev/shm/kept/$(stat -c %i "$file" 2>/dev/null)
    [ -e "$name" ] || ln "$file" "$name" 2>/dev/null
  done
done`;

describe.skipIf(noEngine)('what a job leaves in the container', () => {
  it('is on a RAM disk while it runs, and is gone from it when the result is there', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    const job = await endpoint.client.submit(await invertJob([120, 40, 200], 30));
    const files = () => worker.shell('cd /dev/shm/comfy-runpod && find input output temp -type f | wc -l');
    await expect.poll(async () => Number(await files().catch(() => '0')), { timeout: 30_000 }).toBeGreaterThan(0);
    expect((await worker.shell('stat -f -c %T /dev/shm/comfy-runpod/input')).trim()).toBe('tmpfs');
    expect((await worker.shell('stat -c %a /dev/shm/comfy-runpod/input')).trim()).toBe('700');
    envelopeOf(await job.wait());
    expect((await files()).trim()).toBe('0');
    // Nor did it write anywhere else: nothing on the container's own layer is newer than the worker, logs of sshd aside.
    expect(
      await worker.shell(
        'find / -xdev -type f -newer /proc/1/cmdline 2>/dev/null | grep -v -e ^/proc -e ^/sys || true',
      ),
    ).toBe('');
  });

  it('reads as overwritten through a second name of the same file: the bytes are gone from the memory file system', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    await runInvertJob(endpoint.client, [1, 2, 3]);
    const watching = worker.exec('sh', '-c', keepEveryFile);
    const job = await endpoint.client.submit({
      workflow: {
        '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
        '2': { class_type: 'ImageInvert', inputs: { image: ['1', 0] } },
        '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'early' } },
        '4': { class_type: 'SandboxSleep', inputs: { value: ['2', 0], steps: 40, step_ms: 50 } },
        '5': { class_type: 'SaveImage', inputs: { images: ['4', 0], filename_prefix: 'late' } },
      },
      files: (await invertJob([250, 100, 50])).files,
    });
    const { artifacts, receipt } = envelopeOf(await job.wait());
    await worker.shell('touch /dev/shm/enough');
    await watching;
    expect(artifacts).toHaveLength(2);
    for (const artifact of artifacts) await expectInverted(artifact, [250, 100, 50]);
    expect(receipt.wipe).toMatchObject({ mode: 'wiped', verified: true });
    // The input and at least the early picture were caught while they were there.
    const kept = Number(await worker.shell('find /dev/shm/kept -type f -size +0 | wc -l'));
    expect(kept).toBeGreaterThanOrEqual(2);
    const readable = await worker.shell('grep -rlaP "\\x89PNG|IHDR|IDAT" /dev/shm || true');
    expect(readable).toBe('');
  });
});
