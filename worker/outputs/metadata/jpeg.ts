/** Takes Exif, XMP, Photoshop data and comments out of a JPEG without touching its pixels. */

const startOfImage = 0xd8;
const startOfScan = 0xda;
const endOfImage = 0xd9;

/** APP0 (JFIF) and APP14 (Adobe) say how to decode, APP2 may hold the colour profile; other APP segments and comments go. */
function isDropped(bytes: Buffer, marker: number, at: number): boolean {
  if (marker === 0xfe) return true;
  if (marker < 0xe0 || marker > 0xef) return false;
  if (marker === 0xe0 || marker === 0xee) return false;
  if (marker === 0xe2) return bytes.toString('latin1', at + 4, at + 15) !== 'ICC_PROFILE';
  return true;
}

/** True for markers without a length: restart markers and TEM. */
function isBare(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

/** The same picture without metadata segments, or undefined when the file is not a well-formed JPEG. Nothing after the end of the image is kept. */
export function stripJpeg(bytes: Buffer): Buffer | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== startOfImage) return undefined;
  const kept: Buffer[] = [bytes.subarray(0, 2)];
  let position = 2;
  while (position + 2 <= bytes.length) {
    if (bytes[position] !== 0xff) return undefined;
    const marker = bytes[position + 1] ?? 0;
    if (marker === 0xff) {
      position++;
      continue;
    }
    if (marker === endOfImage) return Buffer.concat([...kept, Buffer.from([0xff, endOfImage])]);
    if (isBare(marker)) {
      kept.push(bytes.subarray(position, position + 2));
      position += 2;
      continue;
    }
    if (position + 4 > bytes.length) return undefined;
    const end = position + 2 + bytes.readUInt16BE(position + 2);
    if (end > bytes.length) return undefined;
    const scanEnd = marker === startOfScan ? endOfScan(bytes, end) : end;
    if (!isDropped(bytes, marker, position)) kept.push(bytes.subarray(position, scanEnd));
    position = scanEnd;
  }
  return undefined;
}

/** Where the entropy-coded data after a scan header ends: at a marker that is neither stuffing nor a restart. */
function endOfScan(bytes: Buffer, start: number): number {
  let position = bytes.indexOf(0xff, start);
  while (position !== -1 && position + 1 < bytes.length) {
    const next = bytes[position + 1] ?? 0;
    if (next !== 0x00 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return position;
    position = bytes.indexOf(0xff, position + (next === 0xff ? 1 : 2));
  }
  return bytes.length;
}
