// Following a run to its end, whatever the socket does: statements D26 to D42 of the ComfyUI protocol notes §7.1.
import { describe, expect, it } from 'vitest';
import { completed, emptyPicture, failureOf, pictureThrough, startDriverBench } from '../../support/driver-bench.ts';
import { until } from '../../support/runpod-emulator.ts';

const slow = (steps = 20) => pictureThrough('SandboxSleep', { steps, step_ms: 20, previews: true });

describe('tracking', () => {
  it('D26 completes although the socket never connects', async () => {
    const bench = await startDriverBench({ sockets: false });
    const { artifacts, receipt } = completed(await bench.run({ workflow: slow() }));
    expect(artifacts).toHaveLength(1);
    expect(receipt.nodes).toEqual([]);
    expect(bench.standIn.inspect.openSockets()).toBe(0);
  });

  it('D27 completes when the socket closes in the middle and does not come back', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'lost-socket', at: 'progress', refuseReconnectMs: 60_000 });
    expect(completed(await bench.run({ workflow: slow() })).artifacts).toHaveLength(1);
  });

  it('D28 completes when the socket stays open and falls silent', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'stalled-delivery', at: 'execution_start' });
    expect(completed(await bench.run({ workflow: slow() })).artifacts).toHaveLength(1);
    expect(bench.standIn.inspect.openSockets()).toBe(1);
  });

  it('D29 never uses a client id twice', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'lost-socket', at: 2, times: 3 });
    for (let i = 0; i < 3; i++) completed(await bench.run({ workflow: slow(3) }));
    await until(() => bench.standIn.inspect.sockets().length === 1);
    const ids = bench.proxy.seen.filter(({ method }) => method === 'UPGRADE').map(({ path }) => path);
    expect(ids.length).toBeGreaterThan(1);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(['huge', 'unknown-type', 'truncated-header'] as const)(
    'D30 survives a binary frame that is %s',
    async (frame) => {
      const bench = await startDriverBench();
      const fault = bench.standIn.faults.arm({ kind: 'odd-frame', at: 'executing', frame, times: 'always' });
      expect(completed(await bench.run({ workflow: slow(3) })).artifacts).toHaveLength(1);
      expect(fault.struck).toBeGreaterThan(0);
    },
  );

  it('D30 survives `executed` without output and doubled, swapped or missing events', async () => {
    const bench = await startDriverBench();
    const workflow = { ...slow(3), '20': { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } } };
    completed(await bench.run({ workflow }));
    bench.standIn.faults.arm({ kind: 'reshape-event', event: 'executing', action: 'duplicate', times: 'always' });
    completed(await bench.run({ workflow }));
    bench.standIn.faults.clear();
    bench.standIn.faults.arm({ kind: 'reshape-event', event: 'progress', action: 'swap-with-next', times: 'always' });
    completed(await bench.run({ workflow }));
    bench.standIn.faults.clear();
    bench.standIn.faults.arm({ kind: 'reshape-event', event: 'execution_success', action: 'drop' });
    expect(completed(await bench.run({ workflow })).artifacts).toHaveLength(1);
  });

  it("D31 shows nothing of other people's prompts", async () => {
    const bench = await startDriverBench();
    const fault = bench.standIn.faults.arm({ kind: 'foreign-events', event: 'progress_state', times: 'always' });
    const { outcome, events } = await bench.run({ workflow: slow(3) });
    expect(outcome.kind).toBe('completed');
    expect(fault.struck).toBeGreaterThan(0);
    expect(events.filter(({ node, step }) => node?.id === '999' || step?.max === 7)).toEqual([]);
  });

  it('D32 D33 waits for the history entry, not for the announcement of success or an empty queue', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'late-history', delayMs: 5_000 });
    const startedAt = performance.now();
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts).toHaveLength(1);
    expect(performance.now() - startedAt).toBeGreaterThan(4_500);
  });

  it('D34 goes on after an output was blocked, and judges by what came out', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'blocked-then-success' });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('OUTPUT_NONE');
  });

  it('D35 fails a job whose history says success and holds an error', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'error-in-success' }] } });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('NODE_FAILED');
  });

  it('D36 fails a success without outputs, and warns when one of several output nodes delivered nothing', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'empty-outputs' }] } });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('OUTPUT_NONE');
    const workflow = { ...emptyPicture(), '20': { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } } };
    const { receipt } = completed(await bench.run({ workflow }));
    expect(receipt.warnings).toEqual([
      { node: '20', message: 'Output node 20 (SandboxSilentOutput) delivered nothing.' },
    ]);
  });

  it('D37 reports a prompt that is nowhere as lost, after looking twice at queue and then history', async () => {
    const bench = await startDriverBench({ sockets: false });
    bench.standIn.faults.arm({ kind: 'history-evicted' });
    const { outcome, events } = await bench.run({ workflow: emptyPicture() });
    expect(outcome).toMatchObject({ kind: 'failed', error: { code: 'PROMPT_LOST' } });
    expect(events.at(-1)?.phase).not.toBe('delivering');
    const looks = bench.proxy.seen
      .filter(({ method, path }) => method === 'GET' && /^\/(queue|history\/)/.test(path))
      .map(({ path }) => (path === '/queue' ? 'q' : 'h'));
    // A look may begin anew on a busy machine; what counts is that history was asked after the queue, twice at least.
    expect(looks.join('').match(/qh/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('D38 reports a ComfyUI that restarted during the run as lost, and runs the next job', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'crash', at: 'progress', restartAfterMs: 200 });
    const error = failureOf(await bench.run({ workflow: slow() }));
    expect(error.code).toBe('PROMPT_LOST');
    expect(error.policy.retry).toBe('any-worker');
    expect(bench.standIn.inspect.accepted()).toHaveLength(1);
    expect(completed(await bench.run({ workflow: emptyPicture() })).artifacts).toHaveLength(1);
  });

  it('D38 reports a ComfyUI that went away for good', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'crash', at: 'progress' });
    expect(failureOf(await bench.run({ workflow: slow() })).code).toBe('COMFY_UNREACHABLE');
  });

  it('D39 gives up a ComfyUI whose worker thread is dead', async () => {
    const bench = await startDriverBench({ standIn: { faults: [{ kind: 'dead-worker' }] } });
    const limits = { stallMs: 1_000 };
    const error = failureOf(await bench.run({ workflow: emptyPicture(), limits }));
    expect(error.code).toBe('COMFY_STALLED');
    expect(error.policy.recycle).toBe(true);
    expect(bench.proxy.seen.filter(({ path }) => path === '/interrupt').length).toBeGreaterThan(1);
    expect(bench.logger.lines.join('\n')).toContain('ComfyUI is given up');
  });

  it('D39 does not call a slow node stalled while it reports progress', async () => {
    const bench = await startDriverBench({ stallMs: 1_000 });
    expect(completed(await bench.run({ workflow: slow(75) })).artifacts).toHaveLength(1);
  });

  it('D40 takes a history entry that answers 500 as an unreadable end, and deletes it', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'unreadable-history', times: 'always' });
    expect(failureOf(await bench.run({ workflow: emptyPicture() })).code).toBe('COMFY_PROTOCOL');
    expect(bench.standIn.inspect.history()).toEqual([]);
  });

  it('D41 ends at its own deadline, takes the run off ComfyUI and tells what was made before', async () => {
    const bench = await startDriverBench();
    const workflow = {
      ...slow(4_000),
      '10': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'b' } },
    };
    const result = await bench.run({ workflow, limits: { executionMs: 1_500 } });
    expect(failureOf(result).code).toBe('DEADLINE_EXCEEDED');
    expect(result.envelope).toMatchObject({ status: 'partial', artifacts: [{ node: '10' }] });
    expect(bench.standIn.inspect.queue()).toEqual({ running: [], pending: [] });
  });

  it('D41 ends before the time that RunPod allows', async () => {
    const bench = await startDriverBench();
    const startedAt = performance.now();
    const result = await bench.run({ workflow: slow(4_000) }, { executionTimeoutMs: 3_000 });
    expect(failureOf(result).code).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it('D41 ends before the time that RunPod allows also when the run does not stop', async () => {
    const bench = await startDriverBench();
    bench.standIn.faults.arm({ kind: 'interrupt-ignored', times: 'always' });
    const startedAt = performance.now();
    const result = await bench.run({ workflow: slow(4_000) }, { executionTimeoutMs: 5_000 });
    expect(failureOf(result).code).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(bench.logger.lines.join('\n')).toContain('ComfyUI is given up');
    // This worker can't restart a ComfyUI that it did not start: the next job would wait behind that prompt.
    expect(result.outcome).toMatchObject({ kind: 'failed', recycle: true });
  });

  it('D41 ends at its deadline also when ComfyUI never answers', async () => {
    const bench = await startDriverBench();
    completed(await bench.run({ workflow: emptyPicture() }));
    const always = { delayMs: null, times: 'always' } as const;
    bench.standIn.faults.arm({ kind: 'latency', endpoint: '/queue', ...always });
    bench.standIn.faults.arm({ kind: 'latency', endpoint: '/history/*', ...always });
    const result = await bench.run({ workflow: slow(), limits: { executionMs: 1_000 } });
    expect(failureOf(result).code).toBe('DEADLINE_EXCEEDED');
  });

  it('D42 tells times and cached nodes when events come, and the result when they do not', async () => {
    const bench = await startDriverBench();
    const first = completed(await bench.run({ workflow: slow(5) })).receipt;
    expect(first.nodes.find(({ node }) => node === '5')?.ms).toBeGreaterThan(80);
    expect(first.cached).toEqual([]);
    const second = completed(await bench.run({ workflow: slow(5) })).receipt;
    expect(second.cached.toSorted()).toEqual(['1', '5']);
  });

  it('tells progress in whole snapshots whose numbers only grow', async () => {
    const bench = await startDriverBench();
    await bench.comfy.ready(new AbortController().signal);
    const workflow = slow(5);
    const titled = { ...workflow, '5': { ...workflow['5'], _meta: { title: 'Wait a little' } } };
    const { events } = await bench.run({ workflow: titled });
    const sequence = events.map((event) => event.sequence);
    expect(sequence).toEqual(sequence.map((_, i) => i));
    const shares = events.flatMap(({ fraction }) => (fraction === undefined ? [] : [fraction]));
    expect(shares).toEqual(shares.toSorted((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
    expect(events.find(({ step }) => step?.value === 3)).toMatchObject({
      phase: 'running',
      node: { id: '5', classType: 'SandboxSleep', title: 'Wait a little' },
      step: { value: 3, max: 5 },
      nodes: { done: 1, total: 3 },
    });
    // Not `starting`: ComfyUI answered already.
    expect([...new Set(events.map(({ phase }) => phase))]).toEqual([
      'staging',
      'queued',
      'running',
      'collecting',
      'delivering',
    ]);
  });
});
