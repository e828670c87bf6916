// Waiting for jobs: events, leaving early, outages, servers without long polls, and the client's own end.
import { describe, expect, it } from 'vitest';
import { type JobEvent, saveArtifacts } from '../../../client/index.ts';
import { contractVersion } from '../../../shared/index.ts';
import {
  artifact,
  envelope,
  json,
  smallJob,
  startClientBench,
  startFakeApi,
  useClient,
  useFolder,
} from '../../support/client-bench.ts';
import { until } from '../../support/runpod-emulator.ts';

const bytes = Buffer.from('picture');
const done = { id: 'j', status: 'COMPLETED', output: envelope([artifact(bytes)]) };

function progress(sequence: number) {
  return { kind: 'comfy-runpod/progress', contract: contractVersion, sequence, phase: 'running', elapsedMs: 1 };
}

describe('events', () => {
  it('tell the statuses, the progress in order and the end, and nothing twice', async () => {
    const { bench, client } = await startClientBench();
    const worker = bench.worker();
    const job = await client.submit(smallJob);
    const events: JobEvent[] = [];
    const watching = (async () => {
      for await (const event of job) events.push(event);
    })();
    await until(() => events.length > 0);
    await worker.takeJob();
    for (const sequence of [1, 3]) {
      await worker.progress(job.id, progress(sequence));
      await until(() => events.some((event) => event.type === 'progress' && event.progress.sequence === sequence));
    }
    await worker.done(job.id, { output: done.output });
    await watching;
    expect(events.filter((event) => event.type === 'status').map((event) => event.status)).toEqual([
      'IN_QUEUE',
      'IN_PROGRESS',
      'COMPLETED',
    ]);
    expect(events.flatMap((event) => (event.type === 'progress' ? [event.progress.sequence] : []))).toEqual([1, 3]);
    expect(events.at(-1)).toMatchObject({ type: 'end', result: { kind: 'succeeded', jobId: job.id } });
  });

  it('stop every request when the loop is left, also in the middle of a long poll', async () => {
    const api = await startFakeApi((call, response) => {
      if (call.path.includes('/status/'))
        json(response, 200, { id: 'j', status: 'IN_PROGRESS', output: progress(api.calls.length) });
    });
    const client = useClient({ baseUrl: api.baseUrl });
    for await (const event of client.job('j')) if (event.type === 'progress') break;
    await until(() => api.open() === 0);
    const iterator = client.job('j').events()[Symbol.asyncIterator]();
    await iterator.next();
    const pending = iterator.next();
    const later = iterator.next();
    await iterator.return?.();
    expect((await later).done).toBe(true);
    await pending;
    await until(() => api.open() === 0);
    const count = api.calls.length;
    // Two polls would have been due by now.
    const next = await startFakeApi((_, response) => json(response, 200, done));
    await useClient({ baseUrl: next.baseUrl }).job('j').wait();
    expect(api.calls).toHaveLength(count);
  });
});

