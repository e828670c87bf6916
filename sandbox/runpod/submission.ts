// Reads the body of /run and /runsync (RunPod protocol notes §1.3, §1.4). Strict where RunPod is known to be strict
// (input, policy), silent about unknown keys, which are dropped.
import type { EndpointSettings } from './options.ts';
import { isJsonObject, type RawJson, type RawObject } from './raw-json.ts';

/** What a caller asked for, checked. */
export interface Submission {
  readonly input: RawJson | undefined;
  readonly webhook: string | undefined;
  readonly policy: RawJson | undefined;
  readonly s3Config: RawJson | undefined;
  readonly executionTimeoutMs: number;
  readonly ttlMs: number;
  readonly lowPriority: boolean;
}

/** A body that the emulator answers with 400, and why. */
export interface Refusal {
  readonly refused: string;
}

/** Checks a submit body; answers a {@link Refusal} for what RunPod rejects. */
export function readSubmission(request: RawObject | undefined, settings: EndpointSettings): Submission | Refusal {
  if (!request) return { refused: 'request body is not a JSON object' };
  const { value, members } = request;

  const input = value['input'] ?? undefined;
  if (input !== undefined && !isJsonObject(input)) return { refused: 'input must be a JSON object' };

  const webhook = readWebhook(value['webhook']);
  if (typeof webhook === 'object') return webhook;

  const s3Config = value['s3Config'] ?? undefined;
  if (s3Config !== undefined && !isJsonObject(s3Config)) return { refused: 's3Config must be a JSON object' };

  const policy = value['policy'] ?? undefined;
  if (policy !== undefined && !isJsonObject(policy)) return { refused: 'policy must be a JSON object' };
  const limits = readPolicy(policy ?? {}, settings);
  if ('refused' in limits) return limits;

  return {
    input: input === undefined ? undefined : members.get('input'),
    webhook,
    policy: policy === undefined ? undefined : members.get('policy'),
    s3Config: s3Config === undefined ? undefined : members.get('s3Config'),
    ...limits,
  };
}

function readWebhook(value: unknown): string | undefined | Refusal {
  if (value === undefined || value === null || value === '') return undefined;
  const url = typeof value === 'string' ? URL.parse(value) : null;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    return { refused: 'webhook must be an absolute http(s) URL' };
  return String(value);
}

type Policy = Pick<Submission, 'executionTimeoutMs' | 'ttlMs' | 'lowPriority'>;

function readPolicy(policy: Record<string, unknown>, settings: EndpointSettings): Policy | Refusal {
  const executionTimeoutMs = policy['executionTimeout'] ?? settings.executionTimeoutMs;
  const ttlMs = policy['ttl'] ?? settings.ttlMs;
  const lowPriority = policy['lowPriority'] ?? false;
  if (typeof lowPriority !== 'boolean') return { refused: 'policy.lowPriority must be a boolean' };
  // The endpoint's own settings may lie outside of the bounds, as a test of expiry needs; a request's may not.
  if (typeof executionTimeoutMs !== 'number' || outside(policy['executionTimeout'], settings.executionTimeoutBounds)) {
    return { refused: `policy.executionTimeout must be ${rangeText(settings.executionTimeoutBounds)}` };
  }
  if (typeof ttlMs !== 'number' || outside(policy['ttl'], settings.ttlBounds)) {
    return { refused: `policy.ttl must be ${rangeText(settings.ttlBounds)}` };
  }
  return { executionTimeoutMs, ttlMs, lowPriority };
}

interface Bounds {
  readonly minMs: number;
  readonly maxMs: number;
}

function outside(value: unknown, bounds: Bounds): boolean {
  return typeof value === 'number' && !(value >= bounds.minMs && value <= bounds.maxMs);
}

function rangeText(bounds: Bounds): string {
  return `a number of milliseconds between ${bounds.minMs} and ${bounds.maxMs}`;
}
