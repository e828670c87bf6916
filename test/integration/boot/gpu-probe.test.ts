/** The look for a GPU, with impostors in place of nvidia-smi. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeGpus, probeGpu } from '../../../worker/boot/index.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

async function folder(): Promise<string> {
  const made = await mkdtemp(path.join(tmpdir(), 'gpu-'));
  afterThisTest(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** A program that does what the shell lines say. */
async function impostor(lines: string): Promise<string> {
  const file = path.join(await folder(), 'nvidia-smi');
  await writeFile(file, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
  return file;
}

const soon = () => AbortSignal.timeout(10_000);

describe('the GPU probe', () => {
  it('reads every GPU with its memory, driver and capability', async () => {
    const program = await impostor(`case "$*" in *--query-gpu=*csv*) ;; *) exit 1 ;; esac
echo 'NVIDIA GeForce RTX 4090, 24564, 570.86.10, 8.9'
echo 'NVIDIA L4, 23034, 570.86.10, [N/A]'`);
    const { gpus } = await probeGpu({ program, signal: soon() });
    expect(gpus).toEqual([
      { name: 'NVIDIA GeForce RTX 4090', memoryMiB: 24_564, driver: '570.86.10', capability: '8.9' },
      { name: 'NVIDIA L4', memoryMiB: 23_034, driver: '570.86.10' },
    ]);
    expect(describeGpus(gpus)).toBe(
      'NVIDIA GeForce RTX 4090, 24 GiB, compute 8.9, driver 570.86.10; NVIDIA L4, 22 GiB, driver 570.86.10',
    );
  });

  it('tells why there is none: no driver, a driver that fails, an empty list', async () => {
    const failing = await impostor(
      "echo 'NVIDIA-SMI has failed because it could not communicate with the driver.'; exit 9",
    );
    expect(await probeGpu({ program: failing, signal: soon() })).toMatchObject({
      gpus: [],
      why: expect.stringContaining('could not communicate') as string,
    });
    const empty = await impostor('exit 0');
    expect((await probeGpu({ program: empty, signal: soon() })).why).toBe('nvidia-smi lists no GPU');
    const none = { program: '/nowhere/nvidia-smi', driverFolder: '/nowhere', signal: soon() };
    expect((await probeGpu(none)).why).toBe('there is no nvidia-smi and no driver');
  });

  it('believes the driver where nvidia-smi is not installed', async () => {
    const driverFolder = await folder();
    await mkdir(path.join(driverFolder, 'gpus/0000:01:00.0'), { recursive: true });
    await writeFile(path.join(driverFolder, 'gpus/0000:01:00.0/information'), 'Model: \t\t NVIDIA A40\nIRQ: 1\n');
    const options = { program: '/nowhere/nvidia-smi', driverFolder, signal: soon() };
    expect((await probeGpu(options)).gpus).toEqual([{ name: 'NVIDIA A40' }]);
  });

  it('ends with its signal when the driver hangs', async () => {
    const program = await impostor('exec sleep 60');
    const stopping = new AbortController();
    const probing = probeGpu({ program, signal: stopping.signal });
    stopping.abort(new Error('the worker stops'));
    await expect(probing).rejects.toThrow('the worker stops');
  });
});