describe('a wait', () => {
  it('notices the end within one round trip of a held long poll', async () => {
    const { bench, client } = await startClientBench();
    const job = await client.submit(smallJob);
    const waiting = job.wait();
    await bench.seen('status-sync', 1);
    const worker = bench.worker();
    await worker.takeJob();
    await worker.done(job.id, { output: done.output });
    expect(await waiting).toMatchObject({ kind: 'succeeded' });
    expect(bench.emulator.inspect.requestsSeen('status-sync')).toHaveLength(1);
    expect(bench.emulator.inspect.requestsSeen('status')).toHaveLength(0);
  });

  it('ends with the reason of its signal, and the job goes on', async () => {
    const { bench, client } = await startClientBench();
    const job = await client.submit(smallJob);
    const stop = new AbortController();
    const waiting = job.wait({ signal: stop.signal });
    await bench.seen('status-sync', 1);
    stop.abort(new RangeError('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(bench.emulator.inspect.job(job.id)?.status).toBe('IN_QUEUE');
  });

  it('falls back to status requests where no long poll is offered', async () => {
    const { bench, client } = await startClientBench({
      faults: [{ route: 'status-sync', do: { kind: 'answer', status: 404 } }],
    });
    const job = await client.submit(smallJob);
    const waiting = job.wait();
    await bench.seen('status', 1);
    const worker = bench.worker();
    await worker.takeJob();
    await worker.done(job.id, { output: done.output });
    expect(await waiting).toMatchObject({ kind: 'succeeded' });
  });

  it('survives resets, cut answers, 500s and 429s on the way', async () => {
    const { bench, client } = await startClientBench({
      faults: [
        { route: 'status-sync', when: { nth: 1 }, do: { kind: 'reset', at: 'before' } },
        { route: 'status-sync', when: { nth: 2 }, do: { kind: 'answer', status: 502, text: '<html>' } },
        {
          route: 'status-sync',
          when: { nth: 3 },
          do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
        },
        { route: 'status-sync', when: { nth: 4 }, do: { kind: 'truncate' } },
      ],
    });
    const job = await client.submit(smallJob);
    const worker = bench.worker();
    await worker.takeJob();
    await worker.done(job.id, { output: done.output });
    expect(await job.wait()).toMatchObject({ kind: 'succeeded' });
    expect(bench.emulator.inspect.requestsSeen('status-sync')).toHaveLength(5);
  });

  it('gives a dead network up after its patience, with the id of the job', async () => {
    const { bench, client } = await startClientBench({ client: { outagePatienceMs: 700 } });
    const job = await client.submit(smallJob);
    await bench.emulator.close();
    await expect(job.wait()).rejects.toMatchObject({ code: 'NETWORK_UNREACHABLE', details: { jobId: job.id } });
  });

  it('is refused an answer that is larger than any result', async () => {
    const api = await startFakeApi((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const block = Buffer.alloc(1024 * 1024, 0x20);
      const more = () => {
        while (!response.destroyed && response.write(block));
      };
      response.on('drain', more);
      more();
    });
    const client = useClient({ baseUrl: api.baseUrl });
    await expect(client.job('j').wait()).rejects.toMatchObject({ code: 'PLATFORM_ANSWER_INVALID' });
    await until(() => api.open() === 0);
  });

  it('ends when the client is closed', async () => {
    const { bench, client } = await startClientBench();
    const job = await client.submit(smallJob);
    const waiting = job.wait();
    await bench.seen('status-sync', 1);
    await Promise.all([expect(waiting).rejects.toMatchObject({ code: 'JOB_CANCELLED' }), client.close()]);
    await client.close();
  });
});

describe('a submit', () => {
  it('is repeated when the connection was refused or RunPod said 429, and only then', async () => {
    const { bench, client } = await startClientBench({
      faults: [
        { route: 'run', when: { nth: 1 }, do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } } },
        { route: 'run', when: { nth: 3 }, do: { kind: 'answer', at: 'after', status: 502 } },
        { route: 'run', when: { nth: 4 }, do: { kind: 'truncate' } },
        { route: 'run', when: { nth: 5 }, do: { kind: 'reset', at: 'after' } },
      ],
    });
    await client.submit(smallJob);
    expect(bench.emulator.inspect.requestsSeen('run')).toHaveLength(2);
    for (let nth = 3; nth <= 5; nth++) {
      await expect(client.submit(smallJob)).rejects.toMatchObject({ code: 'SUBMIT_UNCERTAIN' });
      expect(bench.emulator.inspect.requestsSeen('run')).toHaveLength(nth);
    }
  });

  it('that its caller leaves is cancelled as soon as its id arrives', async () => {
    const { bench, client } = await startClientBench({ faults: [{ route: 'run', do: { kind: 'delay', ms: 200 } }] });
    const stop = new AbortController();
    const submitting = client.submit(smallJob, { signal: stop.signal });
    await bench.seen('run', 1);
    stop.abort(new RangeError('left'));
    await expect(submitting).rejects.toThrow('left');
    await until(() => bench.emulator.inspect.jobs()[0]?.status === 'CANCELLED');
  });

  it('with unsafe names, bad base64 or two files of one name is refused before anything is sent', async () => {
    const { bench, client } = await startClientBench();
    const cases: [readonly { name: string; data: string }[], string][] = [
      [[{ name: '../up.png', data: 'AAAA' }], 'FILE_NAME_UNSAFE'],
      [[{ name: '/etc/passwd', data: 'AAAA' }], 'FILE_NAME_UNSAFE'],
      [[{ name: 'C:\\x.png', data: 'AAAA' }], 'FILE_NAME_UNSAFE'],
      [[{ name: 'a\0.png', data: 'AAAA' }], 'FILE_NAME_UNSAFE'],
      [[{ name: 'a.png', data: 'not base64!' }], 'FILE_BASE64_INVALID'],
      [[{ name: 'a.png', data: '' }], 'FILE_EMPTY'],
      [
        [
          { name: 'a.png', data: 'AAAA' },
          { name: 'a.png', data: 'AAAA' },
        ],
        'INPUT_INVALID',
      ],
    ];
    for (const [files, code] of cases) {
      await expect(client.submit({ ...smallJob, files: [...files] })).rejects.toMatchObject({ code });
    }
    expect(bench.emulator.inspect.requestsSeen()).toHaveLength(0);
  });
});

describe('saving', () => {
  it('never overwrites, also when many results are saved at once', async () => {
    const folder = await useFolder();
    const saved = await Promise.all(Array.from({ length: 8 }, () => saveArtifacts([artifact(bytes)], { folder })));
    expect(new Set(saved.flat().map((file) => file.path)).size).toBe(8);
  });
});
