import { join } from 'node:path';
import sharp from 'sharp';
import { expect, it } from 'vitest';
import { contactSheet } from '../../../client/batch/contact-sheet.ts';
import { useFolder } from '../../support/client-bench.ts';

async function useColours(colours: readonly string[]): Promise<string[]> {
  const folder = await useFolder();
  return Promise.all(
    colours.map(async (background, index) => {
      const path = join(folder, `${index}.png`);
      await sharp({ create: { width: 300, height: 200, channels: 3, background } })
        .png()
        .toFile(path);
      return path;
    }),
  );
}

/** Share of dark pixels in a part of the sheet: what is written there. */
async function darkness(
  sheet: Buffer,
  area: { left: number; top: number; width: number; height: number },
): Promise<number> {
  const { data } = await sharp(sheet).extract(area).greyscale().raw().toBuffer({ resolveWithObject: true });
  return data.filter((value) => value < 128).length / data.length;
}

it('a contact sheet shows every picture in its colour, in order, with its values written under it', async () => {
  const [red = '', blue = ''] = await useColours(['#ff0000', '#0000ff']);
  const cells = [
    { path: red, caption: ['seed 1', 'cfg 4'] },
    { path: blue, caption: ['seed 2', 'cfg 7'] },
    { caption: ['failed', ''] },
  ];
  const sheet = await contactSheet(cells, { columns: 3, cellPixels: 120 });
  const { width } = await sharp(sheet).metadata();
  expect(width).toBe(12 + 3 * 132);
  const colourAt = async (left: number) =>
    (await sharp(sheet).extract({ left, top: 72, width: 1, height: 1 }).raw().toBuffer()).subarray(0, 3);
  expect([...(await colourAt(72))]).toEqual([255, 0, 0]);
  expect([...(await colourAt(204))]).toEqual([0, 0, 255]);
  for (const column of [0, 1, 2]) {
    const caption = { left: 12 + column * 132, top: 132, width: 120, height: 18 };
    expect(await darkness(sheet, caption)).toBeGreaterThan(0.02);
  }
  expect(await darkness(sheet, { left: 12 + 264, top: 150, width: 120, height: 18 })).toBe(0);
});

it('a sheet of hundreds of pictures stays a picture that programs can open', async () => {
  const [path = ''] = await useColours(['#00ff00']);
  const cells = Array.from({ length: 400 }, (_, index) => ({ path, caption: [`seed ${index}`] }));
  const { width, height } = await sharp(await contactSheet(cells, { cellPixels: 2_000, columns: 20 })).metadata();
  expect(Math.max(width, height)).toBeLessThanOrEqual(16_000);
}, 60_000);
