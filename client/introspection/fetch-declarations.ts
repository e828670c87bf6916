/** Asks a ComfyUI, or any server that has the file, for its node classes: `GET /object_info` (ComfyUI protocol notes §1.10). */
import { request } from 'undici';
import { ComfyRunpodError, limits } from '../../shared/index.ts';
import { readBoundedBody } from '../transport/runpod/bounded-body.ts';
import { type Declarations, parseDeclarations } from './declarations.ts';

/** Options of {@link fetchDeclarations}. */
export interface FetchDeclarationsOptions {
  /** How messages call the address, such as `--comfy-url`. */
  readonly option: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches declarations from `address`: a ComfyUI's own address, or that of an answer of `/object_info`. Throws `CONFIG_INVALID`,
 * `COMFY_UNREACHABLE`, `COMFY_PROTOCOL` or `OBJECT_INFO_INVALID`. Nothing but the host is in a message.
 */
export async function fetchDeclarations(address: string, options: FetchDeclarationsOptions): Promise<Declarations> {
  const { option, signal } = options;
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ComfyRunpodError('CONFIG_INVALID', `${option} takes an http or https address.`, {
      nextStep: 'Write it like http://127.0.0.1:8188.',
    });
  }
  if (!/\.json$|\/object_info\/?$/.test(url.pathname)) url.pathname = `${url.pathname.replace(/\/+$/, '')}/object_info`;
  const late = AbortSignal.timeout(limits.comfyRequestMs);
  let text: string;
  try {
    const answer = await request(url, { signal: signal ? AbortSignal.any([signal, late]) : late });
    if (answer.statusCode !== 200) {
      await answer.body.dump();
      throw new ComfyRunpodError('COMFY_PROTOCOL', `${url.host} answered ${answer.statusCode} for its node classes.`, {
        nextStep: `Check the address of ${option}: it is that of a ComfyUI, or of a file with the answer of its /object_info.`,
      });
    }
    text = (await readBoundedBody(answer.body, limits.comfyAnswerBytes)).toString('utf8');
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof ComfyRunpodError) throw error;
    const why = late.aborted
      ? `does not tell its node classes within ${limits.comfyRequestMs / 1000} s`
      : "can't be reached";
    throw new ComfyRunpodError('COMFY_UNREACHABLE', `${url.host} ${why}.`, { cause: error });
  }
  return parseDeclarations(text, `the ComfyUI at ${url.host}`);
}
