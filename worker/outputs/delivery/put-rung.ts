/**
 * Results to addresses that the job brought (presigned PUT). The addresses are secrets: they are in no log, no error and not in the envelope.
 * A redirect is an answer, never followed: the bytes go where the job said or nowhere. As with inputs by address, only checked network addresses
 * are connected to (worker/net).
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type Agent, request } from 'undici';
import { type Destination, isComfyRunpodError } from '../../../shared/index.ts';
import { codeOf, createPinnedAgent, guardUrl, type Reach } from '../../net/index.ts';
import type { PreparedArtifact, Rung } from './rung.ts';
import { failedStatus, type UploadAttempt, type UploadPatience, uploadWithRetries } from './upload-retry.ts';

const pieceBytes = 256 * 1024;
const attemptMs = 600_000;

/** Addresses by artifact. */
type PutDestination = Extract<Destination, { kind: 'put' }>;

/** Sends to the job's own addresses, as far as `reach` goes. */
export function putRung(destination: PutDestination, patience: UploadPatience, reach: Reach): Rung {
  const agents = new PinnedAgents(reach);
  const { urls } = destination;
  return {
    via: 'put',
    maxBytes: Number.POSITIVE_INFINITY,
    maxArtifacts: urls?.length ?? Number.POSITIVE_INFINITY,
    async send(artifact, index, reason, signal) {
      const url = urls?.[index] ?? fill(destination.template ?? '', index, artifact.described.name);
      const where = "The job's own upload address";
      const sha256 = await uploadWithRetries(where, (live) => put(url, artifact, agents, live), patience, signal);
      return { sha256, delivery: { via: 'put', reason } };
    },
    close: () => agents.close(),
  };
}

/** Why an address that a job brought may not be used, as far as that can be told without looking its host up; undefined when it may. */
export function putRefusal({ urls, template }: PutDestination, { allowPrivate = false }: Reach): string | undefined {
  for (const text of urls ?? [fill(template ?? '', 0, 'x')]) {
    const guarded = guardUrl(text, { allowPrivate });
    if (guarded.kind === 'refused') return guarded.why;
  }
  return undefined;
}

/** One agent per host while uploads succeed; after a failure the host is looked up and checked anew. */
class PinnedAgents {
  readonly #reach: Reach;
  readonly #byOrigin = new Map<string, Agent>();

  constructor(reach: Reach) {
    this.#reach = reach;
  }

  /** The agent for an address, or why there is none. */
  async open(text: string, signal: AbortSignal): Promise<Agent | Exclude<UploadAttempt<never>, { kind: 'done' }>> {
    const guarded = guardUrl(text, { allowPrivate: this.#reach.allowPrivate ?? false });
    if (guarded.kind === 'refused') return { kind: 'refused', reason: `the address ${guarded.why}` };
    const { url } = guarded;
    const known = this.#byOrigin.get(url.origin);
    if (known) return known;
    const made = await createPinnedAgent(url, this.#reach, signal);
    if (made.kind === 'refused') return { kind: 'refused', reason: `the address ${made.why}` };
    if (made.kind === 'not-found') return { kind: 'retry', reason: made.reason };
    this.#byOrigin.set(url.origin, made.agent);
    return made.agent;
  }

  /** Ends the connections of one agent. */
  drop(agent: Agent): void {
    for (const [origin, known] of this.#byOrigin) if (known === agent) this.#byOrigin.delete(origin);
    agent.destroy().catch(() => undefined);
  }

  close(): void {
    for (const agent of this.#byOrigin.values()) this.drop(agent);
  }
}

function fill(template: string, index: number, name: string): string {
  return template.replaceAll('{index}', String(index)).replaceAll('{name}', encodeURIComponent(name));
}

async function put(
  url: string,
  { source, described }: PreparedArtifact,
  agents: PinnedAgents,
  signal: AbortSignal,
): Promise<UploadAttempt<string>> {
  const hash = createHash('sha256');
  const limited = AbortSignal.any([signal, AbortSignal.timeout(attemptMs)]);
  let agent: Agent | undefined;
  try {
    const opened = await agents.open(url, limited);
    if ('kind' in opened) return opened;
    agent = opened;
    const body = Readable.from(hashed(source.pieces(pieceBytes, limited), hash), { objectMode: false });
    const answer = await request(url, {
      method: 'PUT',
      dispatcher: agent,
      headers: { 'content-type': described.contentType, 'content-length': String(source.size) },
      body,
      signal: limited,
    });
    await answer.body.dump();
    if (answer.statusCode >= 200 && answer.statusCode < 300) return { kind: 'done', value: hash.digest('hex') };
    return failedStatus(answer.statusCode);
  } catch (error) {
    if (agent) agents.drop(agent);
    // The file itself could not be read: no attempt changes that.
    if (isComfyRunpodError(error)) throw error;
    return { kind: 'retry', reason: codeOf(error) };
  }
}

async function* hashed(pieces: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>) {
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
}
