/**
 * Takes text metadata out of a PNG without touching its pixels. ComfyUI writes the prompt and the workflow into text chunks, and for
 * animations into private `comf` chunks (ComfyUI protocol notes §3.5).
 */

const signatureLength = 8;
/** Text, Exif, time of change, and ComfyUI's own. Colour and animation chunks stay. */
const dropped = new Set(['tEXt', 'zTXt', 'iTXt', 'eXIf', 'tIME', 'comf', 'coMf']);

/** The same picture without metadata chunks, or undefined when the file is not a well-formed PNG. Nothing after IEND is kept. */
export function stripPng(bytes: Buffer): Buffer | undefined {
  const kept: Buffer[] = [bytes.subarray(0, signatureLength)];
  let position = signatureLength;
  while (position + 12 <= bytes.length) {
    const length = bytes.readUInt32BE(position);
    const end = position + 12 + length;
    if (end > bytes.length) return undefined;
    const type = bytes.toString('latin1', position + 4, position + 8);
    if (!dropped.has(type)) kept.push(bytes.subarray(position, end));
    position = end;
    if (type === 'IEND') return Buffer.concat(kept);
  }
  return undefined;
}
