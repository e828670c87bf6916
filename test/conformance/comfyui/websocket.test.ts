// ComfyUI protocol notes §7.2, WebSocket: E27 to E38.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import {
  eventually,
  finished,
  type Graph,
  run,
  running,
  saveGraph,
  sleepGraph,
  submit,
  textGraph,
} from './support/prompts.ts';
import { shapes } from './support/shapes.ts';
import { SocketClient } from './support/socket-client.ts';

const FLAGS = JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } });
const SILENT = { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } };

describe('the socket of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  const opened: SocketClient[] = [];
  beforeEach(async () => {
    standIn = await startComfyStandIn();
  });
  afterEach(async () => {
    for (const client of opened.splice(0)) await client[Symbol.asyncDispose]();
    await standIn.close();
  });

  async function open(id: string, server = standIn): Promise<SocketClient> {
    const client = await SocketClient.open(server.url, id);
    opened.push(client);
    await client.until(() => client.messages.length > 0, 'the first status');
    return client;
  }

  async function watch(graph: Graph, client: SocketClient, id = 'me'): Promise<string[]> {
    const from = client.received.length;
    const promptId = await submit(standIn, graph, { client_id: id });
    await client.untilEnd(promptId);
    return shapes([client.received[0], ...client.received.slice(from)].filter((entry) => entry !== undefined));
  }

  it('E27 the first message is status with the socket id, made up when none was given', async () => {
    expect((await open('mine')).messages[0]).toEqual({
      type: 'status',
      data: { status: { exec_info: { queue_remaining: 0 } }, sid: 'mine' },
    });
    expect((await open('')).messages[0]?.data['sid']).toMatch(/^[0-9a-f]{32}$/);
    expect((await call(standIn.url, '/ws')).status).toBe(400);
  });

  it('E28 a reconnect under the running client id is told the node, without a prompt id', async () => {
    const first = await open('me');
    await submit(standIn, sleepGraph(1000, 5), { client_id: 'me' });
    await first.until(() => first.messages.some((message) => message.type === 'executing'), 'executing');
    await first.close();
    await eventually(() => standIn.inspect.sockets().length === 0, 'the old socket gone');
    const again = await open('me');
    await again.until(() => again.messages.length >= 2, 'two messages');
    expect(again.messages[1]).toEqual({ type: 'executing', data: { node: '1' } });
  });

  it('E29 feature flags count only in the first valid JSON message', async () => {
    const answer = { supports_preview_metadata: true, max_upload_size: 104857600 };
    const good = await open('good');
    good.socket.send('not JSON');
    good.socket.send(FLAGS);
    await good.until(() => good.messages.length === 2, 'the flags');
    expect(good.messages[1]).toEqual({ type: 'feature_flags', data: answer });
    const late = await open('late');
    late.socket.send('{"type":"other"}');
    late.socket.send(FLAGS);
    await run(standIn, textGraph('later'));
    await late.until(
      () => late.messages.some((message) => message.type === 'status' && message.data['sid'] === undefined),
      'status',
    );
    expect(late.messages.filter((message) => message.type === 'feature_flags')).toEqual([]);
  });

  it('E30 message orders: fresh, fully cached, partly cached', async () => {
    const client = await open('me');
    const frame = (body: string[]) => ['S(1)', 'S(1)', 'start', ...body, 'success', 'S(0)', 'executing(null)'];
    expect(await watch(saveGraph('a'), client)).toEqual(
      frame([
        'cached()',
        'PS(1:r)',
        'executing(1)',
        'PS(1:f)',
        'PS(1:f 9:r)',
        'executing(9)',
        'executed(9)',
        'PS(1:f 9:f)',
      ]),
    );
    expect(await watch(saveGraph('a'), client)).toEqual(frame(['cached(1,9)', 'executed(9)', 'PS(9:f)']));
    expect(await watch(saveGraph('b'), client)).toEqual(
      frame(['cached(1)', 'PS(9:r)', 'executing(9)', 'executed(9)', 'PS(9:f)']),
    );
  });

  it('E30 message orders: error, interrupt, blocked both ways, dynamic cycle', async () => {
    const client = await open('me');
    const fail = {
      '1': { class_type: 'SandboxFail', inputs: { message: 'no', exception_type: 'ValueError' } },
      '2': SILENT,
    };
    expect((await watch(fail, client)).slice(-4)).toEqual([
      'executing(1)',
      'error(ValueError)',
      'S(0)',
      'executing(null)',
    ]);
    const id = await submit(standIn, sleepGraph(1000, 5), { client_id: 'me' });
    await running(standIn, id);
    await client.until(() => client.messages.at(-1)?.type === 'progress', 'progress');
    await call(standIn.url, '/interrupt', { body: {} });
    await client.untilEnd(id);
    expect(shapes(client.received).slice(-3)).toEqual(['interrupted', 'S(0)', 'executing(null)']);
    const block = (message: string) => ({
      '1': { class_type: 'SandboxBlock', inputs: { block: true, message } },
      '2': SILENT,
    });
    expect((await watch(block(''), client)).slice(-6)).toEqual([
      'PS(1:f 2:r)',
      'executing(2)',
      'PS(1:f 2:f)',
      'success',
      'S(0)',
      'executing(null)',
    ]);
    expect((await watch(block('why'), client)).slice(-5, -3)).toEqual(['error(ExecutionBlocked)', 'PS(1:f 2:f)']);
    const cycle = { '1': { class_type: 'SandboxCycle', inputs: {} }, '2': SILENT };
    expect((await watch(cycle, client)).slice(-3)).toEqual([
      'error(graph.DependencyCycleError)',
      'S(0)',
      'executing(null)',
    ]);
    const last = await finished(standIn, standIn.inspect.history().at(-1) ?? '');
    expect(last.status).toMatchObject({ status_str: 'success', completed: true });
    expect(last.status.messages.at(-1)?.[0]).toBe('execution_error');
  });

  it('E30 and E31 each client sees its own prompt; without client id only progress, previews and status go out', async () => {
    const [x, y] = [await open('x'), await open('y')];
    await submit(standIn, sleepGraph(2, 1), { client_id: 'x' });
    const second = await submit(standIn, sleepGraph(3, 1), { client_id: 'y' });
    await y.untilEnd(second);
    expect(shapes(x.received).filter((line) => line.startsWith('progress('))).toEqual([
      'progress(1/2)',
      'progress(2/2)',
    ]);
    expect(shapes(y.received).filter((line) => line.startsWith('progress('))).toEqual([
      'progress(1/3)',
      'progress(2/3)',
      'progress(3/3)',
    ]);
    const from = y.received.length;
    await run(standIn, sleepGraph(1, 1, { previews: true }));
    await y.until(() => shapes(y.received.slice(from)).at(-1) === 'S(0)', 'the end');
    const seen = new Set(shapes(y.received.slice(from - 1)).map((line) => line.replace(/\(.*/, '')));
    expect(seen).toEqual(new Set(['S', 'PS', 'progress', 'bin1']));
    const id = await submit(standIn, sleepGraph(1000, 5));
    await running(standIn, id);
    await y.until(() => y.messages.at(-1)?.type === 'progress', 'progress');
    await call(standIn.url, '/interrupt', { body: {} });
    await y.until(
      () => y.messages.some((message) => message.type === 'execution_interrupted'),
      'the broadcast interrupt',
    );
  });

  it('E32 previews are type 1, or type 4 for clients that asked, before or after progress', async () => {
    const client = await open('me');
    const graph = sleepGraph(1, 1, { previews: true });
    const plain = await watch(graph, client);
    expect(plain.slice(plain.indexOf('progress(1/1)') - 1, plain.indexOf('progress(1/1)') + 2)).toEqual([
      'PS(1:r)',
      'progress(1/1)',
      'bin1',
    ]);
    const frame = client.frames[0] ?? Buffer.alloc(0);
    expect([frame.readUInt32BE(0), frame.readUInt32BE(4), frame.subarray(8, 10).toString('hex')]).toEqual([
      1,
      1,
      'ffd8',
    ]);
    const flagged = await open('flagged');
    flagged.socket.send(FLAGS);
    await flagged.until(() => flagged.messages.length === 2, 'flags');
    const rich = await watch(sleepGraph(1, 2, { previews: true }), flagged, 'flagged');
    expect(rich.slice(rich.indexOf('bin4') - 1, rich.indexOf('bin4') + 2)).toEqual([
      'PS(1:r)',
      'bin4',
      'progress(1/1)',
    ]);
    const withMeta = flagged.frames[0] ?? Buffer.alloc(0);
    const length = withMeta.readUInt32BE(4);
    expect(JSON.parse(withMeta.subarray(8, 8 + length).toString())).toMatchObject({
      node_id: '1',
      display_node_id: '1',
      parent_node_id: null,
      real_node_id: '1',
      image_type: 'image/jpeg',
    });
    expect(withMeta.subarray(8 + length, 10 + length).toString('hex')).toBe('ffd8');
    await watch({ '12': { class_type: 'SandboxTextFrame', inputs: { text: 'grüß' } } }, client);
    const text = client.frames.at(-1) ?? Buffer.alloc(0);
    expect([
      text.readUInt32BE(0),
      text.readUInt32BE(4),
      text.subarray(8, 10).toString(),
      text.subarray(10).toString(),
    ]).toEqual([3, 2, '12', 'grüß']);
  });

  it('E33 execution_success comes before history, executing null after it; the gap can be widened', async () => {
    const client = await open('me');
    standIn.faults.arm({ kind: 'late-history', delayMs: 150 });
    const id = await submit(standIn, textGraph('slow'), { client_id: 'me' });
    await client.until(() => client.messages.some((message) => message.type === 'execution_success'), 'success');
    expect((await call(standIn.url, `/history/${id}`)).text).toBe('{}');
    expect(standIn.inspect.queue().running).toEqual([id]);
    await client.untilEnd(id);
    expect((await call(standIn.url, `/history/${id}`)).text).not.toBe('{}');
  });

  it('E34 a whole run can come before the answer to its POST', async () => {
    const client = await open('me');
    standIn.faults.arm({ kind: 'answer-after-run' });
    const id = await submit(standIn, textGraph('early'), { client_id: 'me' });
    expect(standIn.inspect.history()).toContain(id);
    await client.untilEnd(id);
  });

  it('E35 a second socket under an id takes over; the end of the first silences the second', async () => {
    const first = await open('me');
    const second = await open('me');
    const id = await submit(standIn, textGraph('to the second'), { client_id: 'me' });
    await second.untilEnd(id);
    expect(first.messages).toHaveLength(1);
    await first.close();
    await eventually(() => standIn.inspect.sockets().length === 0, 'the unconditional removal');
    const before = second.messages.length;
    await run(standIn, textGraph('to nobody'), { client_id: 'me' });
    await eventually(() => standIn.inspect.undelivered() === 0, 'delivery');
    expect(second.messages).toHaveLength(before);
    expect(standIn.inspect.openSockets()).toBe(1);
  });

  it('E36 a reader that stops stalls everybody until it is closed; new sockets still get their first status', async () => {
    const stalled = await open('stalled');
    const other = await open('other');
    (stalled.socket as unknown as { _socket: { pause(): void } })._socket.pause();
    const big = 'x'.repeat(4 * 1024 * 1024);
    for (const tag of ['1', '2', '3']) await run(standIn, textGraph(tag + big), { client_id: 'stalled' });
    await run(standIn, textGraph('to the other'), { client_id: 'other' });
    expect(standIn.inspect.undelivered()).toBeGreaterThan(0);
    expect(other.messages.some((message) => message.type === 'executed')).toBe(false);
    await open('new one');
    stalled.socket.terminate();
    await other.until(() => other.messages.some((message) => message.type === 'executed'), 'the flushed messages');
    await eventually(() => standIn.inspect.undelivered() === 0, 'an empty queue of messages');
  });

  it('E37 status counts are those of the moment the queue changed', async () => {
    const client = await open('watcher');
    const ids: string[] = [];
    for (let index = 0; index < 6; index += 1) ids.push(await submit(standIn, sleepGraph(3, 5, { label: `${index}` })));
    await finished(standIn, ids.at(-1) ?? '');
    await client.until(() => shapes(client.received).at(-1) === 'S(0)', 'the last status');
    const counts = shapes(client.received)
      .filter((line) => line.startsWith('S('))
      .map((line) => Number(line.slice(2, -1)));
    expect(counts).toHaveLength(18);
    expect(counts.slice(-10)).toEqual([5, 4, 4, 3, 3, 2, 2, 1, 1, 0]);
    expect(Math.max(...counts)).toBe(6);
  });

  it('E38 the newer profile throttles progress, the baseline sends every step', async () => {
    await using modern = await startComfyStandIn({ profile: 'late-2026' });
    const client = await open('me', modern);
    const id = await submit(modern, sleepGraph(60, 1), { client_id: 'me' });
    await client.untilEnd(id);
    const steps = shapes(client.received).filter((line) => line.startsWith('progress('));
    expect(steps.length).toBeLessThan(30);
    expect([steps[0], steps.at(-1)]).toEqual(['progress(1/60)', 'progress(60/60)']);
    const base = await open('me');
    expect((await watch(sleepGraph(60, 0), base)).filter((line) => line.startsWith('progress('))).toHaveLength(60);
  });
});
