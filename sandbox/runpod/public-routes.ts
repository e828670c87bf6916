// The public face of an endpoint (RunPod protocol notes §1.2-1.10): what clients call.
import { type Call, IGNORED_BODY_LIMIT, type Route, readWait } from './call.ts';
import type { JobEntry } from './endpoint.ts';
import { type JobEvent, type SubmitRoute, statusOf } from './job.ts';
import { jobView, shortView, streamView, wrapArray } from './job-view.ts';
import { failure, json, ok, type Reply, unknownJob } from './reply.ts';
import { readSubmission } from './submission.ts';

const ignored = (): number => IGNORED_BODY_LIMIT;

/** Every public route. Reads accept POST as well: the Go SDK and older docs use it. */
export const PUBLIC_ROUTES: readonly Route[] = [
  {
    name: 'run',
    methods: ['POST'],
    path: '/run',
    face: 'public',
    bodyLimit: (endpoint) => endpoint.settings.runBodyLimit,
    handle: run,
  },
  {
    name: 'runsync',
    methods: ['POST'],
    path: '/runsync',
    face: 'public',
    bodyLimit: (endpoint) => endpoint.settings.runsyncBodyLimit,
    handle: runsync,
  },
  {
    name: 'status',
    methods: ['GET', 'POST'],
    path: '/status/:jobId',
    face: 'public',
    bodyLimit: ignored,
    handle: status,
  },
  {
    name: 'status-sync',
    methods: ['GET', 'POST'],
    path: '/status-sync/:jobId',
    face: 'public',
    bodyLimit: ignored,
    handle: statusSync,
  },
  {
    name: 'stream',
    methods: ['GET', 'POST'],
    path: '/stream/:jobId',
    face: 'public',
    bodyLimit: ignored,
    handle: stream,
  },
  { name: 'cancel', methods: ['POST'], path: '/cancel/:jobId', face: 'public', bodyLimit: ignored, handle: cancel },
  { name: 'retry', methods: ['POST'], path: '/retry/:jobId', face: 'public', bodyLimit: ignored, handle: retry },
  {
    name: 'purge-queue',
    methods: ['POST'],
    path: '/purge-queue',
    face: 'public',
    bodyLimit: ignored,
    handle: purgeQueue,
  },
  { name: 'health', methods: ['GET'], path: '/health', face: 'public', bodyLimit: ignored, handle: health },
  { name: 'requests', methods: ['GET'], path: '/requests', face: 'public', bodyLimit: ignored, handle: requests },
];

function run(call: Call): Reply {
  const entry = submit(call, 'run', 0);
  return 'status' in entry ? entry : ok(shortView(entry.job));
}

async function runsync(call: Call): Promise<Reply> {
  const wait = readWait(call.query, 'wait', call.settings.syncWait);
  if (wait === undefined) return badWait();
  const entry = submit(call, 'runsync', call.query.has('wait') ? wait : 0);
  if ('status' in entry) return entry;
  return waitForEnd(call, entry, wait);
}

function submit(call: Call, route: SubmitRoute, wait: number): JobEntry | Reply {
  const { endpoint, settings } = call;
  const submission = readSubmission(call.object(), settings);
  if ('refused' in submission) return failure(400, submission.refused);
  if (endpoint.queued >= settings.maxQueuedJobs) {
    return failure(429, `queue is full: ${settings.maxQueuedJobs} jobs are waiting`, { 'retry-after': '5' });
  }
  return endpoint.submit(route, submission, wait);
}

/** Holds until the job ends; answers its state then, whatever it is by the end of the wait. */
async function waitForEnd(call: Call, entry: JobEntry, waitMs: number): Promise<Reply> {
  await call.endpoint.waitFor(entry, waitMs, call.signal, (current) => current.job.state.kind === 'ended');
  return viewOf(call, entry);
}

function viewOf(call: Call, entry: JobEntry): Reply {
  return entry.removed ? unknownJob() : ok(jobView(entry.job, call.clock.now()));
}

function status(call: Call): Reply {
  const entry = call.endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  const ttl = readWait(call.query, 'ttl', { defaultMs: -1, minMs: 0, maxMs: Number.MAX_SAFE_INTEGER });
  if (ttl === undefined) return failure(400, 'ttl must be a number of milliseconds');
  // Only ever earlier than the default, and only the result: a poll must not end a running job (notes §1.7, appendix D.6).
  if (ttl >= 0) call.endpoint.apply(entry, { kind: 'shorten-retention', at: call.clock.now(), ms: ttl });
  return viewOf(call, entry);
}

async function statusSync(call: Call): Promise<Reply> {
  const wait = readWait(call.query, 'wait', call.settings.syncWait);
  if (wait === undefined) return badWait();
  const entry = call.endpoint.find(call.jobId);
  return entry ? waitForEnd(call, entry, wait) : unknownJob();
}

async function stream(call: Call): Promise<Reply> {
  const wait = readWait(call.query, 'wait', call.settings.streamWait);
  if (wait === undefined) return badWait();
  const entry = call.endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  const { endpoint, signal } = call;
  await endpoint.waitFor(entry, wait, signal, ({ job, chunks }) => chunks.length > 0 || job.state.kind === 'ended');
  if (entry.removed) return unknownJob();
  const chunks = endpoint.drainChunks(entry);
  return ok(streamView(statusOf(entry.job), chunks), { onLost: () => endpoint.restoreChunks(entry, chunks) });
}

function cancel(call: Call): Reply {
  const entry = call.endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  // Of an ended job nothing changes and its view is the answer.
  call.endpoint.apply(entry, { kind: 'cancel', at: call.clock.now() });
  return viewOf(call, entry);
}

function retry(call: Call): Reply {
  const entry = call.endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  const event: JobEvent = { kind: 'retry', at: call.clock.now() };
  if (call.endpoint.apply(entry, event)) return ok(shortView(entry.job));
  return failure(400, `only FAILED and TIMED_OUT jobs can be retried; this one is ${statusOf(entry.job)}`);
}

function purgeQueue(call: Call): Reply {
  return json({ removed: call.endpoint.purge(), status: 'completed' });
}

function health(call: Call): Reply {
  return json(call.endpoint.health());
}

function requests(call: Call): Reply {
  const now = call.clock.now();
  return ok(
    wrapArray(
      'requests',
      call.endpoint.list().map((entry) => jobView(entry.job, now)),
    ),
  );
}

function badWait(): Reply {
  return failure(400, 'wait must be a number of milliseconds');
}
