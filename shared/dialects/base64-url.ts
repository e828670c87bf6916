/** URL-safe base64 with padding (RFC 4648 §5), as Fernet keys and tokens use it. Works on bytes: a token may be many megabytes. */

const alphabet = new TextEncoder().encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
const padding = 0x3d;
const values = new Uint8Array(256).fill(255);
for (const [value, code] of alphabet.entries()) values[code] = value;

/** The bytes, or undefined when `text` is not canonical padded URL-safe base64. */
export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padded = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padded;
  const bytes = new Uint8Array((text.length / 4) * 3 - padded);
  let buffer = 0;
  let bits = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const code = text.charCodeAt(i);
    const value = code > 255 ? 255 : (values[code] ?? 255);
    if (value === 255) return undefined;
    buffer = ((buffer << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (buffer >> bits) & 0xff;
    }
  }
  // Left-over bits that are not zero: two texts would stand for the same bytes.
  return (buffer & ((1 << bits) - 1)) === 0 ? bytes : undefined;
}

/** The text for some bytes, with padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  const text = new Uint8Array(base64UrlLength(bytes.length)).fill(padding);
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const [a = 0, b = 0, c = 0] = [bytes[i], bytes[i + 1], bytes[i + 2]];
    const group = (a << 16) | (b << 8) | c;
    text[at] = alphabet[group >> 18] ?? padding;
    text[at + 1] = alphabet[(group >> 12) & 63] ?? padding;
    if (i + 1 < bytes.length) text[at + 2] = alphabet[(group >> 6) & 63] ?? padding;
    if (i + 2 < bytes.length) text[at + 3] = alphabet[group & 63] ?? padding;
    at += 4;
  }
  return new TextDecoder().decode(text);
}

/** Characters that `bytes` bytes take. */
export function base64UrlLength(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}
