/**
 * Decodes what arrives on ComfyUI's WebSocket (ComfyUI protocol notes §2). Pure and lenient: whatever is not understood is undefined,
 * because custom nodes and newer servers send messages of their own and none of them may end a job.
 */
import { parseTolerantJson } from '../../shared/index.ts';
import type { PreviewImage } from './types.ts';
import { isRecord, recordOf, textOf } from './value-guards.ts';

/** A message about one prompt, reduced to what the driver uses. */
export interface PromptMessage {
  readonly type: string;
  readonly promptId: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** The picture of a preview; a view into the frame. */
  readonly image?: PreviewImage;
}

/** A preview that does not name its prompt: older servers send it to the client of the prompt that runs. */
export interface BarePreview {
  readonly type: 'bare-preview';
  readonly image: PreviewImage;
}

/** Binary frames: preview image, and preview image with metadata (§2.5). */
const barePreview = 1;
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

/** Decodes a binary frame. Only previews with metadata name their prompt. */
export function decodeBinary(frame: Buffer): PromptMessage | BarePreview | undefined {
  if (frame.length < 8) return undefined;
  const kind = frame.readUInt32BE(0);
  if (kind === barePreview) {
    const image = pictureOf(frame.subarray(8));
    return image && { type: 'bare-preview', image };
  }
  if (kind !== previewWithMetadata) return undefined;
  const length = frame.readUInt32BE(4);
  if (length > maxMetadataBytes || frame.length < 8 + length) return undefined;
  let data: unknown;
  try {
    data = parseTolerantJson(frame.toString('utf8', 8, 8 + length));
  } catch {
    return undefined;
  }
  const promptId = textOf(recordOf(data)['prompt_id']);
  if (promptId === undefined) return undefined;
  const image = pictureOf(frame.subarray(8 + length));
  return { type: 'preview', promptId, data: recordOf(data), ...(image && { image }) };
}

/** Judged by its first bytes: servers have been wrong about the format. */
function pictureOf(bytes: Buffer): PreviewImage | undefined {
  if (bytes.length < 4) return undefined;
  if (bytes.readUInt16BE(0) === 0xffd8) return { contentType: 'image/jpeg', bytes };
  return bytes.readUInt32BE(0) === 0x89504e47 ? { contentType: 'image/png', bytes } : undefined;
}
