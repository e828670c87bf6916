/**
 * The addresses of the worker routes, made from RunPod's templates by string concatenation only: a query builder would re-serialise the
 * template's own query and lose its `+` signs. Source: RunPod protocol notes §2.3, §2.6 and §2.15.
 */
import type { RunpodConfig } from './runpod-config.ts';

/** Addresses of the worker routes. */
export interface RunpodUrls {
  /** job-take for one free slot, job-take-batch for more. */
  take(freeSlots: number, jobInProgress: boolean): string;
  /** job-stop, or undefined when it can't be derived from the take template. */
  readonly stop: string | undefined;
  /** job-done of one job, for its progress and its result. `streamed`: the result followed chunks (§2.10). */
  done(jobId: string, streamed?: boolean): string;
  /** job-stream of one job, or undefined when RunPod gave no template (§2.11). */
  stream(jobId: string): string | undefined;
}

/** Replaces `$NAME` placeholders whose name `values` knows; others stay as they are. Longer names win: `$IDENTITY` is not `$ID`. */
export function fillTemplate(template: string, values: Readonly<Record<string, string | undefined>>): string {
  return template.replace(/\$([A-Z][A-Z0-9_]*)/g, (placeholder, name: string) => values[name] ?? placeholder);
}

/** Appends `name=value` with `&`, or with `?` where the address has no query yet. The value must be encoded already. */
export function appendQuery(url: string, pair: string): string {
  if (!url.includes('?')) return `${url}?${pair}`;
  return url.endsWith('?') || url.endsWith('&') ? `${url}${pair}` : `${url}&${pair}`;
}

/** Makes the addresses of one worker. */
export function buildUrls(
  config: Pick<RunpodConfig, 'takeTemplate' | 'doneTemplate' | 'streamTemplate' | 'workerId'>,
): RunpodUrls {
  const worker = encodeURIComponent(config.workerId);
  const take = fillTemplate(config.takeTemplate, { ID: worker, RUNPOD_POD_ID: worker });
  return {
    take(freeSlots, jobInProgress) {
      const flag = `job_in_progress=${jobInProgress ? 1 : 0}`;
      if (freeSlots <= 1) return appendQuery(take, flag);
      const batch = take.replace('/job-take/', '/job-take-batch/');
      return appendQuery(appendQuery(batch, `batch_size=${freeSlots}`), flag);
    },
    stop: take.includes('/job-take/') ? take.replace('/job-take/', '/job-stop/') : undefined,
    done(jobId, streamed = false) {
      const url = fillTemplate(config.doneTemplate, { RUNPOD_POD_ID: worker, ID: encodeURIComponent(jobId) });
      return appendQuery(url, `isStream=${streamed}`);
    },
    stream(jobId) {
      if (config.streamTemplate === undefined) return undefined;
      const url = fillTemplate(config.streamTemplate, { RUNPOD_POD_ID: worker, ID: encodeURIComponent(jobId) });
      // The flag is never set on chunks (§2.11).
      return appendQuery(url, 'isStream=false');
    },
  };
}

/** The heartbeat's address without its ids and version, or undefined when something that it needs is missing (§2.14). */
export function pingBaseUrl(config: RunpodConfig): string | undefined {
  const { pingTemplate, apiKey, podId } = config;
  if (pingTemplate === undefined || apiKey === undefined || podId === undefined) return undefined;
  const worker = encodeURIComponent(podId);
  return fillTemplate(pingTemplate, { RUNPOD_POD_ID: worker, ID: worker });
}
