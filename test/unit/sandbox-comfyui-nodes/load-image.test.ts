import { createHash } from 'node:crypto';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { definitionOf, NodeBench } from '../../support/node-bench.ts';

async function png(width: number, height: number): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background: { r: 10, g: 20, b: 30 } } })
    .png()
    .toBuffer();
}

async function validate(
  bench: NodeBench,
  image: unknown,
  profile: 'baseline' | 'late-2026' = 'baseline',
): Promise<unknown> {
  return definitionOf('LoadImage').validateInputs?.validate({ image }, { folders: bench.folders, profile });
}

describe('what LoadImage accepts', () => {
  it('names the missing file as the real validator does', async () => {
    await using bench = await NodeBench.open();
    expect(await validate(bench, 'nope.png')).toBe('Invalid image file: nope.png');
    expect(await validate(bench, 'sub/nope.png [output]')).toBe('Invalid image file: sub/nope.png [output]');
  });

  it('takes files of the input, output and temp folder, and of sub-folders', async () => {
    await using bench = await NodeBench.open();
    await mkdir(join(bench.folders.input, 'sub/dir'), { recursive: true });
    await writeFile(join(bench.folders.input, 'sub/dir/a.png'), await png(2, 1));
    await writeFile(join(bench.folders.output, 'b.png'), await png(3, 1));
    await writeFile(join(bench.folders.temp, 'c.png'), await png(4, 1));
    const widths: unknown[] = [];
    for (const image of ['sub/dir/a.png', 'sub/dir/a.png [input]', 'b.png [output]', 'c.png [temp]']) {
      expect(await validate(bench, image)).toBe(true);
      widths.push((await bench.run('LoadImage', { image })).outputs[0]);
    }
    expect(widths).toMatchObject([{ width: 2 }, { width: 2 }, { width: 3 }, { width: 4 }]);
  });

  it('only asks whether something exists: folders and text files pass', async () => {
    await using bench = await NodeBench.open();
    await mkdir(join(bench.folders.input, 'folder'));
    expect(await validate(bench, 'folder')).toBe(true);
  });

  it('raises AttributeError for a value that is no text', async () => {
    await using bench = await NodeBench.open();
    await expect(validate(bench, 5)).rejects.toMatchObject({
      pythonType: 'AttributeError',
      message: "'int' object has no attribute 'endswith'",
    });
  });

  it('reads outside its folder in 0.3.64 and no longer in late 2026, not even through a link', async () => {
    await using bench = await NodeBench.open();
    await writeFile(join(bench.folders.output, 'x.png'), await png(5, 1));
    await symlink(join(bench.folders.output, 'x.png'), join(bench.folders.input, 'link.png'));
    for (const image of ['../output/x.png', join(bench.folders.output, 'x.png'), 'link.png']) {
      expect(await validate(bench, image)).toBe(true);
      expect(await validate(bench, image, 'late-2026')).toBe(`Invalid image file: ${image}`);
    }
  });

  it('lists pictures of the top level of the input folder, sorted', async () => {
    await using bench = await NodeBench.open();
    await mkdir(join(bench.folders.input, 'folder.png'));
    for (const name of ['b.PNG', 'a (1).png', 'z.txt', 'Z.webp', 'noextension']) {
      await writeFile(join(bench.folders.input, name), '');
    }
    const { declaration } = definitionOf('LoadImage');
    const context = { folders: bench.folders, profile: 'baseline' } as const;
    const entry = typeof declaration === 'function' ? await declaration(context) : declaration;
    expect(entry.input.required?.['image']).toEqual([['Z.webp', 'a (1).png', 'b.PNG'], { image_upload: true }]);
  });
});

describe('when LoadImage can not read', () => {
  it.each([
    ['a folder', 'folder', 'IsADirectoryError', '[Errno 21] Is a directory: '],
    ['a file that is gone', 'gone.png', 'FileNotFoundError', '[Errno 2] No such file or directory: '],
    ['a path through a file', 'empty.png/x.png', 'NotADirectoryError', '[Errno 20] Not a directory: '],
    ['an empty file', 'empty.png', 'PIL.UnidentifiedImageError', 'cannot identify image file '],
  ])('%s raises what Python raises', async (_title, image, pythonType, text) => {
    await using bench = await NodeBench.open();
    await mkdir(join(bench.folders.input, 'folder'));
    await writeFile(join(bench.folders.input, 'empty.png'), '');
    await expect(bench.run('LoadImage', { image })).rejects.toMatchObject({
      pythonType,
      message: `${text}'${join(bench.folders.input, image)}'`,
    });
  });

  it('quotes a path the way Python does', async () => {
    await using bench = await NodeBench.open();
    await writeFile(join(bench.folders.input, "it's.png"), 'text');
    await expect(bench.run('LoadImage', { image: "it's.png" })).rejects.toThrow(
      `cannot identify image file "${bench.folders.input}/it's.png"`,
    );
  });

  it('refuses a picture with more pixels than Pillow allows', async () => {
    await using bench = await NodeBench.open();
    const huge = Buffer.from(await png(1, 1));
    huge.writeUInt32BE(20_000, 16);
    huge.writeUInt32BE(20_000, 20);
    await writeFile(join(bench.folders.input, 'huge.png'), huge);
    await expect(bench.run('LoadImage', { image: 'huge.png' })).rejects.toMatchObject({
      pythonType: 'PIL.Image.DecompressionBombError',
    });
  });
});

describe('the change marker of LoadImage', () => {
  it("is the hash of the file's bytes", async () => {
    await using bench = await NodeBench.open();
    const path = join(bench.folders.input, 'a.png');
    await writeFile(path, await png(2, 2));
    const context = { folders: bench.folders, profile: 'baseline' } as const;
    const marker = await definitionOf('LoadImage').isChanged?.({ image: 'a.png' }, context);
    expect(marker).toBe(
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    );
    await expect(definitionOf('LoadImage').isChanged?.({ image: 'b.png' }, context)).rejects.toMatchObject({
      pythonType: 'FileNotFoundError',
    });
  });
});
