// What the driver makes of ComfyUI's answers, events and log, whatever they hold.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readHistoryEntry } from '../../../worker/comfy/history.ts';
import { knownFlags, launchArguments } from '../../../worker/comfy/launch-arguments.ts';
import { LogTail } from '../../../worker/comfy/log-tail.ts';
import { issuesOf, rejectionError } from '../../../worker/comfy/rejection.ts';
import { RunProgress } from '../../../worker/comfy/run-progress.ts';
import { capabilitiesOf, isAtLeast } from '../../../worker/comfy/server-info.ts';
import { decodeBinary, decodeText } from '../../../worker/comfy/socket-messages.ts';

const prompt = { '3': { class_type: 'KSampler', inputs: {} }, '9': { class_type: 'SaveImage', inputs: {} } };
const same = (text: string) => text;
const read = (entry: unknown) => readHistoryEntry(entry, prompt, same);
const errorMessage = (fields: object) => [
  'execution_error',
  { node_id: '3', node_type: 'KSampler', exception_type: 'ValueError', exception_message: 'no\n', ...fields },
];
const entryWith = (status: string, ...messages: unknown[]) => ({
  outputs: {},
  status: { status_str: status, messages },
});

describe('a history entry', () => {
  it.each([
    ['success', entryWith('success', ['execution_success', {}]), undefined],
    ['no status', { outputs: {}, status: null }, undefined],
    ['failed node', entryWith('error', errorMessage({})), 'NODE_FAILED'],
    ['error in a success', entryWith('success', errorMessage({})), 'NODE_FAILED'],
    ['error without a message', entryWith('error'), 'NODE_FAILED'],
    ['interrupt', entryWith('error', ['execution_interrupted', {}]), 'JOB_CANCELLED'],
    ['memory', entryWith('error', errorMessage({ exception_type: 'torch.OutOfMemoryError' })), 'OUT_OF_MEMORY'],
    [
      'older memory',
      entryWith('error', errorMessage({ exception_type: 'torch.cuda.OutOfMemoryError' })),
      'OUT_OF_MEMORY',
    ],
    [
      'GPU fault',
      entryWith('error', errorMessage({ exception_message: 'CUDA error: an illegal memory access' })),
      'GPU_BROKEN',
    ],
  ])('of a %s', (_what, entry, code) => {
    expect(read(entry).failure?.code).toBe(code);
  });

  it('tells the failing node and its message, and nothing of its inputs', () => {
    const { failure } = read(entryWith('error', errorMessage({ current_inputs: { text: ['a secret prompt'] } })));
    expect(failure?.message).toBe('Failed in node 3 (KSampler): ValueError: no');
    expect(JSON.stringify([failure?.message, failure?.issues, failure?.details])).not.toContain('secret');
  });

  it('never throws, whatever it holds', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => read(value).cached.length >= 0));
  });
});

describe('a refusal', () => {
  it('never throws, whatever it holds, and is always coded', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(rejectionError(value, prompt, same).code).toMatch(/^WORKFLOW_/);
        expect(issuesOf(value, prompt, same)).toBeInstanceOf(Array);
      }),
    );
  });

  it.each([
    ['invalid_prompt', 'Cannot execute because node Foo does not exist.', 'WORKFLOW_UNKNOWN_NODE'],
    ['missing_node_type', "Node 'Foo' not found. The custom node may not be installed.", 'WORKFLOW_UNKNOWN_NODE'],
    ['prompt_no_outputs', 'Prompt has no outputs', 'WORKFLOW_NO_OUTPUT'],
    ['no_prompt', 'No prompt provided', 'WORKFLOW_REJECTED'],
  ])('of type %s', (type, message, code) => {
    const answer = { error: { type, message, details: '', extra_info: {} }, node_errors: {} };
    expect(rejectionError(answer, prompt, same).code).toBe(code);
  });
});

