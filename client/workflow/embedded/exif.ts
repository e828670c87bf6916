/**
 * Texts in an EXIF block (TIFF directories). ComfyUI writes `prompt:{…}` under tag 0x0110 and `workflow:{…}` under 0x010F downwards
 * (ComfyUI protocol notes §3.5); others use UserComment or ImageDescription. Both byte orders.
 */
import { ByteReader, decodeText } from './byte-reader.ts';
import { longestText, type MetadataEntry } from './metadata-entry.ts';

const asciiType = 2;
const undefinedType = 7;
const exifDirectory = 0x8769;
const userComment = 0x9286;

/** Directories that are followed: a real file has up to four. */
const mostDirectories = 16;

/** Reads the texts of an EXIF block, with or without the `Exif` marker in front. */
export function* readExif(bytes: Uint8Array): Generator<MetadataEntry> {
  const block = new ByteReader(bytes);
  const tiff = block.startsWith('Exif\0\0') ? block.sub(6, block.length - 6) : block;
  const order = tiff.ascii(0, 2);
  if (order !== 'II' && order !== 'MM') return;
  const little = order === 'II';
  if (tiff.u16(2, little) !== 42) return;
  const directories = [tiff.u32(4, little)];
  const visited = new Set<number>();
  // Entries may overlap in a hostile block: together they may not exceed what an honest one could hold.
  const budget = { left: tiff.length };
  for (let at = directories.shift(); at !== undefined && visited.size < mostDirectories; at = directories.shift()) {
    if (at === 0 || visited.has(at)) continue;
    visited.add(at);
    const count = tiff.u16(at, little);
    for (let index = 0; index < count; index++) {
      const entry = at + 2 + index * 12;
      if (tiff.u16(entry, little) === exifDirectory) directories.push(tiff.u32(entry + 8, little));
      else yield* readEntry(tiff, entry, little, budget);
    }
    directories.push(tiff.u32(at + 2 + count * 12, little));
  }
}

function* readEntry(
  tiff: ByteReader,
  entry: number,
  little: boolean,
  budget: { left: number },
): Generator<MetadataEntry> {
  const tag = tiff.u16(entry, little);
  const type = tiff.u16(entry + 2, little);
  const size = tiff.u32(entry + 4, little);
  if ((type !== asciiType && type !== undefinedType) || size > longestText) return;
  const start = size <= 4 ? entry + 8 : tiff.u32(entry + 8, little);
  // One damaged entry says nothing about the others.
  if (start + size > tiff.length || size > budget.left) return;
  budget.left -= size;
  const value = tiff.slice(start, size);
  if (tag === userComment) yield { key: 'usercomment', text: decodeUserComment(value, little) };
  else if (type === asciiType) yield { key: 'comment', text: decodeText(value) };
}

/** UserComment begins with eight bytes that name its encoding. */
function decodeUserComment(value: Uint8Array, little: boolean): string {
  const text = value.subarray(8);
  switch (decodeText(value.subarray(0, 8))) {
    case 'UNICODE': {
      // Meant to follow the byte order of the block, but writers differ: the zero half of the first ASCII character tells.
      const littleText = text[0] !== 0 && (text[1] === 0 || little);
      return new TextDecoder(littleText ? 'utf-16le' : 'utf-16be').decode(text);
    }
    case 'ASCII':
    case '':
      return decodeText(text);
    default:
      return decodeText(value);
  }
}
