/**
 * Decodes what arrives on ComfyUI's WebSocket (ComfyUI protocol notes §2). Pure and lenient: whatever is not understood is undefined,
 * because custom nodes and newer servers send messages of their own and none of them may end a job.
 */
import { parseTolerantJson } from '../../shared/index.ts';
import { isRecord, recordOf, textOf } from './value-guards.ts';

/** A message about one prompt, reduced to what the driver uses. */
export interface PromptMessage {
  readonly type: string;
  readonly promptId: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Binary frame: preview image with metadata (§2.5). */
const previewWithMetadata = 4;
/** Metadata of a preview is a few hundred bytes; more is not metadata. */
const maxMetadataBytes = 64 * 1024;

/** Decodes a text message. Undefined: not JSON, or not about a prompt (`executing` on connect has no prompt id, §2.1). */
export function decodeText(text: string): PromptMessage | undefined {
  let message: unknown;
  try {
    message = parseTolerantJson(text);
  } catch {
    return undefined;
  }
  if (!isRecord(message)) return undefined;
  const type = textOf(message['type']);
  const data = recordOf(message['data']);
  const promptId = textOf(data['prompt_id']);
  return type === undefined || promptId === undefined ? undefined : { type, promptId, data };
}

/** Decodes a binary frame. Only previews with metadata name their prompt; the picture itself is not kept. */
export function decodeBinary(frame: Buffer): PromptMessage | undefined {
  if (frame.length < 8 || frame.readUInt32BE(0) !== previewWithMetadata) return undefined;
  const length = frame.readUInt32BE(4);
  if (length > maxMetadataBytes || frame.length < 8 + length) return undefined;
  let data: unknown;
  try {
    data = parseTolerantJson(frame.toString('utf8', 8, 8 + length));
  } catch {
    return undefined;
  }
  const promptId = textOf(recordOf(data)['prompt_id']);
  return promptId === undefined ? undefined : { type: 'preview', promptId, data: recordOf(data) };
}
