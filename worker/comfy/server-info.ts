/** Reads `/system_stats` and judges what that version can do. An unknown version counts as the newest (ComfyUI protocol notes §7.1 D03). */
import type { ComfyHttp } from './http.ts';
import { failedPacksIn } from './log-tail.ts';
import type { ComfyCapabilities, ComfyServer, GpuMemory } from './types.ts';
import { listOf, recordOf, textOf } from './value-guards.ts';

/** The numbers of a version such as `0.3.64` or `v0.26.0-1-gabc`, or undefined. */
export function parseVersion(text: string): readonly [number, number, number] | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)] : undefined;
}

/** True when `version` is at least `minimum`, or unreadable. */
export function isAtLeast(version: string, minimum: readonly [number, number, number]): boolean {
  const parsed = parseVersion(version);
  if (!parsed) return true;
  for (const [i, part] of parsed.entries()) {
    const wanted = minimum[i] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

/** Capabilities of a version (§0.3, §1.13). */
export function capabilitiesOf(version: string): ComfyCapabilities {
  return { jobCancel: isAtLeast(version, [0, 26, 0]) };
}

/** Asks a ComfyUI who it is. Any JSON answer counts as a ComfyUI that is ready (§7.1 D02). */
export async function probeServer(http: ComfyHttp, signal: AbortSignal, timeoutMs: number): Promise<ComfyServer> {
  const stats = recordOf(await http.json({ path: '/system_stats', signal, timeoutMs }));
  const version = textOf(recordOf(stats['system'])['comfyui_version']) ?? 'unknown';
  return { version, capabilities: capabilitiesOf(version), failedPacks: [] };
}

/** GPU memory now, or undefined where ComfyUI runs without a GPU: it then tells the memory of the machine (§1.11). */
export async function readGpuMemory(http: ComfyHttp, signal: AbortSignal): Promise<GpuMemory | undefined> {
  const stats = recordOf(await http.json({ path: '/system_stats', signal }));
  const device = recordOf(listOf(stats['devices'])[0]);
  const { vram_total: totalBytes, vram_free: freeBytes, type } = device;
  if (type === 'cpu' || typeof totalBytes !== 'number' || typeof freeBytes !== 'number') return undefined;
  return totalBytes > 0 ? { totalBytes, freeBytes } : undefined;
}

/** The log is 300 writes, of which a prompt may have made long ones. */
const maxLogBytes = 4 * 1024 * 1024;
const logMs = 2_000;

/** The packs that failed to import, of a ComfyUI that runs already: its last writes tell, while they go back that far (§1.12). Never throws. */
export async function readFailedPacks(http: ComfyHttp, signal: AbortSignal): Promise<readonly string[]> {
  const request = { path: '/internal/logs/raw', signal, timeoutMs: logMs, maxBytes: maxLogBytes };
  const log = recordOf(await http.json(request).catch(() => undefined));
  return failedPacksIn(
    listOf(log['entries'])
      .map((entry) => textOf(recordOf(entry)['m']) ?? '')
      .join(''),
  );
}
