// A prompt as the jobs API shows it (ComfyUI protocol notes §1.13 [N]). Null-valued keys are left out.
import { asNumber, encodePyJson, type PyValue } from '../../python-json.ts';
import type { HistoryEntry } from '../../queue/history-store.ts';
import type { QueueItem } from '../../queue/queue-item.ts';
import type { ServerContext } from '../../server-context.ts';

/** The five states of a job. */
export const JOB_STATUSES = ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] as const;

/** One of them. */
export type JobStatus = (typeof JOB_STATUSES)[number];

/** A job with what lists sort and filter by. */
export interface Job {
  readonly id: string;
  readonly status: JobStatus;
  readonly created: number;
  readonly duration: number;
  readonly workflowId: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
  /** What only the single form shows. */
  readonly details: Readonly<Record<string, unknown>>;
}

function workflowId(extraData: PyValue): string | undefined {
  const info = extraData instanceof Map ? extraData.get('extra_pnginfo') : undefined;
  const workflow = info instanceof Map ? info.get('workflow') : undefined;
  const id = workflow instanceof Map ? workflow.get('id') : undefined;
  return typeof id === 'string' ? id : undefined;
}

function withoutNulls(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null && value !== undefined));
}

function createTime(item: QueueItem): number | undefined {
  const value = item.extraData instanceof Map ? item.extraData.get('create_time') : undefined;
  const number = value === undefined ? undefined : asNumber(value);
  return number === undefined ? undefined : Number(number);
}

function queuedJob(item: QueueItem, status: JobStatus, context: ServerContext): Job {
  const created = createTime(item) ?? context.jobTimes.get(item.promptId)?.created ?? 0;
  return {
    id: item.promptId,
    status,
    created,
    duration: 0,
    workflowId: workflowId(item.extraData),
    body: withoutNulls({
      id: item.promptId,
      status,
      priority: item.number,
      create_time: created,
      outputs_count: 0,
      workflow_id: workflowId(item.extraData),
    }),
    details: { workflow: { prompt: item.prompt, extra_data: item.extraData } },
  };
}

function messageTime(entry: HistoryEntry, names: readonly string[]): number | undefined {
  for (const [name, data] of entry.status.messages) {
    if (names.includes(name) && typeof data === 'object' && data !== null && 'timestamp' in data) {
      return Number(data.timestamp);
    }
  }
  return undefined;
}

function finalStatus(entry: HistoryEntry): JobStatus {
  if (entry.status.messages.some(([name]) => name === 'execution_interrupted')) return 'cancelled';
  return entry.status.status_str === 'success' ? 'completed' : 'failed';
}

function files(entry: HistoryEntry): Record<string, unknown>[] {
  const out: Record<string, unknown>[] = [];
  for (const [nodeId, output] of entry.outputs) {
    for (const [mediaType, list] of Object.entries(output as object)) {
      if (!Array.isArray(list)) continue;
      for (const item of list as unknown[]) {
        if (typeof item === 'object' && item !== null && 'filename' in item) out.push({ ...item, nodeId, mediaType });
      }
    }
  }
  return out;
}

function finishedJob(entry: HistoryEntry, context: ServerContext): Job {
  const { item } = entry;
  const status = finalStatus(entry);
  const started = messageTime(entry, ['execution_start']);
  const ended = messageTime(entry, ['execution_success', 'execution_error', 'execution_interrupted']);
  const error = entry.status.messages.find(([name]) => name === 'execution_error')?.[1];
  const created = createTime(item) ?? context.jobTimes.get(item.promptId)?.created ?? 0;
  const found = files(entry);
  return {
    id: item.promptId,
    status,
    created,
    duration: started === undefined || ended === undefined ? 0 : ended - started,
    workflowId: workflowId(item.extraData),
    body: withoutNulls({
      id: item.promptId,
      status,
      priority: item.number,
      create_time: created,
      execution_start_time: started,
      execution_end_time: ended,
      execution_error: error,
      outputs_count: found.length,
      preview_output: found.find((file) => file['type'] === 'output') ?? found[0],
      workflow_id: workflowId(item.extraData),
    }),
    details: {
      outputs: entry.outputs,
      execution_status: entry.status,
      workflow: { prompt: item.prompt, extra_data: item.extraData },
    },
  };
}

/** All jobs: queue first, history second, so an accepted job is never missed. */
export function allJobs(context: ServerContext): Job[] {
  const { queue } = context;
  const jobs = new Map<string, Job>();
  for (const item of queue.pendingItems()) jobs.set(item.promptId, queuedJob(item, 'pending', context));
  for (const item of queue.runningItems()) jobs.set(item.promptId, queuedJob(item, 'in_progress', context));
  for (const entry of queue.history.all()) jobs.set(entry.item.promptId, finishedJob(entry, context));
  return [...jobs.values()];
}

/** The single form. */
export function jobDetails(job: Job): unknown {
  // Encoded once here so that an unserialisable output fails this request and no other.
  encodePyJson(job.details);
  return { ...job.body, ...job.details };
}
