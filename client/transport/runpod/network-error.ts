/**
 * The only place that judges why a request got no answer. Walks the cause chain of what fetch (the SDK) and undici throw.
 * The one question that matters for a submit: can the request have reached RunPod?
 */
import { ComfyRunpodError } from '../../../shared/index.ts';

const blockedPort = 'BLOCKED_PORT';

/** Failures that happen before a byte of the request can leave. */
const beforeSending = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'ERR_INVALID_URL',
  blockedPort,
]);

const timeouts = new Set(['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** Every error code in the cause chain, outermost first. Also looks into AggregateError (one entry per address tried). */
export function causeCodes(thrown: unknown): string[] {
  const codes: string[] = [];
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth > 8) return;
    if ('code' in value && typeof value.code === 'string') codes.push(value.code);
    // fetch refuses some ports by itself and gives no code.
    else if (value instanceof Error && value.message === 'bad port') codes.push(blockedPort);
    if (value instanceof AggregateError) for (const inner of value.errors) visit(inner, depth + 1);
    if ('cause' in value) visit(value.cause, depth + 1);
  };
  visit(thrown, 0);
  return codes;
}

function isTlsCode(code: string): boolean {
  return (
    code.startsWith('CERT_') ||
    code.startsWith('ERR_TLS_') ||
    code.startsWith('ERR_SSL_') ||
    code.startsWith('UNABLE_TO_') ||
    code === 'DEPTH_ZERO_SELF_SIGNED_CERT' ||
    code === 'SELF_SIGNED_CERT_IN_CHAIN'
  );
}

/** True when the failure proves that the server never saw the request: a repeat can't do anything twice. */
export function provesNotSent(thrown: unknown): boolean {
  return causeCodes(thrown).some((code) => beforeSending.has(code) || isTlsCode(code));
}

function isTimeout(thrown: unknown): boolean {
  if (causeCodes(thrown).some((code) => timeouts.has(code))) return true;
  return thrown instanceof Error && (thrown.name === 'TimeoutError' || thrown.message.startsWith('timeout of '));
}

/** `NETWORK_UNREACHABLE` or `NETWORK_TIMEOUT` for a request that got no answer. `host` is shown, the rest of the address is not. */
export function networkError(thrown: unknown, host: string): ComfyRunpodError {
  const codes = causeCodes(thrown);
  const shown = codes.at(-1) ?? (thrown instanceof Error ? thrown.name : 'unknown');
  const details = { cause: shown };
  if (codes.some(isTlsCode)) {
    return new ComfyRunpodError('NETWORK_UNREACHABLE', `The certificate of ${host} is not trusted (${shown}).`, {
      cause: thrown,
      details,
      nextStep: 'Check RUNPOD_BASE_URL and whether a proxy intercepts TLS; the check is never switched off.',
    });
  }
  if (isTimeout(thrown)) {
    return new ComfyRunpodError('NETWORK_TIMEOUT', `${host} did not answer in time.`, { cause: thrown, details });
  }
  return new ComfyRunpodError('NETWORK_UNREACHABLE', `${host} can't be reached (${shown}).`, {
    cause: thrown,
    details,
  });
}