describe('events', () => {
  const message = (type: string, data: object) =>
    decodeText(JSON.stringify({ type, data: { prompt_id: 'p', ...data } })) ?? { type: '', promptId: '', data: {} };

  it('decodes only what names a prompt', () => {
    expect(decodeText('{"type":"executing","data":{"node":"3"}}')).toBeUndefined();
    expect(decodeText('{"type":"status","data":{"status":{}}}')).toBeUndefined();
    expect(decodeText('not json')).toBeUndefined();
    expect(decodeText('{"type":"progress","data":{"prompt_id":"p","value":NaN}}')?.promptId).toBe('p');
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => decodeBinary(Buffer.from(bytes)) === undefined || bytes.length >= 8),
    );
  });

  it('reads the prompt of a preview with metadata', () => {
    const metadata = Buffer.from('{"prompt_id":"p","node_id":"3"}');
    const head = Buffer.alloc(8);
    head.writeUInt32BE(4, 0);
    head.writeUInt32BE(metadata.length, 4);
    expect(decodeBinary(Buffer.concat([head, metadata, Buffer.from('jpeg')]))).toMatchObject({
      promptId: 'p',
      type: 'preview',
    });
  });

  it('does not take a blocked output for the end', () => {
    const progress = new RunProgress(['3', '9'], () => 0);
    expect(progress.accept(message('execution_error', { exception_type: 'ExecutionBlocked' }))).toBe('none');
    expect(progress.accept(message('execution_error', { exception_type: 'ValueError' }))).toBe('likely');
    expect(progress.accept(message('executing', { node: null }))).toBe('recorded');
  });

  it('counts cached and finished nodes and never goes back, in any order of events', () => {
    const events = fc.array(
      fc.constantFrom(
        message('execution_cached', { nodes: ['3', 7, 'unknown'] }),
        message('executing', { node: '3', display_node: '3' }),
        message('executing', { node: '3.0.0.1', display_node: '3' }),
        message('executing', { node: '9' }),
        message('progress', { node: '3', value: 3, max: 10 }),
        message('progress', { node: '3', value: 'x', max: null }),
        message('progress_state', { nodes: { '3': { node_id: '3', state: 'finished', value: 1, max: 1 } } }),
        message('progress_state', { nodes: 'odd' }),
        message('executed', { node: '9', output: null }),
        message('execution_success', {}),
      ),
    );
    fc.assert(
      fc.property(events, (list) => {
        const progress = new RunProgress(['3', '9'], () => 0);
        let last = 0;
        for (const event of list) {
          progress.accept(event);
          const { fraction, done, total } = progress.snapshot();
          expect(fraction).toBeGreaterThanOrEqual(last);
          expect(fraction).toBeLessThanOrEqual(1);
          expect(done).toBeLessThanOrEqual(total);
          last = fraction;
        }
      }),
    );
  });
});

describe('versions', () => {
  it.each([
    ['0.3.64', false],
    ['0.25.9', false],
    ['0.26.0', true],
    ['v0.26.0-3-gabc', true],
    ['1.0', true],
    ['unknown', true],
  ])('%s has the atomic cancel: %s', (version, expected) => {
    expect(capabilitiesOf(version).jobCancel).toBe(expected);
  });

  it('compares numbers and not texts', () => {
    expect(isAtLeast('0.3.100', [0, 3, 64])).toBe(true);
    expect(isAtLeast('0.3.9', [0, 3, 64])).toBe(false);
  });
});

describe('the command line', () => {
  const directories = { input: '/w/input', output: '/w/output', temp: '/w/temp', user: '/w/user' };

  it('gives the parent of the temp folder, because ComfyUI appends `temp`', () => {
    const known = new Set(['--temp-directory', '--listen', '--port']);
    const argv = launchArguments({ known, port: 1, directories, extra: [] });
    expect(argv).toEqual(['main.py', '--listen', '127.0.0.1', '--port', '1', '--temp-directory', '/w']);
  });

  it('lets own arguments win', () => {
    const known = new Set(['--listen', '--port', '--disable-metadata']);
    const argv = launchArguments({ known, port: 1, directories, extra: ['--port', '2', '--cpu'] });
    expect(argv).toEqual(['main.py', '--listen', '127.0.0.1', '--disable-metadata', '--port', '2', '--cpu']);
  });

  it('passes only old flags to a ComfyUI whose source can not be read', async () => {
    const known = await knownFlags('/nonexistent');
    expect(launchArguments({ known, port: 1, directories, extra: [] })).not.toContain('--user-directory');
  });
});

describe('the log tail', () => {
  it('shows all of a failing start', () => {
    const tail = new LogTail();
    tail.add('stderr', 'usage: main.py\nmain.py: error: unrecog');
    tail.add('stderr', 'nized arguments: --x\n');
    expect(tail.text()).toBe('usage: main.py\nmain.py: error: unrecognized arguments: --x');
  });

  it('shows where Python was and nothing that a job sent, once jobs run', () => {
    const tail = new LogTail();
    tail.promptsBegin();
    tail.add(
      'stderr',
      [
        'Failed to validate prompt for output 9:',
        "* KSampler 3:\n  - Value not in list: sampler: 'a secret' not in ['euler']",
        '!!! Exception during processing !!! a secret prompt',
        'Traceback (most recent call last):',
        '  File "/app/execution.py", line 12, in execute',
        '    raise ValueError("a secret prompt")',
        'ValueError: a secret prompt',
        'Segmentation fault',
        '',
      ].join('\n'),
    );
    expect(tail.text()).toBe(
      'Traceback (most recent call last):\n  File "/app/execution.py", line 12, in execute\nValueError\nSegmentation fault',
    );
  });
});
