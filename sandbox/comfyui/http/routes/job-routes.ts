// The jobs API of newer servers (ComfyUI protocol notes §1.13 [N]); absent from the baseline profile.
import type { ServerContext } from '../../server-context.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import type { Route, RouteRequest } from '../route.ts';
import { allJobs, JOB_STATUSES, type Job, type JobStatus, jobDetails } from './job-view.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const SORT_KEYS = ['created_at', 'execution_duration'];
const SORT_ORDERS = ['asc', 'desc'];

class BadParameter extends Error {
  override readonly name = 'BadParameter';
}

function integerParameter(query: URLSearchParams, name: string, least: number): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw new BadParameter(`${name} must be an integer`);
  const value = Number(text);
  if (value < least) throw new BadParameter(`${name} must be ${least === 0 ? 'non-negative' : 'a positive integer'}`);
  return value;
}

function choice(query: URLSearchParams, name: string, allowed: readonly string[]): string | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  if (!allowed.includes(value)) throw new BadParameter(`${name} must be one of: ${allowed.join(', ')}`);
  return value;
}

function statusFilter(query: URLSearchParams): readonly string[] | undefined {
  const text = query.get('status');
  if (text === null || text === '') return undefined;
  const wanted = text.split(',').map((part) => part.trim().toLowerCase());
  const unknown = wanted.filter((status) => !JOB_STATUSES.includes(status as JobStatus));
  if (unknown.length > 0) {
    throw new BadParameter(`Invalid status value(s): ${unknown.join(', ')}. Valid values: ${JOB_STATUSES.join(', ')}`);
  }
  return wanted;
}

function list(request: RouteRequest, context: ServerContext): Answer {
  const { query } = request;
  try {
    const wanted = statusFilter(query);
    const workflow = query.get('workflow_id');
    const sortBy = choice(query, 'sort_by', SORT_KEYS) ?? 'created_at';
    const descending = (choice(query, 'sort_order', SORT_ORDERS) ?? 'desc') === 'desc';
    const limit = integerParameter(query, 'limit', 1);
    const offset = integerParameter(query, 'offset', 0) ?? 0;
    const found = allJobs(context).filter(
      (job) =>
        (wanted === undefined || wanted.includes(job.status)) && (workflow === null || job.workflowId === workflow),
    );
    const key = (job: Job): number => (sortBy === 'created_at' ? job.created : job.duration);
    found.sort((a, b) => (descending ? key(b) - key(a) : key(a) - key(b)));
    const page = found.slice(offset, limit === undefined ? undefined : offset + limit);
    const pagination = {
      offset,
      limit: limit ?? null,
      total: found.length,
      has_more: offset + page.length < found.length,
    };
    return jsonAnswer({ jobs: page.map((job) => job.body), pagination });
  } catch (error) {
    if (error instanceof BadParameter) return jsonAnswer({ error: error.message }, 400);
    throw error;
  }
}

function one(request: RouteRequest, context: ServerContext): Answer {
  const job = allJobs(context).find((candidate) => candidate.id === request.params['job_id']);
  return job === undefined ? jsonAnswer({ error: 'Job not found' }, 404) : jsonAnswer(jobDetails(job));
}

/** Removes a pending job or flags the running one; tells whether there was either. */
function cancelJob(id: string, context: ServerContext): boolean {
  if (context.queue.delete(id)) return true;
  if (!context.queue.runningItems().some((item) => item.promptId === id)) return false;
  if (context.faults.strike('interrupt-ignored', { promptId: id }) === undefined) context.interrupt.raise();
  return true;
}

async function cancelMany(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const body = await request.json().catch(() => null);
  const ids = body instanceof Map ? body.get('job_ids') : undefined;
  if (!Array.isArray(ids) || ids.length === 0) return jsonAnswer({ error: 'job_ids must be a non-empty list' }, 400);
  const invalid = ids.filter((id) => typeof id !== 'string' || !UUID.test(id));
  if (invalid.length > 0) {
    return jsonAnswer({ error: 'job_ids contains invalid id(s)', invalid_ids: invalid }, 400);
  }
  const cancelled = ids.map((id) => cancelJob(String(id), context));
  return jsonAnswer({ cancelled: cancelled.includes(true) });
}

/** The routes; declared below `/api`, so they also answer below `/api/api`. */
export function jobRoutes(): Route[] {
  return [
    { method: 'GET', path: '/api/jobs', handler: list },
    { method: 'GET', path: '/api/jobs/:job_id', handler: one },
    { method: 'POST', path: '/api/jobs/cancel', handler: cancelMany },
    {
      method: 'POST',
      path: '/api/jobs/:job_id/cancel',
      handler: (request, context) => jsonAnswer({ cancelled: cancelJob(request.params['job_id'] ?? '', context) }),
    },
  ];
}
