/** Asks a ComfyUI that a person named whether it is there, before anything else is started: a worker would wait for it to boot. */
import { request } from 'undici';
import { ComfyRunpodError } from '../../shared/index.ts';

const answerWithinMs = 5_000;

/** Throws `CONFIG_INVALID`, `COMFY_UNREACHABLE` or `COMFY_PROTOCOL` when no ComfyUI answers at `address`. */
export async function reachComfy(address: string): Promise<void> {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ComfyRunpodError('CONFIG_INVALID', '--comfy-url takes an http or https address.', {
      nextStep: 'Write it like http://127.0.0.1:8188.',
    });
  }
  let looksRight: boolean;
  try {
    // Small, in every version of ComfyUI (ComfyUI protocol notes §1.2).
    const answer = await request(`${address.replace(/\/+$/, '')}/system_stats`, {
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const body = answer.statusCode === 200 ? await answer.body.json() : await answer.body.dump();
    looksRight = typeof body === 'object' && body !== null && 'system' in body;
  } catch (error) {
    if (error instanceof SyntaxError) looksRight = false;
    else throw new ComfyRunpodError('COMFY_UNREACHABLE', `No ComfyUI answers at ${url.host}.`, { cause: error });
  }
  if (!looksRight) throw new ComfyRunpodError('COMFY_PROTOCOL', `What answers at ${url.host} is not ComfyUI.`);
}
