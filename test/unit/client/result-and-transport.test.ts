import { describe, expect, it } from 'vitest';
import { createClient, createInProcessTransport, type InProcessRunner } from '../../../client/index.ts';
import { readJobResult } from '../../../client/job-result.ts';
import { httpStatusError } from '../../../client/transport/runpod/http-status-error.ts';
import { networkError, provesNotSent } from '../../../client/transport/runpod/network-error.ts';
import { ComfyRunpodError, contractVersion, type ProgressEvent } from '../../../shared/index.ts';
import { artifact, envelope, smallJob } from '../../support/client-bench.ts';

const picture = artifact(Buffer.from('x'));

describe('what a terminal view means', () => {
  it('is success only for a whole envelope of this contract with something in it', () => {
    const read = (output: unknown, more = {}) => readJobResult({ id: 'j', status: 'COMPLETED', output, ...more });
    expect(read(envelope([picture]))).toMatchObject({ kind: 'succeeded' });
    for (const [output, code] of [
      [undefined, 'RESULT_INVALID'],
      [null, 'RESULT_INVALID'],
      [[], 'RESULT_INVALID'],
      ['text', 'RESULT_INVALID'],
      [{ status: 'success', images: [] }, 'RESULT_INVALID'],
      [envelope([picture], { contract: contractVersion + 1 }), 'RESULT_INVALID'],
      [envelope([picture], { status: 'partial' }), 'RESULT_INVALID'],
      [envelope([]), 'OUTPUT_NONE'],
    ] as const) {
      expect(read(output)).toMatchObject({ kind: 'failed', error: { code } });
    }
    expect(read(envelope([picture]), { error: 'boom' })).toMatchObject({
      kind: 'failed',
      error: { code: 'JOB_FAILED' },
    });
  });

  it("tells the platform's own endings apart", () => {
    const failed = (error: unknown) => readJobResult({ id: 'j', status: 'FAILED', error });
    expect(failed('job timed out after 1 retries')).toMatchObject({ error: { code: 'WORKER_LOST' } });
    expect(failed('executionTimeout exceeded')).toMatchObject({ error: { code: 'DEADLINE_EXCEEDED' } });
    expect(failed(undefined)).toMatchObject({ error: { code: 'JOB_FAILED' } });
    expect(failed({ odd: true })).toMatchObject({ error: { code: 'JOB_FAILED' } });
    expect(readJobResult({ id: 'j', status: 'TIMED_OUT' })).toMatchObject({
      kind: 'timedOut',
      error: { code: 'JOB_TIMED_OUT' },
    });
  });
});

describe('errors of the way', () => {
  it('have one code per HTTP status, which depends on what was asked', () => {
    const code = (status: number, operation: Parameters<typeof httpStatusError>[1], body: unknown = '') =>
      httpStatusError({ status, body, retryAfter: '3' }, operation).code;
    expect(code(401, 'run')).toBe('UNAUTHORIZED');
    expect(code(404, 'run')).toBe('ENDPOINT_NOT_FOUND');
    expect(code(404, 'health')).toBe('ENDPOINT_NOT_FOUND');
    expect(code(404, 'status')).toBe('JOB_NOT_FOUND');
    expect(code(429, 'run')).toBe('RATE_LIMITED');
    expect(code(500, 'run')).toBe('SUBMIT_UNCERTAIN');
    expect(code(500, 'status')).toBe('PLATFORM_ERROR');
    expect(code(400, 'run', { error: 'exceeded max body size of 10MiB' })).toBe('BODY_TOO_LARGE');
    expect(code(400, 'run', { error: 'input must be an object' })).toBe('INPUT_INVALID');
    expect(code(302, 'status')).toBe('PLATFORM_ANSWER_INVALID');
    expect(httpStatusError({ status: 429, body: '', retryAfter: '3' }, 'status').details['retryAfterMs']).toBe(3_000);
  });

  it('prove that nothing was sent only when no connection existed', () => {
    const failure = (code: string) => new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code }) });
    for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT', 'CERT_HAS_EXPIRED']) {
      expect(provesNotSent(failure(code))).toBe(true);
    }
    for (const code of ['ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'EPIPE']) {
      expect(provesNotSent(failure(code))).toBe(false);
    }
    const tried = new AggregateError([Object.assign(new Error('x'), { code: 'ECONNREFUSED' })]);
    expect(provesNotSent(new TypeError('fetch failed', { cause: tried }))).toBe(true);
    expect(networkError(failure('CERT_HAS_EXPIRED'), 'h')).toMatchObject({
      code: 'NETWORK_UNREACHABLE',
      nextStep: expect.stringContaining('TLS') as string,
    });
    expect(networkError(new DOMException('x', 'TimeoutError'), 'h').code).toBe('NETWORK_TIMEOUT');
  });
});

