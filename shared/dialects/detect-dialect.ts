/**
 * Tells which caller's contract a job input follows. The order of the tests is the contract (docs/decisions/0010-dialects.md): the first
 * that fits wins, and the answer follows the request, because the answers can't be merged (`images` is a list in one and a map in another).
 */
import { isRecord } from './foreign-value.ts';

/**
 * Dialects that are understood: `canonical` (ours), `worker-comfyui` (5.x), `worker-comfyui-4` (the same request, the answer it had before
 * 5.0; only by name), `dimhara` (map of images, Fernet), `comfygen`, `cog`, `ai-dock`, `salad` and `raw` (the input is the graph itself).
 */
export const dialectNames = [
  'canonical',
  'worker-comfyui',
  'worker-comfyui-4',
  'dimhara',
  'comfygen',
  'cog',
  'ai-dock',
  'salad',
  'raw',
] as const;

/** Name of a dialect. */
export type DialectName = (typeof dialectNames)[number];

/** Keys that only the canonical input has. */
const canonicalKeys = [
  'contract',
  'files',
  'injections',
  'destination',
  'limits',
  'outputs',
  'metadata',
  'comfyOrgApiKey',
] as const;

/** True for one of {@link dialectNames}. */
export function isDialectName(value: unknown): value is DialectName {
  return dialectNames.some((name) => name === value);
}

/** True for an API-format graph: an object all of whose values have a `class_type`. */
export function isGraph(value: unknown): value is Record<string, Record<string, unknown>> {
  if (!isRecord(value)) return false;
  const nodes = Object.values(value);
  return nodes.length > 0 && nodes.every((node) => isRecord(node) && 'class_type' in node);
}

/**
 * The dialect of a job input that was parsed from JSON. Never throws: what fits nowhere is `canonical`, whose parser says what is wrong.
 * A `dialect` key that names no dialect also ends there; `readJobRequest` refuses it with the list of names.
 */
export function detectDialect(input: unknown): DialectName {
  if (!isRecord(input)) return 'canonical';
  const has = (key: string) => Object.hasOwn(input, key);
  if (isDialectName(input['dialect'])) return input['dialect'];
  // Before every test by key: hand-written graphs have node ids such as "images" or "prompt".
  if (isGraph(input)) return 'raw';
  if (canonicalKeys.some(has)) return 'canonical';
  if (has('encrypted_input') || has('is_encrypted') || isRecord(input['images'])) return 'dimhara';
  // A list of images is the other contract's, whatever stands beside it.
  if (has('debug') && !Array.isArray(input['images'])) return 'dimhara';
  if (has('file_inputs') || has('overrides') || has('command')) return 'comfygen';
  if (has('workflow_json')) return typeof input['workflow_json'] === 'string' ? 'cog' : 'ai-dock';
  if (has('modifier')) return 'ai-dock';
  if (isGraph(input['prompt'])) return 'salad';
  return has('workflow') ? 'worker-comfyui' : 'canonical';
}
