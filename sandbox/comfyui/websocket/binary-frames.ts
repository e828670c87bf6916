// The binary frames of ComfyUI's socket (ComfyUI protocol notes §2.5). All integers are big-endian unsigned 32-bit.
import type { PreviewImage } from '../node-definition.ts';
import { encodePyJson } from '../python-json.ts';

function uint32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

/** Type 1: format (1 JPEG, 2 PNG) and the encoded image. */
export function previewFrame(image: PreviewImage): Buffer {
  return Buffer.concat([uint32(1), uint32(image.type === 'image/jpeg' ? 1 : 2), image.data]);
}

/** Type 3: node id and text. */
export function textFrame(nodeId: string, text: string): Buffer {
  const id = Buffer.from(nodeId, 'utf8');
  return Buffer.concat([uint32(3), uint32(id.length), id, Buffer.from(text, 'utf8')]);
}

/** Where a preview belongs; the keys of a type 4 frame's JSON. */
export interface PreviewMetadata {
  readonly node_id: string;
  readonly prompt_id: string;
  readonly display_node_id: string;
  readonly parent_node_id: string | null;
  readonly real_node_id: string;
}

/** Type 4: JSON metadata and the encoded image. */
export function previewWithMetadataFrame(image: PreviewImage, metadata: PreviewMetadata): Buffer {
  const json = Buffer.from(encodePyJson({ ...metadata, image_type: image.type }), 'utf8');
  return Buffer.concat([uint32(4), uint32(json.length), json, image.data]);
}
