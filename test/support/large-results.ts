// Jobs whose results don't fit into RunPod's answer: noise can't be compressed, so that sizes are known in advance.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { onTestFinished } from 'vitest';
import type { Artifact, JobInputWire } from '../../shared/index.ts';
import { startWholeStack, type WholeStack, type WholeStackOptions } from './whole-stack.ts';

/** A PNG of noise, `side` pixels square: about 3 bytes a pixel. */
export function noisePng(side: number): Promise<Buffer> {
  const raw = { width: side, height: side, channels: 3 as const };
  return sharp(randomBytes(side * side * 3), { raw })
    .png()
    .toBuffer();
}

/** A job that gives a noise picture of about `side * side * 3` bytes back `times` times. */
export async function noiseJob(side: number, times: number, more: Partial<JobInputWire> = {}): Promise<JobInputWire> {
  return {
    workflow: {
      '1': { class_type: 'LoadImage', inputs: { image: 'noise.png' } },
      '2': { class_type: 'RepeatImageBatch', inputs: { image: ['1', 0], amount: times } },
      '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'noise' } },
    },
    files: [{ name: 'noise.png', data: (await noisePng(side)).toString('base64') }],
    ...more,
  };
}

/** Pixels of a job's picture. */
export async function pixelHash(bytes: Buffer): Promise<string> {
  return createHash('sha256')
    .update(await sharp(bytes).raw().toBuffer())
    .digest('hex');
}

/** Pixels of the picture that a {@link noiseJob} sends. */
export function sentPixels(job: JobInputWire): Promise<string> {
  const [file] = job.files ?? [];
  if (!file || !('data' in file) || typeof file.data !== 'string') throw new Error('the job sends no picture');
  return pixelHash(Buffer.from(file.data, 'base64'));
}

/** The chain with one worker, gone after the test. */
export async function stackForThisTest(options: Partial<WholeStackOptions> = {}): Promise<WholeStack> {
  const stack = await startWholeStack({ workers: 1, ...options });
  onTestFinished(() => stack.close());
  return stack;
}

/** An empty folder, gone after the test. */
export async function folderForThisTest(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'comfy-runpod-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** How each artifact travelled. */
export function ways(artifacts: readonly Artifact[]): readonly string[] {
  return artifacts.map(({ delivery }) => delivery.via);
}
