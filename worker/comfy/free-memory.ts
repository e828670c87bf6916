/** `POST /free`: it has no completion signal and acts before the next prompt, so it is sent when nothing is queued (ComfyUI protocol notes §1.7, §6.14). */
import { delay } from '../../shared/index.ts';
import type { ComfyHttp } from './http.ts';
import { readQueue } from './prompt-state.ts';
import { listOf, recordOf } from './value-guards.ts';

/** More free memory than this counts as the effect. */
const effectBytes = 16 * 1024 * 1024;
/** How long the effect is waited for. Without a GPU there is none to see. */
const waitMs = 1_000;

/** Unloads models and drops the node cache. Does nothing while other prompts are queued. */
export async function freeMemory(http: ComfyHttp, signal: AbortSignal): Promise<void> {
  const queue = await readQueue(http, signal);
  if (queue.running.length + queue.pending.length > 0) return;
  const before = await freeBytes(http, signal);
  await http.command({ path: '/free', json: { unload_models: true, free_memory: true }, signal });
  for (const startedAt = Date.now(); Date.now() - startedAt < waitMs; ) {
    await delay(100, signal);
    if ((await freeBytes(http, signal)) - before > effectBytes) return;
  }
}

async function freeBytes(http: ComfyHttp, signal: AbortSignal): Promise<number> {
  const stats = recordOf(await http.json({ path: '/system_stats', signal }));
  const free = recordOf(listOf(stats['devices'])[0])['vram_free'];
  return typeof free === 'number' ? free : 0;
}
