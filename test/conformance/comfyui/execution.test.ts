// ComfyUI protocol notes §7.2, execution: E39 to E52.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { readChunks } from '../../../sandbox/comfyui/nodes/picture-files/png-chunks.ts';
import { call } from './support/http-client.ts';
import {
  cachedNodes,
  eventually,
  finished,
  type Graph,
  post,
  run,
  running,
  saveGraph,
  sleepGraph,
  submit,
  textGraph,
} from './support/prompts.ts';
import { shapes } from './support/shapes.ts';
import { SocketClient } from './support/socket-client.ts';
import { pngOfSize } from './support/upload-bytes.ts';

const SILENT = { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } };

function loadAndSave(image: unknown, prefix: string): Graph {
  return {
    '1': { class_type: 'LoadImage', inputs: { image } },
    '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: prefix } },
  };
}

function firstFile(entry: { outputs: Record<string, Record<string, unknown[]>> }, node = '9'): string {
  const [file] = (entry.outputs[node]?.['images'] ?? []) as { filename: string; subfolder: string }[];
  return path.join(file?.subfolder ?? '', file?.filename ?? '');
}

describe('execution in the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  beforeEach(async () => {
    standIn = await startComfyStandIn();
  });
  afterEach(async () => {
    await standIn.close();
  });

  it('E39 the cache ignores node ids and knows all ancestors; a renumbered copy reports the old ids', async () => {
    await run(standIn, saveGraph('same'));
    const renumbered = {
      '100': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
      '200': { class_type: 'SaveImage', inputs: { images: ['100', 0], filename_prefix: 'same' } },
    };
    const copy = await run(standIn, renumbered);
    expect(cachedNodes(copy)).toEqual(['100', '200']);
    expect(copy.meta['200']).toMatchObject({ node_id: '9' });
    expect(cachedNodes(await run(standIn, saveGraph('same', 5)))).toEqual([]);
    const own = (id: string) => ({
      [id]: { class_type: 'SandboxOwnId', inputs: {} },
      '8': { class_type: 'SandboxSilentOutput', inputs: { value: [id, 0] } },
    });
    await run(standIn, own('1'));
    expect(cachedNodes(await run(standIn, own('1')))).toEqual(['1', '8']);
    expect(cachedNodes(await run(standIn, own('2')))).toEqual([]);
    const bad = { '1': { class_type: 'SandboxBadChange', inputs: {} }, '2': SILENT };
    await run(standIn, bad);
    expect(cachedNodes(await run(standIn, bad))).toEqual([]);
  });

  it('E39 classic keeps the latest prompt, LRU several, none nothing', async () => {
    const again = async (server: ComfyStandIn) => {
      for (const text of ['a', 'b']) await run(server, textGraph(text));
      return cachedNodes(await run(server, textGraph('a')));
    };
    expect(await again(standIn)).toEqual([]);
    await using lru = await startComfyStandIn({ cache: { kind: 'lru', size: 10 } });
    expect(await again(lru)).toEqual(['1']);
    await using none = await startComfyStandIn({ cache: { kind: 'none' } });
    const chain = {
      '1': { class_type: 'SandboxShow', inputs: { text: 'up' } },
      '2': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: ['1', 0] } },
    };
    expect(Object.keys((await run(standIn, chain)).outputs)).toEqual(['1', '2']);
    expect(Object.keys((await run(none, chain)).outputs)).toEqual(['2']);
    expect(cachedNodes(await run(none, chain))).toEqual([]);
  });

  it('E40 a cached rerun lists the same files although they were deleted', async () => {
    const first = await run(standIn, saveGraph('gone'));
    await rm(path.join(standIn.directories.output, firstFile(first)));
    const second = await run(standIn, saveGraph('gone'));
    expect(second.outputs).toEqual(first.outputs);
    expect((await call(standIn.url, `/view?filename=${firstFile(second)}`)).status).toBe(404);
  });

  it('E41 another prefix runs only the saver again', async () => {
    await run(standIn, saveGraph('one'));
    const second = await run(standIn, saveGraph('two'));
    expect(cachedNodes(second)).toEqual(['1']);
    expect(firstFile(second)).toBe('two_00001_.png');
  });

  it('E42 loaders hash their file; a posted is_changed wins over that', async () => {
    const file = path.join(standIn.directories.input, 'a.png');
    const pinned = (prefix: string) => {
      const graph = loadAndSave('a.png', prefix);
      return { ...graph, '1': { ...(graph['1'] as object), is_changed: ['pinned'] } };
    };
    await writeFile(file, pngOfSize(200, 1));
    await run(standIn, loadAndSave('a.png', 'p'));
    expect(cachedNodes(await run(standIn, loadAndSave('a.png', 'p')))).toEqual(['1', '9']);
    await writeFile(file, pngOfSize(200, 2));
    expect(cachedNodes(await run(standIn, loadAndSave('a.png', 'p')))).toEqual([]);
    await run(standIn, pinned('p'));
    await writeFile(file, pngOfSize(200, 3));
    expect(cachedNodes(await run(standIn, pinned('p')))).toEqual(['1', '9']);
  });

  it('E43 free_memory empties the cache between prompts, unload_models keeps it', async () => {
    await run(standIn, textGraph('kept'));
    await call(standIn.url, '/free', { body: { unload_models: true } });
    expect(cachedNodes(await run(standIn, textGraph('kept')))).toEqual(['1']);
    const id = await submit(standIn, sleepGraph(20, 3));
    await running(standIn, id);
    const next = await submit(standIn, sleepGraph(20, 3));
    await call(standIn.url, '/free', { body: { free_memory: true } });
    expect(cachedNodes(await finished(standIn, id))).toEqual([]);
    expect(cachedNodes(await finished(standIn, next))).toEqual([]);
    expect(cachedNodes(await run(standIn, sleepGraph(20, 3)))).toEqual(['1', '2']);
  });

  it('E44 numbers go on after the highest entry of any extension, restart when files are gone, and never count with %batch_num%', async () => {
    const { output } = standIn.directories;
    await writeFile(path.join(output, 'n_00007_.webp'), '');
    expect(firstFile(await run(standIn, saveGraph('n', 1)))).toBe('n_00008_.png');
    await rm(path.join(output, 'n_00007_.webp'));
    await rm(path.join(output, 'n_00008_.png'));
    expect(firstFile(await run(standIn, saveGraph('n', 2)))).toBe('n_00001_.png');
    for (const color of [3, 4]) {
      expect(firstFile(await run(standIn, saveGraph('b_%batch_num%', color)))).toBe('b_0_00001_.png');
    }
    const now = new Date();
    expect(firstFile(await run(standIn, saveGraph('%width%x%height%/%year%')))).toBe(
      `8x8/${now.getFullYear()}_00001_.png`,
    );
    expect(firstFile(await run(standIn, saveGraph('%date:yyyy%')))).toBe('%date:yyyy%_00001_.png');
    expect(firstFile(await run(standIn, saveGraph('')))).toBe('._00001_.png');
  });

  it('E45 a prefix that leaves the output folder fails at run time, not at validation', async () => {
    const entry = await run(standIn, saveGraph('../../escape'), { client_id: 'c' });
    const [name, data] = entry.status.messages.at(-1) ?? ['', {}];
    expect(name).toBe('execution_error');
    expect(data['exception_message']).toMatch(/^\*{4} ERROR: Saving image outside the output folder is not allowed\./);
    expect(data).toMatchObject({ exception_type: 'Exception', node_id: '9' });
  });

  it('E46 LoadImage checks existence at validation and decodes at run time', async () => {
    const { input, output } = standIn.directories;
    await mkdir(path.join(input, 'sub/dir'), { recursive: true });
    await writeFile(path.join(input, 'sub/dir/x.png'), pngOfSize(200, 1));
    await writeFile(path.join(output, 'o.png'), pngOfSize(200, 1));
    await writeFile(path.join(input, 'text.png'), 'text');
    for (const good of ['sub/dir/x.png', 'o.png [output]', '../output/o.png']) {
      expect((await run(standIn, loadAndSave(good, `l/${good.length}`))).status.status_str, good).toBe('success');
    }
    const broken = await run(standIn, loadAndSave('text.png', 'x'));
    expect(broken.status.messages.at(-1)?.[1]).toMatchObject({ exception_type: 'PIL.UnidentifiedImageError' });
    const id = await submit(standIn, sleepGraph(1000, 5));
    await running(standIn, id);
    const waiting = await submit(standIn, loadAndSave('sub/dir/x.png', 'late'));
    await rm(path.join(input, 'sub/dir/x.png'));
    await call(standIn.url, '/interrupt', { body: {} });
    expect((await finished(standIn, waiting)).status.messages.at(-1)?.[1]).toMatchObject({
      exception_type: 'FileNotFoundError',
    });
    expect((await post(standIn, loadAndSave(5, 'x'))).text).toContain("'int' object has no attribute 'endswith'");
    await using modern = await startComfyStandIn({ profile: 'late-2026', directories: { input, output } });
    expect((await post(modern, loadAndSave('../output/o.png', 'x'))).text).toContain('Invalid image file');
  });

  it('E47 savers list images, animated pictures, audio, 3d, text and latents under their keys', async () => {
    const saver = (kind: string) => ({ class_type: 'SandboxSaveAs', inputs: { kind, filename_prefix: `k/${kind}` } });
    const image = { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 2, color: 0 } };
    const entry = await run(standIn, {
      '1': image,
      '2': {
        class_type: 'SaveAnimatedWEBP',
        inputs: { images: ['1', 0], filename_prefix: 'w', fps: 6, lossless: true, quality: 80, method: 'default' },
      },
      '3': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
      '4': saver('audio'),
      '5': saver('3d'),
      '6': saver('gifs'),
      '7': saver('text'),
      '8': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
      '10': { class_type: 'SaveLatent', inputs: { samples: ['8', 0], filename_prefix: 'lat' } },
    });
    expect(entry.outputs['2']).toEqual({
      images: [{ filename: 'w_00001_.webp', subfolder: '', type: 'output' }],
      animated: [true],
    });
    expect(entry.outputs['3']?.['images']).toHaveLength(2);
    expect(entry.outputs['3']?.['images']?.[0]).toMatchObject({
      type: 'temp',
      filename: expect.stringMatching(/^ComfyUI_temp_[a-z]{5}_00001_\.png$/),
    });
    expect(entry.outputs['4']).toEqual({ audio: [{ filename: 'audio_00001_.flac', subfolder: 'k', type: 'output' }] });
    expect(Object.keys(entry.outputs['5'] ?? {})).toEqual(['3d']);
    expect(entry.outputs['6']?.['gifs']?.[0]).toMatchObject({ format: 'video/h264-mp4', frame_rate: 8 });
    expect(entry.outputs['7']).toEqual({ text: ['content'] });
    expect(entry.outputs['10']).toEqual({
      latents: [{ filename: 'lat_00001_.latent', subfolder: '', type: 'output' }],
    });
  });

  it('E48 pictures carry prompt and workflow unless that is disabled', async () => {
    const texts = async (server: ComfyStandIn) => {
      const entry = await run(server, saveGraph('meta'), {
        extra_data: { extra_pnginfo: { workflow: { nodes: [] } } },
      });
      const png = await readFile(path.join(server.directories.output, firstFile(entry)));
      return [...readChunks(png)]
        .filter((chunk) => chunk.type === 'tEXt')
        .map((chunk) => chunk.data.toString('latin1').split('\0'));
    };
    const [prompt, workflow] = await texts(standIn);
    expect([prompt?.[0], workflow]).toEqual(['prompt', ['workflow', '{"nodes": []}']]);
    expect(JSON.parse(prompt?.[1] ?? '')).toEqual(saveGraph('meta'));
    await using silent = await startComfyStandIn({ disableMetadata: true });
    expect(await texts(silent)).toEqual([]);
  });

  it('E49 a failed run keeps the outputs finished before, and lists only what ran now as executed', async () => {
    const graph = {
      '1': { class_type: 'SandboxShow', inputs: { text: 'first' } },
      '2': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: ['1', 0] } },
      '3': { class_type: 'SandboxFail', inputs: { message: 'no', exception_type: 'ValueError', value: ['1', 0] } },
      '4': { class_type: 'SandboxSilentOutput', inputs: { value: ['3', 0] } },
    };
    const first = await run(standIn, graph);
    expect(first.status).toMatchObject({ status_str: 'error', completed: false });
    expect(Object.keys(first.outputs)).toEqual(['1', '2']);
    const data = first.status.messages.at(-1)?.[1];
    expect(data).toMatchObject({
      node_id: '3',
      node_type: 'SandboxFail',
      exception_message: 'no\n',
      exception_type: 'ValueError',
      executed: ['1', '2'],
    });
    expect(data?.['current_inputs']).toEqual({ message: ['no'], exception_type: ['ValueError'], value: ['first'] });
    expect(data?.['current_outputs']).toEqual(['1', '2', '3', '4']);
    expect((await run(standIn, graph)).status.messages.at(-1)?.[1]['executed']).toEqual([]);
  });

  it('E49 the inputs of a failed node are told as Python prints them, pictures abbreviated', async () => {
    const entry = await run(standIn, {
      '1': { class_type: 'EmptyImage', inputs: { width: 512, height: 512, batch_size: 1, color: 0 } },
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: '../../x' } },
    });
    const inputs = entry.status.messages.at(-1)?.[1]['current_inputs'] as Record<string, string[]>;
    expect(inputs['images']?.[0]).toMatch(/^tensor\(\[\[\[\[0\., 0\., 0\.\],[\s\S]*\.\.\./);
    expect(inputs['images']?.[0]?.length).toBeLessThan(3000);
    expect(inputs['filename_prefix']).toEqual(['../../x']);
    expect(inputs['prompt']?.[0]).toContain("{'1': {'class_type': 'EmptyImage'");
    expect(inputs['extra_pnginfo']).toEqual([null]);
  });

  it('a negative slot counts from the end, as Python indices do', async () => {
    const graph = saveGraph('negative');
    graph['9'] = { class_type: 'SaveImage', inputs: { images: ['1', -1], filename_prefix: 'negative' } };
    expect(firstFile(await run(standIn, graph))).toBe('negative_00001_.png');
  });

  it('E50 an interrupt works between nodes and at progress steps only, and is forgotten when a prompt starts', async () => {
    await call(standIn.url, '/interrupt', { body: {} });
    expect((await run(standIn, textGraph('idle interrupts are lost'))).status.status_str).toBe('success');
    const deaf = (after: Graph): Graph => ({ '1': { class_type: 'SandboxDeaf', inputs: { ms: 60 } }, ...after });
    const lastNode = await submit(standIn, deaf({ '2': SILENT }), { prompt_id: 'between' });
    await running(standIn, lastNode);
    await call(standIn.url, '/interrupt', { body: { prompt_id: 'another' } });
    await call(standIn.url, '/interrupt', { body: { prompt_id: lastNode } });
    const entry = await finished(standIn, lastNode);
    expect(entry.status).toMatchObject({ status_str: 'error', completed: false });
    expect(entry.status.messages.at(-1)).toEqual([
      'execution_interrupted',
      {
        prompt_id: 'between',
        node_id: '2',
        node_type: 'SandboxSilentOutput',
        executed: ['1'],
        timestamp: expect.any(Number),
      },
    ]);
    const stepping = await submit(standIn, sleepGraph(1000, 3));
    await running(standIn, stepping);
    await call(standIn.url, '/interrupt', { method: 'POST' });
    expect((await finished(standIn, stepping)).status.messages.at(-1)?.[1]).toMatchObject({ node_id: '1' });
  });

  it('E51 a lazy node is announced twice; nodes made at run time have composed ids and show their parent', async () => {
    await using client = await SocketClient.open(standIn.url, 'me');
    const lazy = {
      '1': { class_type: 'SandboxShow', inputs: { text: 'yes' } },
      '2': { class_type: 'SandboxFail', inputs: { message: 'never runs', exception_type: 'ValueError' } },
      '3': { class_type: 'SandboxLazySwitch', inputs: { condition: true, on_true: ['1', 0], on_false: ['2', 0] } },
      '4': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: ['3', 0] } },
    };
    const id = await submit(standIn, lazy, { client_id: 'me' });
    await client.untilEnd(id);
    const announced = shapes(client.received).filter((line) => line.startsWith('executing('));
    expect(announced).toEqual(['executing(3)', 'executing(1)', 'executing(3)', 'executing(4)', 'executing(null)']);
    const expand = {
      '2': { class_type: 'SandboxExpand', inputs: { text: 'made', length: 2, save: true } },
      '4': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: ['2', 0] } },
    };
    const expanded = await submit(standIn, expand, { client_id: 'me' });
    await client.untilEnd(expanded);
    const inner = client.messages.filter(
      (message) => message.type === 'executing' && String(message.data['node']).startsWith('2.'),
    );
    expect(inner.map((message) => [message.data['node'], message.data['display_node']])).toEqual([
      ['2.0.0.1', '2'],
      ['2.0.0.2', '2'],
      ['2.0.0.3', '2'],
    ]);
    const entry = await finished(standIn, expanded);
    expect(entry.outputs['2.0.0.3']).toEqual({ text: ['made'] });
    expect(entry.meta['2.0.0.3']).toEqual({
      node_id: '2.0.0.3',
      display_node: '2',
      parent_node: '2',
      real_node_id: '2',
    });
    expect(entry.outputs['4']).toEqual({ text: ['made'] });
  });

  it('E51 a list runs what reads it once per item and concatenates what is shown', async () => {
    const entry = await run(standIn, {
      '1': { class_type: 'SandboxList', inputs: { items: 'a,b,c' } },
      '2': { class_type: 'SandboxShow', inputs: { text: ['1', 0] } },
      '3': { class_type: 'SandboxJoin', inputs: { items: ['2', 0] } },
      '4': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: ['3', 0] } },
    });
    expect(entry.outputs).toEqual({ '2': { text: ['a', 'b', 'c'] }, '4': { text: ['a+b+c'] } });
  });

  it('E52 with the regression, cached outputs are missing from history when there is no client id', async () => {
    await using broken = await startComfyStandIn({ cachedUiNeedsClient: true });
    await run(broken, textGraph('x'));
    expect((await run(broken, textGraph('x'))).outputs).toEqual({});
    expect((await run(broken, textGraph('x'), { client_id: 'c' })).outputs).toEqual({ '1': { text: ['x'] } });
    expect((await run(standIn, textGraph('x'))).outputs).toEqual((await run(standIn, textGraph('x'))).outputs);
  });

  it('an out-of-memory error tells what to do, and the server stays usable', async () => {
    const entry = await run(standIn, { '1': { class_type: 'SandboxOutOfMemory', inputs: {} }, '2': SILENT });
    const data = entry.status.messages.at(-1)?.[1];
    expect(data?.['exception_type']).toBe('torch.OutOfMemoryError');
    expect(data?.['exception_message']).toContain('This error means you ran out of memory on your GPU.');
    expect((await run(standIn, textGraph('after'))).status.status_str).toBe('success');
    expect(await readdir(standIn.directories.output)).toEqual([]);
  });

  it('a node without inputs that no output needs kills the worker, not the server', async () => {
    const answer = await post(standIn, { ...textGraph('x'), '5': { class_type: 'EmptyImage' } });
    expect(answer.status).toBe(200);
    await eventually(() => !standIn.inspect.workerAlive(), 'the dead worker');
    expect(standIn.inspect.queue().running).toHaveLength(1);
    expect((await call(standIn.url, '/prompt')).json).toEqual({ exec_info: { queue_remaining: 1 } });
    expect(standIn.inspect.logs()).toContain('prompt_worker');
  });
});
