// What savers embed in their files: the executed graph and whatever the request's `extra_pnginfo` held.
// Source: ComfyUI protocol notes §3.5.
import type { NodeContext } from '../node-definition.ts';

/** Entries by key, `prompt` first; empty under `--disable-metadata`. */
export function metadataTexts(context: NodeContext): ReadonlyMap<string, string> {
  if (context.disableMetadata) return new Map();
  return new Map([['prompt', context.promptJson()], ...context.extraPngInfoJson()]);
}
