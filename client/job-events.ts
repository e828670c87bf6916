/** What happens to a job, as typed events: made from the views of a transport, regressions left out. */
import { isTerminalStatus, type JobView, type ProgressEvent, readProgressEvent } from '../shared/index.ts';
import { type JobResult, readJobResult } from './job-result.ts';

/** One thing that happened. */
export type JobEvent =
  | {
      readonly type: 'status';
      /** RunPod's status; a string that is not documented counts as "still going on". */
      readonly status: string;
      readonly workerId?: string;
      /** Times RunPod gave the job to another worker. */
      readonly retries: number;
    }
  | { readonly type: 'progress'; readonly progress: ProgressEvent }
  /** Always the last event. */
  | { readonly type: 'end'; readonly result: JobResult };

/** Turns views into events: a status when it changes, progress when it advances, the result at the end. */
export async function* jobEvents(views: AsyncIterable<JobView>): AsyncGenerator<JobEvent, void, void> {
  let status: string | undefined;
  let retries = 0;
  let sequence = -1;
  for await (const view of views) {
    const attempts = view.retries ?? 0;
    if (view.status !== status || attempts !== retries) {
      // A second attempt counts its progress from the start again.
      if (attempts !== retries || view.status === 'IN_QUEUE') sequence = -1;
      status = view.status;
      retries = attempts;
      yield { type: 'status', status, retries, ...(view.workerId !== undefined && { workerId: view.workerId }) };
    }
    if (isTerminalStatus(view.status)) {
      yield { type: 'end', result: readJobResult(view) };
      return;
    }
    const progress = readProgressEvent(view.output);
    if (progress && progress.sequence > sequence) {
      sequence = progress.sequence;
      yield { type: 'progress', progress };
    }
  }
}
