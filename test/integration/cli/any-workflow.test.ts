// Commands take a workflow in either format, from a file, a pipe, or the picture, sound or video that it made.
import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadWorkflow } from '../../../client/index.ts';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, startCommand, useFolder } from '../../support/client-bench.ts';

const embedded = fileURLToPath(new URL('../../fixtures/workflows/embedded', import.meta.url));

/** As the editor saves it: a blue picture of 24 x 16 pixels through a reroute, a muted preview, a note. */
const editorWorkflow = {
  version: 0.4,
  nodes: [
    {
      id: 1,
      type: 'EmptyImage',
      mode: 0,
      outputs: [{ name: 'IMAGE', type: 'IMAGE', links: [1] }],
      widgets_values: [24, 16, 1, 255],
    },
    {
      id: 2,
      type: 'Reroute',
      mode: 0,
      inputs: [{ name: '', type: '*', link: 1 }],
      outputs: [{ name: '', type: 'IMAGE', links: [2, 3] }],
    },
    {
      id: 3,
      type: 'SaveImage',
      title: 'Blue',
      mode: 0,
      inputs: [{ name: 'images', type: 'IMAGE', link: 2 }],
      widgets_values: ['blue'],
    },
    { id: 4, type: 'PreviewImage', mode: 2, inputs: [{ name: 'images', type: 'IMAGE', link: 3 }] },
    { id: 5, type: 'Note', mode: 0, widgets_values: ['a note'] },
  ],
  links: [
    [1, 1, 0, 2, 0, 'IMAGE'],
    [2, 2, 0, 3, 0, 'IMAGE'],
    [3, 2, 0, 4, 0, 'IMAGE'],
  ],
};

async function useEditorFile(): Promise<string> {
  const folder = await useFolder();
  await writeFile(join(folder, 'editor.json'), JSON.stringify(editorWorkflow));
  return folder;
}

async function* pieces(text: string) {
  yield text.slice(0, 10);
  yield Buffer.from(text.slice(10));
}

describe('run takes', () => {
  it("the editor's save format, and says by what it was converted", async () => {
    const folder = await useEditorFile();
    const outcome = await runCommandLine(['run', 'editor.json'], { folder });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: './results/blue_00001_.png\n' });
    expect(outcome.stderr).toMatch(
      /^workflow {2}converted from the editor's format by the ComfyUI at 127\.0\.0\.1:\d+$/m,
    );
  });

  it('a workflow from standard input, in either format', async () => {
    const folder = await useFolder();
    const api = {
      '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
      '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'piped' } },
    };
    for (const [document, name] of [
      [editorWorkflow, 'blue'],
      [api, 'piped'],
    ] as const) {
      const outcome = await runCommandLine(['run', '-'], { folder, stdin: pieces(JSON.stringify(document)) });
      expect(outcome).toMatchObject({ exitCode: 0, stdout: `./results/${name}_00001_.png\n` });
    }
  });

  it('a picture that ComfyUI saved: the graph that made it runs again', async () => {
    const folder = await useFolder();
    await cp(join(embedded, 'save-image.png'), join(folder, 'picture.png'));
    const outcome = await runCommandLine(['run', 'picture.png'], { folder });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: './results/fx/png_00001_.png\n' });
    expect(outcome.stderr).toContain('workflow  embedded in the PNG file');
  });

  it('no picture without a workflow, and says what may have removed it', async () => {
    const folder = await useFolder();
    await cp(fileURLToPath(new URL('../../../examples/picture.png', import.meta.url)), join(folder, 'picture.png'));
    const outcome = await runCommandLine(['run', 'picture.png'], { folder });
    expect(outcome).toMatchObject({ exitCode: exitCodes.input, stdout: '' });
    expect(outcome.stderr).toContain(
      'error WORKFLOW_NOT_EMBEDDED: The workflow "picture.png" is a PNG file without a workflow in it.',
    );
  });
});

describe('reading standard input', () => {
  it('is left at Ctrl-C, though nothing ever comes', async () => {
    const folder = await useFolder();
    const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) };
    const running = startCommand(['run', '-'], { folder, stdin: never });
    // Repeated, as the command must have begun to listen first.
    const press = setInterval(() => running.press(), 50);
    try {
      expect([exitCodes.cancelled, exitCodes.interrupted]).toContain(await running.exitCode);
    } finally {
      clearInterval(press);
    }
  });

  it('that is empty is an error of its own', async () => {
    const folder = await useFolder();
    const outcome = await runCommandLine(['run', '-'], { folder, stdin: (async function* () {})() });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stderr).toContain('error FILE_EMPTY: Standard input is empty.');
  });
});

it('every kind of file that ComfyUI writes gives its workflow back, with the titles of its nodes', async () => {
  const found = [];
  for (const name of (await readdir(embedded)).toSorted()) {
    const loaded = await loadWorkflow({ path: name, folder: embedded });
    expect([...loaded.titles.values()], name).toEqual(['Grüße 保存']);
    found.push(`${name.replace(/.*\./, '')} ${loaded.media}`);
  }
  expect(new Set(found)).toEqual(
    new Set(['png PNG', 'webp WebP', 'flac FLAC', 'mp3 MP3', 'opus Ogg', 'mp4 MP4 or MOV', 'webm Matroska or WebM']),
  );
});
