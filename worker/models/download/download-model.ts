/** Downloads one model: resolve, check the space, transfer, check the bytes, give it its name. Nothing under that name is ever half a file. */
import type { Agent } from 'undici';
import { ComfyRunpodError, isLoopbackUrl, limits, type ModelSpec, modelLabel } from '../../../shared/index.ts';
import type { Logger } from '../../types.ts';
import type { SpaceClaim } from '../make-room.ts';
import { implausibleModel } from './check-model.ts';
import { lockPart } from './lock-part.ts';
import type { ModelAddress } from './model-http.ts';
import { PartFile } from './part-file.ts';
import { type HubAccess, resolveHuggingFace } from './resolve-huggingface.ts';
import { type TransferPace, transfer } from './transfer.ts';

/** What downloads share. */
export interface DownloadSupport {
  readonly agent: Agent;
  readonly hub: HubAccess;
  readonly pace: TransferPace;
  readonly logger: Logger;
  /** Folder for files on their way, on the disk of their targets. */
  readonly partFolder: string;
  /** Makes room, or throws `MODEL_SPACE`. */
  readonly makeRoom: (claim: SpaceClaim) => Promise<void>;
}

/** A downloaded model. */
export interface DownloadedModel {
  readonly bytes: number;
  readonly sha256: string;
}

interface Plan {
  readonly address: ModelAddress;
  readonly size: number | undefined;
  readonly sha256: string | undefined;
}

/** Downloads `spec` to `target`, which is also told as it is called below the models folder. Throws `MODEL_UNAVAILABLE`, `MODEL_DOWNLOAD_FAILED`, `MODEL_CORRUPT`, `MODEL_SPACE`, or the signal's reason. */
export async function downloadModel(
  spec: ModelSpec,
  target: { readonly file: string; readonly path: string },
  support: DownloadSupport,
  signal: AbortSignal,
): Promise<DownloadedModel> {
  const label = modelLabel(spec);
  const plan = await planDownload(spec, label, support, signal);
  const lock = await lockPart(support.partFolder, `${identityOf(plan.address.url)} ${target.path}`);
  let part: PartFile | undefined;
  try {
    part = await PartFile.open(support.partFolder, lock.identity);
    const open = part;
    const progress = startProgress(label, open, support.logger);
    let size: number;
    try {
      size = await transfer({
        ...{ agent: support.agent, address: plan.address, part, size: plan.size, pace: support.pace, signal },
        onSize: (bytes) =>
          support.makeRoom({
            file: target.file,
            label,
            size: bytes,
            missing: () => Math.max(0, bytes - open.doneBytes),
          }),
      });
    } catch (error) {
      throw asSpaceError(error, label);
    } finally {
      progress.end();
    }
    const sha256 = await verify(spec, plan, part, size, label, signal);
    await part.finish(target.path, size);
    return { bytes: size, sha256 };
  } finally {
    // Only the holder of the lock finds its part again.
    await (lock.held ? part?.close() : part?.discard());
    await lock.release();
  }
}

async function planDownload(
  spec: ModelSpec,
  label: string,
  { hub, agent, pace }: DownloadSupport,
  signal: AbortSignal,
): Promise<Plan> {
  const { source, size, sha256 } = spec;
  if (source.kind === 'huggingface') {
    const found = await resolveHuggingFace(source, label, hub, agent, pace, signal);
    if ((size ?? found.size) !== found.size) throw otherSize(label, found.size, size);
    if (sha256 !== undefined && found.sha256 !== undefined && sha256 !== found.sha256)
      throw otherHash(label, 'at its source');
    return { address: { url: found.url, token: hub.token, label }, size: found.size, sha256: sha256 ?? found.sha256 };
  }
  if (source.kind === 'none') {
    throw new ComfyRunpodError(
      'MODEL_UNAVAILABLE',
      `Model ${label} is not there, and nothing says where it comes from.`,
      {
        details: { model: label },
        nextStep:
          'Give the entry a url, or a repo and a file; or put the file into the models folder of the network volume.',
      },
    );
  }
  if (source.url.startsWith('http:') && sha256 === undefined && !isLoopbackUrl(source.url)) {
    throw new ComfyRunpodError('MODEL_UNAVAILABLE', `Model ${label}: an http address needs a sha256 beside it.`, {
      details: { model: label },
      nextStep: 'Use an https address, or give the sha256 of the file, so that nobody on the way can change it.',
    });
  }
  return { address: { url: source.url, label }, size, sha256 };
}

/** Names the source without its query, which may be a signature that is another one every time. */
function identityOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** Bytes of the head that are looked at. */
const headBytes = 8 * 1024 * 1024;

async function verify(
  spec: ModelSpec,
  plan: Plan,
  part: PartFile,
  size: number,
  label: string,
  signal: AbortSignal,
): Promise<string> {
  const sha256 = await part.sha256(signal);
  if (plan.sha256 !== undefined) {
    if (sha256 === plan.sha256) return sha256;
    await part.discard();
    throw otherHash(label, 'after the download');
  }
  const reason = implausibleModel(spec.name, await part.head(headBytes), size);
  if (reason === undefined) return sha256;
  await part.discard();
  throw new ComfyRunpodError('MODEL_CORRUPT', `Model ${label} is not what its source sent: ${reason}.`, {
    details: { model: label, size },
  });
}

function otherSize(label: string, size: number, expectedSize: number | undefined): ComfyRunpodError {
  return new ComfyRunpodError(
    'MODEL_CORRUPT',
    `Model ${label}: its source has ${size} bytes and not ${expectedSize}.`,
    {
      details: { model: label, size, expectedSize: expectedSize ?? null },
    },
  );
}

function otherHash(label: string, when: string): ComfyRunpodError {
  return new ComfyRunpodError(
    'MODEL_CORRUPT',
    `Model ${label} has another SHA-256 ${when} than the one that is given.`,
    {
      details: { model: label },
    },
  );
}

/** A disk that is full is told as such, whoever noticed it. */
function asSpaceError(error: unknown, label: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || (error.code !== 'ENOSPC' && error.code !== 'EDQUOT'))
    return error;
  return new ComfyRunpodError('MODEL_SPACE', `Model ${label}: the disk is full.`, {
    cause: error,
    details: { model: label },
  });
}

/** Logs how far a download is, until it is ended. */
function startProgress(label: string, part: PartFile, logger: Logger): { end(): void } {
  const from = { bytes: part.doneBytes, at: performance.now() };
  logger.info({ model: label, resumedBytes: from.bytes }, 'Downloading a model');
  const timer = setInterval(() => {
    const { size } = part.version;
    const done = part.doneBytes;
    const seconds = (performance.now() - from.at) / 1_000;
    const megabytesPerSecond = Math.round((done - from.bytes) / seconds / 1e5) / 10;
    const percent = size === undefined || size === 0 ? undefined : Math.floor((100 * done) / size);
    logger.info({ model: label, bytes: done, percent, megabytesPerSecond }, 'Downloading a model');
  }, limits.modelProgressMs);
  return { end: () => clearInterval(timer) };
}
