// ComfyUI protocol notes §7.2, jobs API of the newer profile: E57 and E58.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import { finished, run, running, sleepGraph, submit, textGraph } from './support/prompts.ts';

describe('the jobs API of the newer profile', () => {
  let standIn: ComfyStandIn;
  let url = '';
  beforeAll(async () => {
    standIn = await startComfyStandIn({ profile: 'late-2026' });
    url = standIn.url;
  });
  afterAll(async () => {
    await standIn.close();
  });

  const list = async (query: string) =>
    (await call(url, `/api/jobs?${query}`)).json as { jobs: { id: string; status: string }[]; pagination: object };

  it('E57 jobs are listed by state, sorted and paged; interrupted ones are cancelled', async () => {
    await run(standIn, textGraph('done'));
    await run(standIn, {
      '1': { class_type: 'SandboxFail', inputs: { message: 'x', exception_type: 'ValueError' } },
      '2': { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } },
    });
    const stopped = await submit(standIn, sleepGraph(1000, 3));
    await running(standIn, stopped);
    const waiting = await submit(standIn, textGraph('waiting'), {
      extra_data: { extra_pnginfo: { workflow: { id: 'wf-1' } } },
    });
    expect((await list('sort_order=asc')).jobs.map((job) => job.status)).toEqual([
      'completed',
      'failed',
      'in_progress',
      'pending',
    ]);
    expect((await list('workflow_id=wf-1')).jobs.map((job) => job.id)).toEqual([waiting]);
    await call(url, '/interrupt', { body: { prompt_id: stopped } });
    await finished(standIn, waiting);
    expect((await list('status=cancelled,failed&sort_order=asc')).jobs.map((job) => job.status)).toEqual([
      'failed',
      'cancelled',
    ]);
    expect((await list('limit=1&offset=1')).pagination).toEqual({ offset: 1, limit: 1, total: 4, has_more: true });
    for (const bad of ['status=odd', 'sort_by=odd', 'sort_order=odd', 'limit=x', 'limit=0', 'offset=-1']) {
      const answer = await call(url, `/api/jobs?${bad}`);
      expect([bad, answer.status, typeof (answer.json as { error: unknown }).error]).toEqual([bad, 400, 'string']);
    }
    const one = (await call(url, `/api/jobs/${stopped}`)).json;
    expect(one).toMatchObject({ id: stopped, status: 'cancelled', execution_status: { status_str: 'error' } });
    expect((await call(url, `/api/jobs/${waiting}`)).json).toMatchObject({
      status: 'completed',
      outputs: { '1': { text: ['waiting'] } },
      workflow: { extra_data: { create_time: expect.any(Number) } },
    });
    expect(await call(url, '/api/jobs/unknown')).toMatchObject({ status: 404, json: { error: 'Job not found' } });
    await using baseline = await startComfyStandIn();
    expect((await call(baseline.url, '/api/jobs')).status).toBe(404);
  });

  it('E58 cancelling tells whether there was something to cancel', async () => {
    const cancel = async (id: string) => (await call(url, `/api/jobs/${id}/cancel`, { method: 'POST' })).json;
    const runs = await submit(standIn, sleepGraph(1000, 4));
    await running(standIn, runs);
    const waits = await submit(standIn, textGraph('never'));
    expect(await cancel(waits)).toEqual({ cancelled: true });
    expect(await cancel(waits)).toEqual({ cancelled: false });
    const batch = (body: unknown) => call(url, '/api/jobs/cancel', { body });
    expect(await batch({ job_ids: ['nope'] })).toMatchObject({
      status: 400,
      json: { error: 'job_ids contains invalid id(s)', invalid_ids: ['nope'] },
    });
    expect((await batch({ job_ids: [] })).status).toBe(400);
    expect((await batch({ job_ids: [runs] })).json).toEqual({ cancelled: true });
    expect((await finished(standIn, runs)).status.messages.at(-1)?.[0]).toBe('execution_interrupted');
    expect((await batch({ job_ids: [runs] })).json).toEqual({ cancelled: false });
  });
});
