/** The errors of inputs given by reference. Of an address they name the host and nothing else: the rest may be a signature. */
import { ComfyRunpodError } from '../../shared/index.ts';

/** The address may not be fetched. */
export function urlRefused(why: string, host?: string): ComfyRunpodError {
  const what =
    host === undefined ? 'The address of an input file' : `The address of an input file at ${shownHost(host)}`;
  return new ComfyRunpodError('INPUT_URL_REFUSED', `${what} ${why}.`);
}

/** The server gave something that is not the file. */
export function unavailable(host: string, what: string, status: number): ComfyRunpodError {
  return new ComfyRunpodError(
    'INPUT_UNAVAILABLE',
    `${shownHost(host)} answered ${status} ${what}`.trimEnd().concat('.'),
    {
      details: { host: shownHost(host), status },
    },
  );
}

/** The network or the server failed; another try may work. */
export function fetchFailed(host: string, what: string, reason: string, cause?: unknown): ComfyRunpodError {
  return new ComfyRunpodError('INPUT_FETCH_FAILED', `${shownHost(host)} ${what}.`, {
    details: { host: shownHost(host), reason },
    ...(cause !== undefined && { cause }),
  });
}

/** More bytes than an input may have. */
export function tooLarge(host: string, maxBytes: number): ComfyRunpodError {
  return new ComfyRunpodError('INPUT_TOO_LARGE', `The file at ${shownHost(host)} is over ${maxBytes} bytes.`, {
    details: { host: shownHost(host), maxBytes },
  });
}

/** The coded error for a failed file operation on the worker. Paths stay out of the message. */
export function diskError(error: unknown): ComfyRunpodError {
  if (error instanceof ComfyRunpodError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new ComfyRunpodError('WORKSPACE_FULL', 'There is no space left for the input files of the job.', { cause: error })
    : new ComfyRunpodError('WORKSPACE_FAILED', `An input file could not be written (${code}).`, { cause: error });
}

function shownHost(host: string): string {
  return host.slice(0, 100);
}
