// ComfyUI protocol notes §7.2, history: E21 to E26.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import { finished, run, running, saveGraph, sleepGraph, submit, textGraph } from './support/prompts.ts';

describe('history of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  beforeEach(async () => {
    standIn = await startComfyStandIn({ historyLimit: 3 });
  });
  afterEach(async () => {
    await standIn.close();
  });

  it('E21 unknown, pending and running ids all answer an empty object', async () => {
    const runs = await submit(standIn, sleepGraph(1000, 5));
    await running(standIn, runs);
    const waits = await submit(standIn, textGraph('waits'));
    for (const id of ['unknown', runs, waits]) {
      expect(await call(standIn.url, `/history/${id}`)).toMatchObject({ status: 200, text: '{}' });
    }
  });

  it('E22 an entry holds prompt, outputs, status and meta, with three messages', async () => {
    const entry = await run(standIn, saveGraph('P'), {
      client_id: 'c',
      extra_data: { extra_pnginfo: { workflow: { a: 1 } } },
    });
    expect(Object.keys(entry)).toEqual(['prompt', 'outputs', 'status', 'meta']);
    expect(entry.prompt).toHaveLength(5);
    expect(entry.prompt[3]).toEqual({ extra_pnginfo: { workflow: { a: 1 } }, client_id: 'c' });
    expect(entry.outputs).toEqual({ '9': { images: [{ filename: 'P_00001_.png', subfolder: '', type: 'output' }] } });
    expect(entry.status).toMatchObject({ status_str: 'success', completed: true });
    expect(entry.status.messages.map(([name]) => name)).toEqual([
      'execution_start',
      'execution_cached',
      'execution_success',
    ]);
    expect(entry.meta).toEqual({ '9': { node_id: '9', display_node: '9', parent_node: null, real_node_id: '9' } });
  });

  it('E23 max_items gives the newest, offset pages from there, anything but integers is 500', async () => {
    for (const id of ['a', 'b', 'c']) {
      await submit(standIn, textGraph(id), { prompt_id: id });
      await finished(standIn, id);
    }
    const keys = async (query: string) => Object.keys((await call(standIn.url, `/history?${query}`)).json as object);
    expect(await keys('')).toEqual(['a', 'b', 'c']);
    expect(await keys('max_items=2')).toEqual(['b', 'c']);
    expect(await keys('max_items=0')).toEqual([]);
    expect(await keys('max_items=1&offset=1')).toEqual(['b']);
    expect(await keys('offset=1')).toEqual(['b', 'c']);
    expect((await call(standIn.url, '/history?offset=x')).status).toBe(500);
  });

  it('E24 only so many entries plus one are kept, the oldest go', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e'])
      await finished(standIn, await submit(standIn, textGraph(id), { prompt_id: id }));
    expect(standIn.inspect.history()).toEqual(['b', 'c', 'd', 'e']);
  });

  it('E25 entries can be deleted and cleared; deleting a running id has no effect on its end', async () => {
    await run(standIn, textGraph('a'), { prompt_id: 'a' });
    await run(standIn, textGraph('b'), { prompt_id: 'b' });
    expect(await call(standIn.url, '/history', { body: { delete: ['a', 'unknown'] } })).toMatchObject({
      status: 200,
      text: '',
    });
    expect(standIn.inspect.history()).toEqual(['b']);
    await call(standIn.url, '/history', { body: { clear: true } });
    expect((await call(standIn.url, '/history')).text).toBe('{}');
    const id = await submit(standIn, sleepGraph(20, 5));
    await running(standIn, id);
    await call(standIn.url, '/history', { body: { delete: [id] } });
    expect((await finished(standIn, id)).status.status_str).toBe('success');
  });

  it('E26 secrets are in the queue but not in history', async () => {
    const secrets = { auth_token_comfy_org: 'token-value', api_key_comfy_org: 'key-value', kept: 1 };
    const id = await submit(standIn, sleepGraph(30, 5), { extra_data: secrets });
    await running(standIn, id);
    expect((await call(standIn.url, '/queue')).text).toContain('token-value');
    expect((await finished(standIn, id)).prompt[3]).toEqual({ kept: 1 });
  });
});