describe('a runner in this process', () => {
  const event = (sequence: number): ProgressEvent => ({
    kind: 'comfy-runpod/progress',
    contract: 1,
    sequence,
    phase: 'running',
    elapsedMs: 0,
  });
  const body = (value: unknown) => ({ chunks: () => [Buffer.from(JSON.stringify(value))] });
  const useRunner = (run: InProcessRunner['run']) => createClient({ transport: createInProcessTransport({ run }) });

  it('ends as RunPod would: completed, failed with what was made, cancelled', async () => {
    const error = new ComfyRunpodError('NODE_FAILED', 'no', { issues: [{ node: '1', message: 'm' }] });
    await using good = useRunner(async () => ({ kind: 'completed', output: body(envelope([picture])) }));
    await using bad = useRunner(async () => ({
      kind: 'failed',
      error,
      output: body(envelope([picture], { status: 'partial' })),
    }));
    await using broken = useRunner(() => Promise.reject(new Error('secret')));
    expect(await (await good.submit(smallJob)).wait()).toMatchObject({ kind: 'succeeded' });
    expect(await (await bad.submit(smallJob)).wait()).toMatchObject({
      kind: 'failed',
      error: { code: 'NODE_FAILED', issues: [{ node: '1' }] },
      partial: { artifacts: [{ name: picture.name }] },
    });
    const defect = await (await broken.submit(smallJob)).wait();
    expect(defect).toMatchObject({ kind: 'failed', error: { code: 'INTERNAL' } });
    expect(JSON.stringify(defect)).not.toContain('secret');
  });

  it('tells progress, obeys cancel, and is stopped by closing the client', async () => {
    const client = useRunner(
      (_, context) =>
        new Promise((resolve) => {
          context.onProgress(event(1));
          context.signal.addEventListener('abort', () => resolve({ kind: 'cancelled' }));
        }),
    );
    const job = await client.submit(smallJob);
    for await (const seen of job) {
      if (seen.type === 'progress') await job.cancel();
      if (seen.type === 'end') expect(seen.result.kind).toBe('cancelled');
    }
    const left = await client.submit(smallJob);
    const waiting = left.wait();
    await client.close();
    expect((await waiting).kind).toBe('cancelled');
  });
});

describe('client options', () => {
  it('are refused by name, and a key never crosses a network in clear', () => {
    expect(() => createClient({})).toThrow(expect.objectContaining({ code: 'CONFIG_MISSING' }));
    expect(() => createClient({ apiKey: 'k' })).toThrow(expect.objectContaining({ code: 'CONFIG_MISSING' }));
    for (const options of [
      { baseUrl: 'http://api.example/v2' },
      { baseUrl: 'ftp://x' },
      { requestTimeoutMs: -1 },
      { apiKey: 'a\nb' },
    ]) {
      expect(() => createClient({ apiKey: 'k', endpointId: 'e', ...options })).toThrow(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: expect.stringContaining(Object.keys(options)[0] ?? '') as string,
        }),
      );
    }
  });
});
