/** Asks the Hugging Face hub where a file is, how large it is and what its hash is. The hub's library is loaded only here and only when needed. */
import { type Agent, type RequestInit as UndiciInit, fetch as undiciFetch } from 'undici';
import { backoffMs, ComfyRunpodError, delay, type ModelSource } from '../../../shared/index.ts';
import { codeOf, unavailable } from './model-http.ts';
import type { TransferPace } from './transfer.ts';

/** A file of the hub. */
export interface HubFile {
  readonly url: string;
  readonly size: number;
  /** Of files in large-file storage, which all models are. */
  readonly sha256?: string;
}

/** How the hub is reached. */
export interface HubAccess {
  readonly hubUrl: string;
  readonly token?: string | undefined;
}

type HuggingFaceSource = Extract<ModelSource, { kind: 'huggingface' }>;

/** Resolves a file. Throws `MODEL_UNAVAILABLE`, `MODEL_DOWNLOAD_FAILED`, or the signal's reason. */
export async function resolveHuggingFace(
  source: HuggingFaceSource,
  label: string,
  access: HubAccess,
  agent: Agent,
  pace: TransferPace,
  signal: AbortSignal,
): Promise<HubFile> {
  for (let failures = 0; ; ) {
    try {
      return await askHub(source, label, access, agent, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ComfyRunpodError) throw error;
      failures++;
      if (failures >= pace.attempts) {
        const what = statusOf(error) === undefined ? codeOf(error) : `answer ${statusOf(error)}`;
        throw new ComfyRunpodError('MODEL_DOWNLOAD_FAILED', `Model ${label}: the hub could not be asked (${what}).`, {
          cause: error,
          details: { model: label },
        });
      }
      await delay(backoffMs(failures, pace.pause), signal);
    }
  }
}

async function askHub(
  source: HuggingFaceSource,
  label: string,
  { hubUrl, token }: HubAccess,
  agent: Agent,
  signal: AbortSignal,
): Promise<HubFile> {
  const { fileDownloadInfo } = await import('@huggingface/hub');
  const address = { url: hubUrl, token, label };
  let found: Awaited<ReturnType<typeof fileDownloadInfo>>;
  try {
    found = await fileDownloadInfo({
      repo: { type: 'model', name: source.repo },
      path: source.file.split('/').map(encodeURIComponent).join('/'),
      revision: source.revision,
      hubUrl,
      ...(token !== undefined && { accessToken: token }),
      fetch: headersOnly(agent, signal),
    });
  } catch (error) {
    const status = statusOf(error);
    if (status !== undefined && status < 500 && status !== 408 && status !== 429) {
      throw unavailable(address, `answered ${status} for ${source.repo}`, status);
    }
    throw error;
  }
  if (found === null) throw unavailable(address, `has no such file in ${source.repo}@${source.revision}`, 404);
  const tag = found.etag.replace(/^W\//, '').replaceAll('"', '');
  return { url: found.url, size: found.size, ...(/^[0-9a-f]{64}$/.test(tag) && { sha256: tag }) };
}

/** The library reads headers of good answers only; an unread body would keep its connection. */
function headersOnly(agent: Agent, signal: AbortSignal): typeof globalThis.fetch {
  return (async (input: string | URL, init?: UndiciInit) => {
    const response = await undiciFetch(input, { ...init, dispatcher: agent, signal });
    if (response.ok) await response.body?.cancel();
    return response;
  }) as unknown as typeof globalThis.fetch;
}

function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
    ? error.statusCode
    : undefined;
}
