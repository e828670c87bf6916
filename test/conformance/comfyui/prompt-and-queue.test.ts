// ComfyUI protocol notes §7.2, prompt and queue: E08 to E20.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call, type HttpAnswer } from './support/http-client.ts';
import {
  eventually,
  finished,
  nodeErrors,
  post,
  run,
  running,
  saveGraph,
  sleepGraph,
  submit,
  textGraph,
} from './support/prompts.ts';
import { SocketClient } from './support/socket-client.ts';

const UUID = '0b6f0b0e-9c53-4f1c-8f1d-3a2f5b1c7d9e';

function errorOf(answer: HttpAnswer) {
  return (answer.json as { error: { type: string; message: string; details: string } }).error;
}

function numberOf(answer: HttpAnswer): string | undefined {
  return /"number": ([^,]+),/.exec(answer.text)?.[1];
}

function types(inputs: Record<string, unknown>) {
  return { '1': { class_type: 'SandboxTypes', inputs } };
}

describe('prompts and the queue of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  beforeEach(async () => {
    standIn = await startComfyStandIn();
  });
  afterEach(async () => {
    await standIn.close();
  });

  it('E08 the counter starts at 0 and grows on refusals; front negates; given numbers become floats', async () => {
    expect(numberOf(await post(standIn, textGraph('a')))).toBe('0');
    expect((await post(standIn, {})).status).toBe(400);
    expect(numberOf(await post(standIn, textGraph('b'), { front: true }))).toBe('-2');
    expect(numberOf(await post(standIn, textGraph('c'), { number: '7' }))).toBe('7.0');
    expect(numberOf(await post(standIn, textGraph('d')))).toBe('3');
    expect((await post(standIn, textGraph('e'), { number: 'x' })).status).toBe(500);
  });

  it('E09 the lowest number runs first, equal numbers by id; an equal id too is 500 although it was queued', async () => {
    const blocker = await submit(standIn, sleepGraph(1000, 5));
    await running(standIn, blocker);
    await submit(standIn, textGraph('late'), { number: 9, prompt_id: 'late' });
    await submit(standIn, textGraph('b'), { number: 1, prompt_id: 'b' });
    await submit(standIn, textGraph('a'), { number: 1, prompt_id: 'a' });
    expect((await post(standIn, textGraph('other'), { number: 1, prompt_id: 'a' })).status).toBe(500);
    expect(standIn.inspect.queue().pending).toHaveLength(4);
    await call(standIn.url, '/queue', { body: { delete: ['a'] } });
    await call(standIn.url, '/interrupt', { body: {} });
    await finished(standIn, 'late');
    expect(standIn.inspect.history()).toEqual([blocker, 'a', 'b', 'late']);
  });

  it('E09 two equal entries below a smaller one kill the worker when it pops them', async () => {
    await running(standIn, await submit(standIn, sleepGraph(1000, 5)));
    await submit(standIn, textGraph('first'), { number: -5, prompt_id: 'first' });
    expect((await post(standIn, textGraph('x'), { number: 1, prompt_id: 'same' })).status).toBe(200);
    expect((await post(standIn, textGraph('y'), { number: 1, prompt_id: 'same' })).status).toBe(200);
    await call(standIn.url, '/interrupt', { body: {} });
    await eventually(() => !standIn.inspect.workerAlive(), 'the dead worker');
    expect((await post(standIn, textGraph('never'))).status).toBe(200);
  });

  it('E10 the baseline takes any prompt id, the newer profile only canonical UUIDs', async () => {
    const idFor = async (value: unknown) =>
      ((await post(standIn, textGraph(String(value)), { prompt_id: value })).json as { prompt_id: string }).prompt_id;
    expect(await idFor(null)).toBe('None');
    expect(await idFor(12)).toBe('12');
    expect(await idFor('')).toBe('');
    expect(await idFor('not-a-uuid')).toBe('not-a-uuid');
    await using modern = await startComfyStandIn({ profile: 'late-2026' });
    for (const bad of ['not-a-uuid', UUID.toUpperCase(), 5, '']) {
      const answer = await post(modern, textGraph('x'), { prompt_id: bad });
      expect(answer.status).toBe(400);
      expect(errorOf(answer)).toMatchObject({ type: 'invalid_prompt_id', message: 'prompt_id must be a valid UUID' });
    }
    expect(await submit(modern, textGraph('x'), { prompt_id: UUID })).toBe(UUID);
    expect(await submit(modern, textGraph('y'), { prompt_id: null })).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('E11 every refusal has its type, message, details and extra_info', async () => {
    expect(errorOf(await call(standIn.url, '/prompt', { body: [] })).type).toBe('no_prompt');
    expect(errorOf(await post(standIn, { '1': { inputs: {} } })).message).toContain('missing the class_type property');
    expect(errorOf(await post(standIn, { '1': 'text' })).details).toBe("Node ID '#1'");
    const unknown = await post(standIn, { '1': { class_type: 'Nope', inputs: {} } });
    expect(errorOf(unknown).message).toBe('Cannot execute because node Nope does not exist.');
    for (const bad of [5, null, 'text', { '1': 5 }, { '1': { class_type: ['x'] } }]) {
      expect((await post(standIn, bad)).status, JSON.stringify(bad)).toBe(500);
    }
    expect((await post(standIn, textGraph('x'), { client_id: 'c', extra_data: [1] })).status).toBe(500);
    const inputs = { number: 'abc', fraction: 5, few: 'z', value: [1], text: ['77', 0] };
    const answer = await post(standIn, types(inputs));
    expect(nodeErrors(answer, '1').map((error) => [error['type'], error['details']])).toEqual([
      ['exception_during_validation', "'77'"],
    ]);
    const direct = nodeErrors(await post(standIn, types({ ...inputs, text: 'ok' })), '1');
    expect(direct.map((error) => [error['type'], error['message'], error['details']])).toEqual([
      [
        'invalid_input_type',
        'Failed to convert an input value to a INT value',
        "number, abc, invalid literal for int() with base 10: 'abc'",
      ],
      ['value_bigger_than_max', 'Value 5.0 bigger than max of 1.0', 'fraction'],
      ['bad_linked_input', 'Bad linked input, must be a length-2 list of [node_id, slot_index]', 'value'],
      ['value_not_in_list', 'Value not in list', "few: 'z' not in ['a', 'b', 'c']"],
    ]);
    const small = await post(standIn, types({ number: -11 }));
    expect(nodeErrors(small, '1')[0]).toMatchObject({ message: 'Value -11 smaller than min of -10' });
    const slot = await post(standIn, {
      ...saveGraph('x'),
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 4], filename_prefix: 'x' } },
    });
    expect(nodeErrors(slot, '9')[0]).toMatchObject({
      details: 'tuple index out of range',
      extra_info: { exception_type: 'IndexError' },
    });
    const missing = await post(standIn, { '9': { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } } });
    expect(nodeErrors(missing, '9')[0]).toMatchObject({
      type: 'required_input_missing',
      extra_info: { input_name: 'images' },
    });
    const file = await post(standIn, {
      '1': { class_type: 'LoadImage', inputs: { image: 'no.png' } },
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
    });
    expect(nodeErrors(file, '1')[0]).toMatchObject({
      type: 'custom_validation_failed',
      details: 'image - Invalid image file: no.png',
    });
    const inner = await post(standIn, {
      '1': { class_type: 'EmptyImage' },
      '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
    });
    expect(nodeErrors(inner, '1')[0]).toMatchObject({
      type: 'exception_during_inner_validation',
      details: "'inputs'",
      extra_info: { input_name: 'images', linked_node: ['1', 0] },
    });
  });

  it('E11 the newer profile names missing classes, cycles and unknown V3 options', async () => {
    await using modern = await startComfyStandIn({ profile: 'late-2026' });
    const titled = { '1': { class_type: 'Nope', inputs: {}, _meta: { title: 'My node' } } };
    expect((await post(modern, titled)).json).toMatchObject({
      error: {
        type: 'missing_node_type',
        message: "Node 'My node' not found. The custom node may not be installed.",
        extra_info: { node_id: '1', class_type: 'Nope', node_title: 'My node' },
      },
    });
    const cycle = await post(modern, {
      '2': { class_type: 'SandboxShow', inputs: { text: ['3', 0] } },
      '3': { class_type: 'SandboxShow', inputs: { text: ['2', 0] } },
      '4': { class_type: 'SandboxSilentOutput', inputs: { value: ['2', 0] } },
    });
    expect(nodeErrors(cycle, '2')[0]).toMatchObject({
      type: 'dependency_cycle',
      details: '2 (SandboxShow) -> 3 (SandboxShow) -> 2 (SandboxShow)',
    });
    expect(nodeErrors(await post(modern, types({ modern: 'q' })), '1')[0]).toMatchObject({ type: 'value_not_in_list' });
    expect((await post(standIn, types({ modern: 'q' }))).status).toBe(200);
  });

  it('E12 error.details is empty when only upstream nodes have errors', async () => {
    const graph = saveGraph('x');
    graph['1'] = { class_type: 'EmptyImage', inputs: { width: 0, height: 8, batch_size: 1, color: 0 } };
    const answer = await post(standIn, graph);
    expect(errorOf(answer)).toMatchObject({ type: 'prompt_outputs_failed_validation', details: '' });
    expect(nodeErrors(answer, '1')).toHaveLength(1);
  });

  it('E13 one good output is enough: 200 with node_errors, and only it runs', async () => {
    const graph = { ...saveGraph('good'), '8': { class_type: 'SaveImage', inputs: { filename_prefix: 'bad' } } };
    const answer = await post(standIn, graph);
    expect(answer.status).toBe(200);
    expect(nodeErrors(answer, '8')[0]).toMatchObject({ type: 'required_input_missing' });
    const entry = await finished(standIn, (answer.json as { prompt_id: string }).prompt_id);
    expect(entry.prompt[4]).toEqual(['9']);
    expect(Object.keys(entry.outputs)).toEqual(['9']);
  });

  it('E14 coerced constants show in history', async () => {
    const entry = await run(standIn, types({ number: '12', fraction: '0.5', flag: 'false', text: 5 }));
    expect(entry.prompt[2]['1']).toMatchObject({ inputs: { number: 12, fraction: 0.5, flag: true, text: '5' } });
    const cut = await run(standIn, types({ number: 3.9, fraction: 1 }));
    expect(cut.prompt[2]['1']).toMatchObject({ inputs: { number: 3, fraction: 1 } });
    const raw = await call(standIn.url, '/history?max_items=1');
    expect(raw.text).toContain('"number": 3, "fraction": 1.0');
  });

  it('E15 __value__ wrappers are unwrapped and undeclared inputs ignored', async () => {
    const entry = await run(standIn, types({ value: { __value__: ['9', 'b', 3] }, undeclared: 7 }));
    expect(entry.prompt[2]['1']).toMatchObject({ inputs: { value: ['9', 'b', 3], undeclared: 7 } });
    expect(entry.outputs['1']?.['text']).toEqual(["value=['9', 'b', 3]"]);
  });

  it('E16 long option lists are not repeated in the refusal', async () => {
    const [error] = nodeErrors(await post(standIn, types({ many: 'zzz' })), '1');
    expect(error).toMatchObject({
      details: "many: 'zzz' not in (list of length 25)",
      extra_info: { input_config: null, received_value: 'zzz' },
    });
  });

  it('E17 partial_execution_targets restrict the outputs; an empty list leaves none', async () => {
    const graph = { ...saveGraph('a'), ...{ '5': textGraph('t')['1'] } };
    expect((await run(standIn, graph, { partial_execution_targets: ['5'] })).prompt[4]).toEqual(['5']);
    expect(errorOf(await post(standIn, graph, { partial_execution_targets: [] })).type).toBe('prompt_no_outputs');
  });

  it('E18 queue items are five-tuples, pending ones in heap order', async () => {
    await running(standIn, await submit(standIn, sleepGraph(1000, 5)));
    const numbers = [96, 95, -98, -97, -1000.5];
    for (const number of numbers) await submit(standIn, textGraph(String(number)), { number });
    const { json } = await call(standIn.url, '/queue');
    const { queue_running, queue_pending } = json as { queue_running: unknown[][]; queue_pending: unknown[][] };
    expect(queue_running).toHaveLength(1);
    expect(queue_pending.map((item) => item.length)).toEqual([5, 5, 5, 5, 5]);
    // A binary heap of these insertions, laid out by hand.
    expect(queue_pending.map((item) => item[0])).toEqual([-1000.5, -98, 95, 96, -97]);
  });

  it('E19 deleting and clearing is always 200, leaves no history and broadcasts status', async () => {
    await using client = await SocketClient.open(standIn.url, 'watcher');
    const blocker = await submit(standIn, sleepGraph(1000, 5));
    await running(standIn, blocker);
    const ids = [
      await submit(standIn, textGraph('a')),
      await submit(standIn, textGraph('b')),
      await submit(standIn, textGraph('c')),
    ];
    const remaining = () =>
      client.messages.flatMap((message) => {
        const status = message.data['status'] as { exec_info: { queue_remaining: number } } | undefined;
        return message.type === 'status' && status !== undefined ? [status.exec_info.queue_remaining] : [];
      });
    await client.until(() => remaining().at(-1) === 4, 'four jobs');
    expect(await call(standIn.url, '/queue', { body: { delete: [ids[0], 'unknown', blocker] } })).toMatchObject({
      status: 200,
      text: '',
    });
    expect((await call(standIn.url, '/queue', { body: { clear: true } })).status).toBe(200);
    await client.until(() => remaining().slice(-2).join() === '3,1', 'both changes');
    await call(standIn.url, '/interrupt', { body: {} });
    await finished(standIn, blocker);
    expect(standIn.inspect.history()).toEqual([blocker]);
  });

  it('E20 a job is never absent from queue and history at once', async () => {
    for (let index = 0; index < 15; index += 1) {
      const id = await submit(standIn, textGraph(`job ${index}`));
      for (;;) {
        const queue = (await call(standIn.url, '/queue')).text.includes(id);
        const history = (await call(standIn.url, `/history/${id}`)).text.includes(id);
        expect(queue || history).toBe(true);
        if (history) break;
      }
    }
  });
});
