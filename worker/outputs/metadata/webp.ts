/** Takes Exif and XMP out of a WebP without touching its pixels, and clears the flags that announce them. */

const headerLength = 12;
const dropped = new Set(['EXIF', 'XMP ']);
/** Bits of the VP8X flags byte. */
const exifFlag = 0x08;
const xmpFlag = 0x04;

/** The same picture without metadata chunks, or undefined when the file is not a well-formed WebP. */
export function stripWebp(bytes: Buffer): Buffer | undefined {
  if (bytes.length < headerLength) return undefined;
  const fileEnd = Math.min(bytes.length, 8 + bytes.readUInt32LE(4));
  const kept: Buffer[] = [];
  let position = headerLength;
  while (position + 8 <= fileEnd) {
    const type = bytes.toString('latin1', position, position + 4);
    const length = bytes.readUInt32LE(position + 4);
    // Chunks are padded to an even length; the last one may lack the padding.
    const end = Math.min(position + 8 + length + (length % 2), fileEnd);
    if (position + 8 + length > fileEnd) return undefined;
    if (type === 'VP8X') kept.push(withoutFlags(bytes.subarray(position, end)));
    else if (!dropped.has(type)) kept.push(bytes.subarray(position, end));
    position = end;
  }
  if (kept.length === 0) return undefined;
  const body = Buffer.concat(kept);
  const header = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1');
  header.writeUInt32LE(body.length + 4, 4);
  return Buffer.concat([header, body]);
}

function withoutFlags(chunk: Buffer): Buffer {
  const copy = Buffer.from(chunk);
  copy[8] = (copy[8] ?? 0) & ~(exifFlag | xmpFlag);
  return copy;
}
