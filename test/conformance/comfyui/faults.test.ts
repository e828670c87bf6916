// Every scripted fault of the stand-in (ComfyUI protocol notes Appendix C; statement E59).
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComfyStandIn, type FaultInput, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import {
  eventually,
  finished,
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

describe('scripted faults of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  let client: SocketClient;
  beforeEach(async () => {
    standIn = await startComfyStandIn();
    client = await SocketClient.open(standIn.url, 'me');
    await client.until(() => client.messages.length === 1, 'the first status');
  });
  afterEach(async () => {
    await client[Symbol.asyncDispose]();
    await standIn.close();
  });

  const arm = (fault: FaultInput) => standIn.faults.arm(fault);
  const me = { client_id: 'me' };

  it('E59 a fault strikes only the prompt, class or endpoint it is armed for, as often as armed', async () => {
    arm({ kind: 'empty-outputs', promptId: 'second' });
    expect((await run(standIn, textGraph('a'), { prompt_id: 'first' })).outputs).not.toEqual({});
    expect((await run(standIn, textGraph('b'), { prompt_id: 'second' })).outputs).toEqual({});
    const third = arm({ kind: 'node-error', classType: 'SandboxSaveAs', message: 'third time', skip: 2, times: 1 });
    const states: string[] = [];
    for (const text of ['1', '2', '3', '4']) states.push((await run(standIn, textGraph(text))).status.status_str);
    expect(states).toEqual(['success', 'success', 'error', 'success']);
    expect(third.struck).toBe(1);
    const always = arm({ kind: 'bad-status', endpoint: '/history/*', status: 503, times: 'always' });
    expect((await call(standIn.url, '/history/x')).status).toBe(503);
    expect((await call(standIn.url, '/api/history/x')).status).toBe(503);
    expect((await call(standIn.url, '/history')).status).toBe(200);
    always.disarm();
    expect((await call(standIn.url, '/history/x')).status).toBe(200);
    expect(() => arm({ kind: 'no-such-fault' } as unknown as FaultInput)).toThrow();
  });

  it('F03 a lost answer leaves the prompt queued or not, as scripted', async () => {
    arm({ kind: 'lost-answer', at: 'before-queueing', promptId: 'x' });
    await expect(post(standIn, textGraph('a'), { prompt_id: 'x' })).rejects.toThrow();
    expect(standIn.inspect.accepted()).toEqual([]);
    arm({ kind: 'lost-answer', at: 'after-queueing', promptId: 'x' });
    await expect(post(standIn, textGraph('a'), { prompt_id: 'x' })).rejects.toThrow();
    expect((await finished(standIn, 'x')).status.status_str).toBe('success');
  });

  it('F04 the socket is lost at an event and may not come back for a while', async () => {
    arm({ kind: 'lost-socket', at: 'executing', refuseReconnectMs: 60_000 });
    const id = await submit(standIn, textGraph('a'), me);
    await client.until(() => client.socket.readyState === client.socket.CLOSED, 'the lost socket');
    await finished(standIn, id);
    expect(client.messages.some((message) => message.type === 'executed')).toBe(false);
    await expect(SocketClient.open(standIn.url, 'me')).rejects.toThrow();
    await using other = await SocketClient.open(standIn.url, 'somebody-else');
    await other.until(() => other.messages.length === 1, 'status');
  });

  it('F05 delivery stalls while the server goes on', async () => {
    arm({ kind: 'stalled-delivery', at: 3 });
    await run(standIn, textGraph('a'), me);
    await run(standIn, textGraph('b'), me);
    expect(standIn.inspect.undelivered()).toBeGreaterThan(5);
    expect(client.messages.some((message) => message.type === 'execution_success')).toBe(false);
  });

  it('F06 an old connection that ends late silences its successor', async () => {
    arm({ kind: 'late-old-socket-close', afterMs: 20 });
    await using second = await SocketClient.open(standIn.url, 'me');
    await second.until(() => second.messages.length === 1, 'status');
    await eventually(() => standIn.inspect.sockets().length === 0, 'the silenced successor');
    expect(second.socket.readyState).toBe(second.socket.OPEN);
  });

  it('F07 and F08 events are dropped, doubled, swapped and mixed with foreign ones', async () => {
    arm({ kind: 'reshape-event', event: 'execution_start', action: 'drop' });
    arm({ kind: 'reshape-event', event: 'executed', action: 'duplicate' });
    arm({ kind: 'reshape-event', event: 'execution_cached', action: 'swap-with-next' });
    arm({ kind: 'foreign-events', event: 'executing' });
    await client.untilEnd(await submit(standIn, textGraph('a'), me));
    expect(shapes(client.received)).toEqual([
      'S(1)',
      'S(1)',
      'PS(1:r)',
      'cached()',
      'executing(1)',
      'progress(3/7)',
      'bin1',
      'executing(null)',
      'executed(1)',
      'executed(1)',
      'PS(1:f)',
      'success',
      'S(0)',
      'executing(null)',
    ]);
  });

  it('F09 the worker dies with the prompt running for ever', async () => {
    arm({ kind: 'dead-worker' });
    const id = await submit(standIn, textGraph('a'));
    await eventually(() => !standIn.inspect.workerAlive(), 'the dead worker');
    expect((await call(standIn.url, '/interrupt', { body: {} })).status).toBe(200);
    expect((await call(standIn.url, '/free', { body: { free_memory: true } })).status).toBe(200);
    expect(standIn.inspect.queue().running).toEqual([id]);
    expect((await post(standIn, textGraph('b'))).status).toBe(200);
  });

  it('F10 the process ends at an event and comes back empty', async () => {
    await run(standIn, textGraph('before'));
    arm({ kind: 'crash', at: 'executing', restartAfterMs: 100 });
    await submit(standIn, textGraph('a'), me);
    await client.until(() => client.socket.readyState === client.socket.CLOSED, 'cut sockets');
    await eventually(() => !standIn.inspect.listening(), 'the crash');
    await expect(call(standIn.url, '/prompt')).rejects.toThrow('ECONNREFUSED');
    await eventually(() => standIn.inspect.listening(), 'the restart');
    expect((await call(standIn.url, '/history')).text).toBe('{}');
    expect((await post(standIn, textGraph('b'))).text).toContain('"number": 0');
  });

  it('F10 a message that cannot be serialised ends the server while a client listens', async () => {
    const bytes = { '1': { class_type: 'SandboxUnserialisable', inputs: {} } };
    const quiet = await submit(standIn, bytes);
    await eventually(() => standIn.inspect.history().includes(quiet), 'the unreadable entry');
    expect((await call(standIn.url, `/history/${quiet}`)).status).toBe(500);
    expect((await call(standIn.url, '/history')).status).toBe(500);
    await submit(standIn, bytes, me);
    await eventually(() => !standIn.inspect.listening(), 'the end');
    await standIn.restart();
    expect((await call(standIn.url, '/prompt')).status).toBe(200);
  });

  it('F11, F12, F14, F15, F19 what history may say instead', async () => {
    arm({ kind: 'unreadable-history', promptId: 'unreadable' });
    await submit(standIn, textGraph('a'), { prompt_id: 'unreadable' });
    await eventually(() => standIn.inspect.history().includes('unreadable'), 'the entry');
    expect((await call(standIn.url, '/history/unreadable')).status).toBe(500);
    await call(standIn.url, '/history', { body: { delete: ['unreadable'] } });
    expect((await call(standIn.url, '/history')).status).toBe(200);
    arm({ kind: 'nan', in: 'history' });
    const id = await submit(standIn, textGraph('b'));
    await eventually(() => standIn.inspect.history().includes(id), 'the entry');
    expect((await call(standIn.url, `/history/${id}`)).text).toContain('"score": NaN');
    arm({ kind: 'nan', in: 'object_info' });
    expect((await call(standIn.url, '/object_info')).text).toContain('{"max": NaN}');
    arm({ kind: 'nan', in: 'executed' });
    await client.untilEnd(await submit(standIn, textGraph('c'), me));
    expect(client.received.some((entry) => entry.kind === 'json' && entry.text.includes('NaN'))).toBe(true);
    arm({ kind: 'error-in-success' });
    const hidden = await run(standIn, textGraph('d'));
    expect([hidden.status.status_str, hidden.status.messages.at(-1)?.[0]]).toEqual(['success', 'execution_error']);
    arm({ kind: 'history-evicted', promptId: 'evicted' });
    await submit(standIn, textGraph('e'), { prompt_id: 'evicted', ...me });
    await client.untilEnd('evicted');
    expect((await call(standIn.url, '/history/evicted')).text).toBe('{}');
  });

  it('F13, F20, F21, F26 files that are missing, cut, renamed or listed oddly', async () => {
    arm({ kind: 'lost-output-files' });
    await run(standIn, saveGraph('lost'));
    expect((await call(standIn.url, '/view?filename=lost_00001_.png')).status).toBe(404);
    arm({ kind: 'lost-output-files', keepBytes: 5 });
    await run(standIn, saveGraph('short'));
    expect((await call(standIn.url, '/view?filename=short_00001_.png')).bytes).toHaveLength(5);
    const form = [{ name: 'image', filename: 'a.png', value: 'content' }];
    arm({ kind: 'upload-renamed', name: 'other.png' });
    expect((await call(standIn.url, '/upload/image', { form })).json).toMatchObject({ name: 'other.png' });
    arm({ kind: 'upload-truncated' });
    await call(standIn.url, '/upload/image', { form });
    expect(await readFile(path.join(standIn.directories.input, 'a.png'), 'utf8')).toBe('');
    await run(standIn, saveGraph('view'));
    const view = () => call(standIn.url, '/view?filename=view_00001_.png');
    arm({ kind: 'bad-view', status: 403 });
    expect((await view()).status).toBe(403);
    arm({ kind: 'bad-view', contentType: 'application/octet-stream', slowMs: 5 });
    expect(await view()).toMatchObject({ status: 200, contentType: 'application/octet-stream' });
    arm({ kind: 'bad-view', cutAfterBytes: 3 });
    await expect(view()).rejects.toThrow();
    arm({ kind: 'odd-outputs', shape: 'unexpected-key' });
    expect(Object.keys((await run(standIn, saveGraph('odd', 1))).outputs['9'] ?? {})).toEqual(['results_v2', 'flags']);
    arm({ kind: 'odd-outputs', shape: 'bare-entries' });
    expect((await run(standIn, saveGraph('odd', 2))).outputs['9']).toEqual({
      images: [{ filename: 'odd_00002_.png' }],
    });
    arm({ kind: 'odd-outputs', shape: 'escaping-paths' });
    expect((await run(standIn, saveGraph('odd', 3))).outputs['9']?.['images']?.[0]).toMatchObject({
      subfolder: '../../etc',
    });
    arm({ kind: 'odd-outputs', shape: 'extra-fields' });
    expect((await run(standIn, saveGraph('odd', 4))).outputs['9']?.['images']?.[0]).toMatchObject({
      id: 17,
      filename: 'odd_00004_.png',
    });
  });

  it('F16 and F17 a blocked run succeeds without outputs; one output is refused, the rest accepted', async () => {
    arm({ kind: 'blocked-then-success', message: 'why' });
    const id = await submit(standIn, textGraph('a'), me);
    await client.untilEnd(id);
    expect(shapes(client.received).slice(-4)).toEqual([
      'error(ExecutionBlocked)',
      'success',
      'S(0)',
      'executing(null)',
    ]);
    expect(await finished(standIn, id)).toMatchObject({ outputs: {}, status: { status_str: 'success' } });
    arm({ kind: 'partial-acceptance', nodeId: '9' });
    const answer = await post(standIn, { ...saveGraph('x'), '5': textGraph('t')['1'] });
    expect(answer.json).toMatchObject({ node_errors: { '9': { dependent_outputs: ['9'] } } });
  });

  it('F18 and F29 interrupts are ignored or late, /free does nothing', async () => {
    arm({ kind: 'interrupt-ignored', times: 2 });
    const id = await submit(standIn, sleepGraph(1000, 3));
    await running(standIn, id);
    for (let index = 0; index < 2; index += 1) await call(standIn.url, '/interrupt', { body: {} });
    expect(standIn.inspect.queue().running).toEqual([id]);
    arm({ kind: 'interrupt-ignored', actAfterMs: 20 });
    await call(standIn.url, '/interrupt', { body: {} });
    expect((await finished(standIn, id)).status.messages.at(-1)?.[0]).toBe('execution_interrupted');
    arm({ kind: 'free-ignored' });
    await run(standIn, textGraph('kept'));
    await call(standIn.url, '/free', { body: { free_memory: true } });
    expect((await run(standIn, textGraph('kept'))).status.messages[1]?.[1]['nodes']).toEqual(['1']);
  });

  it('F22 memory runs out once or always, a CUDA fault spoils every later prompt until a restart', async () => {
    arm({ kind: 'out-of-memory', classType: 'EmptyImage' });
    const oom = await run(standIn, saveGraph('a'));
    expect(oom.status.messages.at(-1)?.[1]).toMatchObject({
      exception_type: 'torch.OutOfMemoryError',
      node_type: 'EmptyImage',
    });
    expect((await run(standIn, saveGraph('a'))).status.status_str).toBe('success');
    arm({ kind: 'cuda-fault', promptId: 'poison' });
    expect((await run(standIn, textGraph('b'), { prompt_id: 'poison' })).status.status_str).toBe('error');
    expect((await run(standIn, textGraph('c'))).status.messages.at(-1)?.[1]['exception_message']).toContain(
      'CUDA error',
    );
    await standIn.restart();
    expect((await run(standIn, textGraph('c'))).status.status_str).toBe('success');
  });

  it('F23, F24, F25, F27, F30 slow starts, missing classes, small limits, odd frames, latency', async () => {
    const missing = arm({ kind: 'missing-class', classType: 'EmptyImage' });
    expect((await call(standIn.url, '/object_info/EmptyImage')).text).toBe('{}');
    expect((await post(standIn, saveGraph('x'))).text).toContain('node EmptyImage does not exist');
    missing.disarm();
    arm({ kind: 'bad-status', endpoint: '/object_info', status: 500 });
    expect((await call(standIn.url, '/object_info')).text).toContain('Server got itself in trouble');
    arm({ kind: 'body-limit', endpoint: '/prompt', limitBytes: 10 });
    expect((await post(standIn, saveGraph('x'))).status).toBe(413);
    for (const frame of ['huge', 'unknown-type', 'truncated-header'] as const)
      arm({ kind: 'odd-frame', at: 'executing', frame });
    for (const text of ['1', '2', '3']) await client.untilEnd(await submit(standIn, textGraph(text), me));
    expect(client.frames.map((frame) => frame.length)).toEqual([8 * 1024 * 1024, 8, 2]);
    arm({ kind: 'latency', endpoint: '/queue', delayMs: 60 });
    const from = performance.now();
    await call(standIn.url, '/queue');
    expect(performance.now() - from).toBeGreaterThanOrEqual(55);
    arm({ kind: 'slow-start', delayMs: 80 });
    const restarted = standIn.restart();
    await eventually(() => !standIn.inspect.listening(), 'the stop');
    await expect(call(standIn.url, '/prompt')).rejects.toThrow('ECONNREFUSED');
    await restarted;
    expect((await call(standIn.url, '/prompt')).status).toBe(200);
    arm({ kind: 'slow-node', classType: 'SandboxSaveAs', delayMs: 50 });
    const id = await submit(standIn, textGraph('slow'));
    await running(standIn, id);
    expect((await finished(standIn, id)).status.status_str).toBe('success');
  });
});
