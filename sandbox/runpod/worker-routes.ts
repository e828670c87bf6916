// The worker face of an endpoint (RunPod protocol notes §2.6-2.15, §2.23): what a worker in a container calls.
import { type Call, IGNORED_BODY_LIMIT, type Route } from './call.ts';
import type { Delivery } from './dispatcher.ts';
import type { Endpoint } from './endpoint.ts';
import type { RoutePart } from './fault-schema.ts';
import { mergePlans } from './fault-script.ts';
import { arrayOf, workerView } from './job-view.ts';
import type { RawJson, RawObject } from './raw-json.ts';
import { failure, json, nothing, ok, type Reply, unknownJob } from './reply.ts';

const ignored = (): number => IGNORED_BODY_LIMIT;

/** Every worker route. */
export const WORKER_ROUTES: readonly Route[] = [
  {
    name: 'job-take',
    methods: ['GET'],
    path: '/job-take/:workerId',
    face: 'worker',
    bodyLimit: ignored,
    handle: takeOne,
  },
  {
    name: 'job-take',
    methods: ['GET'],
    path: '/job-take-batch/:workerId',
    face: 'worker',
    bodyLimit: ignored,
    handle: takeBatch,
  },
  {
    name: 'job-done',
    methods: ['POST'],
    path: '/job-done/:workerId/:jobId',
    face: 'worker',
    bodyLimit: resultLimit,
    partOf: kindOfPost,
    handle: jobDone,
  },
  {
    name: 'job-stream',
    methods: ['POST'],
    path: '/job-stream/:workerId/:jobId',
    face: 'worker',
    bodyLimit: (endpoint) => endpoint.settings.chunkLimit,
    handle: jobStream,
  },
  { name: 'ping', methods: ['GET'], path: '/ping/:workerId', face: 'worker', bodyLimit: ignored, handle: ping },
  {
    name: 'job-stop',
    methods: ['GET'],
    path: '/job-stop/:workerId',
    face: 'worker',
    bodyLimit: ignored,
    handle: jobStop,
  },
];

async function takeOne(call: Call): Promise<Reply> {
  return take(call, 1, (bodies) => bodies[0] ?? []);
}

async function takeBatch(call: Call): Promise<Reply> {
  const size = Number(call.query.get('batch_size') ?? 5);
  if (!Number.isInteger(size) || size < 1) return failure(400, 'batch_size must be a positive integer');
  return take(call, size, arrayOf);
}

type Bodies = Parameters<typeof arrayOf>[0];

async function take(call: Call, size: number, shape: (bodies: Bodies) => Bodies[number]): Promise<Reply> {
  const { endpoint, workerId, signal, alive } = call;
  endpoint.workers.noteTake(endpoint.workers.touch(workerId, call.socket));
  const deliveries = await endpoint.take({ workerId, size, holdMs: call.settings.takeHoldMs, signal, alive });
  if (!deliveries) return nothing();
  return deliver(call, deliveries, shape);
}

function deliver(call: Call, deliveries: readonly Delivery[], shape: (bodies: Bodies) => Bodies[number]): Reply {
  const { endpoint, workerId } = call;
  const plans = deliveries.map(({ jobId }) =>
    call.faults.plan({ route: 'job-take', part: 'job-take/delivery', endpointId: endpoint.id, jobId, workerId }),
  );
  const bodies = deliveries.flatMap(({ jobId }, index) => {
    const job = endpoint.find(jobId)?.job;
    if (!job) return [];
    if (plans[index]?.deliverTwice) endpoint.dispatcher.duplicate(jobId);
    return [workerView(job, call.settings.dropEmptyInput || plans[index]?.dropEmptyInput === true)];
  });
  const onLost = (): void => endpoint.giveBack(deliveries);
  // Only a duplicate of a job that was removed meanwhile leaves nothing to deliver.
  if (bodies.length === 0) return nothing();
  return ok(shape(bodies), { plan: mergePlans(plans), onLost });
}

