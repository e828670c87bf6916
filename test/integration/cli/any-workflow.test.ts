// Commands take a workflow in either format, from a file, a pipe, or the picture, sound or video that it made.
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadObjectInfo } from '../../../client/data/load-object-info.ts';
import { loadWorkflow } from '../../../client/index.ts';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, startCommand, startFakeApi, useFolder } from '../../support/client-bench.ts';
import { compareWithRecording, emptyTally } from '../../unit/workflow/pair-comparison.ts';

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

describe('convert', () => {
  it('prints the API format and nothing else on stdout; what happened to which node is on stderr', async () => {
    const folder = await useEditorFile();
    const outcome = await runCommandLine(['convert', 'editor.json'], { folder });
    expect(outcome.exitCode).toBe(0);
    expect(JSON.parse(outcome.stdout)).toEqual({
      '1': {
        class_type: 'EmptyImage',
        inputs: { width: 24, height: 16, batch_size: 1, color: 255 },
        _meta: { title: 'EmptyImage' },
      },
      '3': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'blue' }, _meta: { title: 'Blue' } },
    });
    expect(outcome.stderr).toContain('by the classes of ComfyUI 0.3.64 that ship with comfy-runpod');
  });

  it('gives programs one document with the workflow and the report, and takes its own result again', async () => {
    const folder = await useEditorFile();
    const first = await runCommandLine(['convert', 'editor.json', '--json'], { folder });
    expect(first.stderr).toBe('');
    const document = JSON.parse(first.stdout);
    expect(document).toMatchObject({ ok: true, format: 'editor', convertedBy: { exact: false }, warnings: [] });
    expect(document.report.skipped).toContainEqual(expect.objectContaining({ node: '4', reason: 'muted' }));
    const again = await runCommandLine(['convert', '-', '--json'], {
      folder,
      stdin: pieces(JSON.stringify(document.workflow)),
    });
    expect(JSON.parse(again.stdout)).toMatchObject({ ok: true, format: 'api', workflow: document.workflow });
  });

  it('writes a new file, and replaces one only when told to', async () => {
    const folder = await useEditorFile();
    await writeFile(join(folder, 'api.json'), 'precious');
    const refused = await runCommandLine(['convert', 'editor.json', '--out', 'api.json'], { folder });
    expect(refused).toMatchObject({ exitCode: exitCodes.usage, stdout: '' });
    expect(await readFile(join(folder, 'api.json'), 'utf8')).toBe('precious');
    const forced = await runCommandLine(['convert', 'editor.json', '--out', 'api.json', '--force'], { folder });
    expect(forced).toMatchObject({ exitCode: 0, stdout: '' });
    expect(Object.keys(JSON.parse(await readFile(join(folder, 'api.json'), 'utf8')))).toEqual(['1', '3']);
  });

  it('names what it can not convert and prints nothing, or what it can with --partial', async () => {
    const folder = await useFolder();
    const lost = { id: 9, type: 'NoSuchLoader', mode: 0, widgets_values: [1, 2] };
    await writeFile(
      join(folder, 'w.json'),
      JSON.stringify({ ...editorWorkflow, nodes: [...editorWorkflow.nodes, lost] }),
    );
    const refused = await runCommandLine(['convert', 'w.json'], { folder });
    expect(refused).toMatchObject({ exitCode: exitCodes.input, stdout: '' });
    expect(refused.stderr).toContain('error WORKFLOW_NOT_CONVERTED: 1 node');
    const partial = await runCommandLine(['convert', 'w.json', '--partial'], { folder });
    expect(partial.exitCode).toBe(0);
    expect(Object.keys(JSON.parse(partial.stdout))).toEqual(['1', '3', '9']);
    expect(partial.stderr).toContain('note      node 9 (NoSuchLoader)');
  });

  it('goes by the node classes of a file, of an address, or of a ComfyUI', async () => {
    const folder = await useFolder();
    const custom = {
      input: { required: { strength: ['FLOAT', {}], name: ['STRING', {}] } },
      output: [],
      output_node: true,
    };
    const objectInfo = JSON.stringify({ NoSuchLoader: custom });
    const editor = {
      version: 0.4,
      links: [],
      nodes: [{ id: 9, type: 'NoSuchLoader', mode: 0, widgets_values: [0.5, 'x'] }],
    };
    await writeFile(join(folder, 'w.json'), JSON.stringify(editor));
    await writeFile(join(folder, 'classes.json'), objectInfo);
    await writeFile(join(folder, 'utf16.json'), Buffer.from(`\uFEFF${objectInfo}`, 'utf16le'));
    const asked: string[] = [];
    const server = await startFakeApi((call, response) => {
      asked.push(call.path);
      response.end(objectInfo);
    });
    const address = new URL(server.baseUrl).origin;
    const ways = [
      ['--object-info', 'classes.json'],
      ['--object-info', 'utf16.json'],
      ['--object-info', address],
      ['--object-info', `${address}/prefix/object_info`],
      ['--comfy-url', `${address}/`],
    ];
    for (const way of ways) {
      const outcome = await runCommandLine(['convert', 'w.json', ...way], { folder });
      expect(JSON.parse(outcome.stdout)['9'].inputs, way.join(' ')).toEqual({ strength: 0.5, name: 'x' });
    }
    expect(asked).toEqual(['/object_info', '/prefix/object_info', '/object_info']);
    const none = await runCommandLine(['convert', 'w.json', '--object-info', 'w.json'], { folder });
    expect(none).toMatchObject({ exitCode: exitCodes.input, stdout: '' });
    expect(none.stderr).toContain(
      'error OBJECT_INFO_INVALID: The file "w.json" of --object-info declares no node classes.',
    );
  });

  it('gives of 40 real workflows what the editor itself made of them', async () => {
    const folder = fileURLToPath(new URL('../../fixtures/workflows/pairs', import.meta.url));
    const { objectInfo } = await loadObjectInfo();
    const wrong = [];
    for (const name of await readdir(folder)) {
      const { workflow, prompt } = JSON.parse(await readFile(join(folder, name), 'utf8'));
      const outcome = await runCommandLine(['convert', '-'], { folder, stdin: pieces(JSON.stringify(workflow)) });
      wrong.push(...compareWithRecording(JSON.parse(outcome.stdout), prompt, objectInfo, emptyTally()));
    }
    expect(wrong).toEqual([]);
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
