/** Strict base64 (RFC 4648 §4), without decoding: the size it stands for and whether it is well formed. */

/** Removes a `data:...;base64,` prefix, which callers of other workers send. */
export function stripDataUrl(text: string): string {
  if (!text.startsWith('data:')) return text;
  const comma = text.indexOf(',');
  return comma === -1 ? text : text.slice(comma + 1);
}

/** True when `text` is canonical padded base64 without line breaks. Empty text is valid and stands for no bytes. */
export function isStrictBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** Bytes that a well-formed base64 text stands for. */
export function base64DecodedLength(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}

/** Characters that `bytes` bytes take in base64. */
export function base64EncodedLength(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}
