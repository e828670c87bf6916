// Jobs for the container tests, and what must come back.
import sharp from 'sharp';
import { expect } from 'vitest';
import type { Client } from '../../../client/index.ts';
import { envelopeOf } from './container-bench.ts';

const side = 64;

/** A picture of one colour, as PNG. */
export async function pictureOf(red: number, green: number, blue: number): Promise<Buffer> {
  const background = { r: red, g: green, b: blue };
  return sharp({ create: { width: side, height: side, channels: 3, background } })
    .png()
    .toBuffer();
}

/** Input of a job that inverts a picture of this colour; with `steps`, it takes that many steps of 50 ms longer. */
export async function invertJob(colour: readonly [number, number, number], steps = 0) {
  const picture = await pictureOf(...colour);
  return {
    workflow: {
      '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
      '2': { class_type: 'SandboxSleep', inputs: { value: ['1', 0], steps, step_ms: 50 } },
      '3': { class_type: 'ImageInvert', inputs: { image: ['2', 0] } },
      '4': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'inverted' } },
    },
    files: [{ name: 'in.png', data: picture.toString('base64') }],
  };
}

/** Runs such a job to its end and checks the picture that came back; answers the receipt. */
export async function runInvertJob(client: Client, colour: readonly [number, number, number]) {
  const job = await client.submit(await invertJob(colour));
  const { artifacts, receipt } = envelopeOf(await job.wait());
  expect(artifacts).toHaveLength(1);
  await expectInverted(artifacts[0], colour);
  return receipt;
}

/** The artifact is the inverse of the colour. */
export async function expectInverted(
  artifact: { readonly delivery: { readonly via: string } } | undefined,
  colour: readonly [number, number, number],
): Promise<void> {
  const delivery = artifact?.delivery as { via: string; data?: string } | undefined;
  expect(delivery?.via).toBe('inline');
  const raw = await sharp(Buffer.from(delivery?.data ?? '', 'base64'))
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect([raw.info.width, raw.info.height]).toEqual([side, side]);
  // Saving truncates, so a channel may be one below.
  for (const [channel, value] of colour.entries()) {
    expect(Math.abs(255 - value - (raw.data[channel] ?? -9))).toBeLessThanOrEqual(1);
  }
}
