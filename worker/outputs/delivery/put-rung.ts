/**
 * Results to addresses that the job brought (presigned PUT). The addresses are secrets: they are in no log, no error and not in the envelope.
 * A redirect is an answer, never followed: the bytes go where the job said or nowhere. Names that resolve to private addresses are refused,
 * except loopback where the worker itself talks to loopback (sandbox).
 */
import { createHash } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { type Destination, isComfyRunpodError, isLoopbackUrl } from '../../../shared/index.ts';
import type { PreparedArtifact, Rung } from './rung.ts';
import { failedStatus, type UploadAttempt, type UploadPatience, uploadWithRetries } from './upload-retry.ts';

const pieceBytes = 256 * 1024;
const attemptMs = 600_000;
const connectMs = 10_000;

/** Addresses by artifact. */
type PutDestination = Extract<Destination, { kind: 'put' }>;

/** Sends to the job's own addresses. */
export function putRung(destination: PutDestination, patience: UploadPatience): Rung {
  const agent = new Agent({
    connect: { timeout: connectMs, lookup: publicLookup },
    headersTimeout: 0,
    bodyTimeout: 0,
    allowH2: false,
  });
  const { urls } = destination;
  return {
    via: 'put',
    maxBytes: Number.POSITIVE_INFINITY,
    maxArtifacts: urls?.length ?? Number.POSITIVE_INFINITY,
    async send(artifact, index, reason, signal) {
      const url = urls?.[index] ?? fill(destination.template ?? '', index, artifact.described.name);
      const where = "The job's own upload address";
      const sha256 = await uploadWithRetries(where, (live) => put(url, artifact, agent, live), patience, signal);
      return { sha256, delivery: { via: 'put', reason } };
    },
    close: () => void agent.destroy().catch(() => undefined),
  };
}

function fill(template: string, index: number, name: string): string {
  return template.replaceAll('{index}', String(index)).replaceAll('{name}', encodeURIComponent(name));
}

async function put(
  url: string,
  { source, described }: PreparedArtifact,
  agent: Agent,
  signal: AbortSignal,
): Promise<UploadAttempt<string>> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && isPrivate(host) && !isLoopbackUrl(url)) return { kind: 'refused', reason: 'private address' };
  const hash = createHash('sha256');
  const limited = AbortSignal.any([signal, AbortSignal.timeout(attemptMs)]);
  try {
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
    // The file itself could not be read: no attempt changes that.
    if (isComfyRunpodError(error)) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === privateAddress) return { kind: 'refused', reason: 'private address' };
    return { kind: 'retry', reason: typeof code === 'string' ? code : 'network' };
  }
}

async function* hashed(pieces: AsyncIterable<Buffer>, hash: ReturnType<typeof createHash>) {
  for await (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
}

const privateAddress = 'EPRIVATE';
const privateRanges = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  privateRanges.addSubnet(net, bits, 'ipv4');
}
for (const [net, bits] of [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
] as const) {
  privateRanges.addSubnet(net, bits, 'ipv6');
}

function isPrivate(address: string): boolean {
  return privateRanges.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/** Resolves like the system and refuses private addresses at the moment of connecting, so that a name can't change its mind. */
const publicLookup: LookupFunction = (hostname, options, done) => {
  systemLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, '', 0);
    const refused = hostname !== 'localhost' && addresses.some(({ address }) => isPrivate(address));
    const [first] = addresses;
    if (refused || !first) return done(Object.assign(new Error('private address'), { code: privateAddress }), '', 0);
    if (options.all === true) return done(null, addresses);
    return done(null, first.address, first.family);
  });
};
