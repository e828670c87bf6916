/**
 * Takes extras, copyright and XMP out of a binary glTF. `SaveGLB` writes the prompt as `asset.extras` (ComfyUI protocol notes §3.5).
 * Extras of meshes and nodes stay: viewers read names of morph targets there. Layout: glTF 2.0 §4.4.
 */

import { type MetadataEdit, overwriting, type Planning, readAt, removal } from './edit-plan.ts';
import { isRecord } from './json-record.ts';

const maxJsonBytes = 64 * 1024 * 1024;
const xmpExtensions = ['KHR_xmp_json_ld', 'KHR_xmp'];

/** Plans a GLB. What hangs behind its end goes too. */
export function* planGlb(size: number): Planning {
  const head = yield* readAt(0, 20);
  if (head.length < 20 || head.toString('latin1', 0, 4) !== 'glTF' || head.readUInt32LE(4) !== 2) return undefined;
  const total = head.readUInt32LE(8);
  const jsonLength = head.readUInt32LE(12);
  if (head.toString('latin1', 16, 20) !== 'JSON' || total > size || 20 + jsonLength > total) return undefined;
  if (jsonLength > maxJsonBytes) return undefined;
  const json = withoutMetadata((yield* readAt(20, jsonLength)).toString('utf8'));
  if (json === undefined) return undefined;
  const sizes = Buffer.alloc(8);
  sizes.writeUInt32LE(total - jsonLength + json.length, 0);
  sizes.writeUInt32LE(json.length, 4);
  const edits: MetadataEdit[] = [overwriting(8, sizes), { start: 20, end: 20 + jsonLength, bytes: json, zeros: 0 }];
  return total < size ? [...edits, removal(total, size)] : edits;
}

/** The same JSON without metadata, padded with spaces to four bytes. */
function withoutMetadata(text: string): Buffer | undefined {
  try {
    const document: unknown = JSON.parse(text);
    if (!isRecord(document)) return undefined;
    const scenes = Array.isArray(document['scenes']) ? document['scenes'] : [];
    const owners = [document, document['asset'], ...scenes].filter(isRecord);
    for (const owner of owners) {
      delete owner['extras'];
      if (isRecord(owner['extensions'])) for (const name of xmpExtensions) delete owner['extensions'][name];
    }
    if (isRecord(document['asset'])) delete document['asset']['copyright'];
    const bytes = Buffer.from(JSON.stringify(document));
    return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4, ' ')]);
  } catch {
    return undefined;
  }
}