/** Limit of a result by the route its job was submitted on; of an unknown job, the larger one. */
function resultLimit(endpoint: Endpoint, jobId: string): number {
  const { runResultLimit, runsyncResultLimit } = endpoint.settings;
  const route = endpoint.find(jobId)?.job.route;
  return route === 'run' ? runResultLimit : runsyncResultLimit;
}

/** Progress and results share a route; the body's status tells them apart (notes §2.12). */
function kindOfPost(post: RawObject | undefined): RoutePart {
  return post?.value['status'] === 'IN_PROGRESS' ? 'job-done/progress' : 'job-done/result';
}

function jobDone(call: Call): Reply {
  const { endpoint, workerId, clock } = call;
  endpoint.workers.touch(workerId, call.socket);
  const entry = endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  // The body is JSON whatever the content type says: the SDK declares a form (notes §2.4).
  const post = call.object();
  if (!post) return failure(400, 'body is not a JSON object');

  if (post.value['status'] === 'IN_PROGRESS') {
    endpoint.apply(entry, { kind: 'progress', workerId, output: post.members.get('output') });
    return json({ status: 'ok' });
  }
  const verdict = readVerdict(post, call.settings.strictErrors);
  if ('refused' in verdict) return failure(400, verdict.refused);
  if (entry.job.attempts === 0) return failure(400, 'no worker has taken this job');
  endpoint.apply(entry, { kind: 'result', workerId, at: clock.now(), ...verdict });
  if (post.value['stopPod'] === true) endpoint.workers.markStopping(workerId);
  return json({ status: 'ok' });
}

interface Verdict {
  readonly output: RawJson | undefined;
  readonly error: string | undefined;
}

/** RunPod reads only string errors: any other non-null `error` ends COMPLETED without output (notes §2.9, §2.23.6). */
function readVerdict(post: RawObject, strict: boolean): Verdict | { readonly refused: string } {
  const error = post.value['error'] ?? undefined;
  const output = post.members.get('output');
  if (error === undefined || error === '') return { output, error: undefined };
  if (typeof error === 'string') return { output, error };
  return strict ? { refused: 'error must be a string' } : { output: undefined, error: undefined };
}

function jobStream(call: Call): Reply {
  const { endpoint, workerId } = call;
  endpoint.workers.touch(workerId, call.socket);
  const entry = endpoint.find(call.jobId);
  if (!entry) return unknownJob();
  const post = call.object();
  if (!post) return failure(400, 'body is not a JSON object');
  // Every client reads `output` of an element (notes §4.3); further keys travel along.
  if (!post.members.has('output')) return failure(400, 'body has no output');
  const { state } = entry.job;
  // Late chunks, and chunks of a worker that lost the job, are taken and dropped.
  if (state.kind === 'running' && state.attempt.workerId === workerId) endpoint.addChunk(entry, call.body);
  return json({ status: 'ok' });
}

function ping(call: Call): Reply {
  const { endpoint, query, workerId } = call;
  const worker = endpoint.workers.touch(workerId, call.socket);
  if (query.get('status') === 'unhealthy') {
    endpoint.workers.markUnhealthy(worker, query.get('check') ?? '', query.get('reason') ?? '');
  } else {
    worker.unhealthy = undefined;
  }
  const jobIds = (query.get('job_id') ?? '').split(',').filter((id) => id !== '');
  if (!call.plan.loseLease) endpoint.renew(workerId, jobIds);
  return json({ status: 'pong' });
}

async function jobStop(call: Call): Promise<Reply> {
  const { endpoint, workerId, signal, alive, settings } = call;
  endpoint.workers.touch(workerId, call.socket);
  const jobIds = await endpoint.stops.poll({ workerId, holdMs: settings.stopHoldMs, signal, alive });
  if (!jobIds) return nothing();
  return ok([JSON.stringify({ jobsToStop: jobIds })], { onLost: () => endpoint.stops.giveBack(workerId, jobIds) });
}
