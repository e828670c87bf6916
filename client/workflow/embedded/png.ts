/** Texts of PNG and animated PNG: tEXt, zTXt, iTXt, and the private `comf` chunks of SaveAnimatedPNG (ComfyUI protocol notes §3.5). */
import { type ByteReader, decodeText } from './byte-reader.ts';
import { inflate } from './inflate.ts';
import { isWantedKey, longestText, type MetadataEntry } from './metadata-entry.ts';

/** Compressed chunks that are opened: a file has two, a hostile one as many as fit. */
const mostCompressed = 8;

/** True for a PNG signature. */
export function isPng(file: ByteReader): boolean {
  return file.startsWith('\x89PNG\r\n\x1a\n');
}

/** Reads the texts of a PNG. */
export async function* readPng(file: ByteReader): AsyncGenerator<MetadataEntry> {
  let compressed = 0;
  for (let at = 8; at + 12 <= file.length; ) {
    const size = file.u32(at);
    const type = file.ascii(at + 4, 4);
    if (type === 'tEXt' || type === 'zTXt' || type === 'iTXt' || type === 'comf') {
      const found = splitChunk(type, file.sub(at + 8, size));
      if (found && isWantedKey(found.key)) {
        compressed += found.compressed ? 1 : 0;
        const bytes = !found.compressed
          ? found.bytes
          : compressed <= mostCompressed
            ? await inflate(found.bytes, longestText)
            : undefined;
        if (bytes && bytes.length <= longestText) yield { key: found.key, text: decodeText(bytes) };
      }
    }
    if (type === 'IEND') return;
    at += 12 + size;
  }
}

interface TextChunk {
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly compressed: boolean;
}

function splitChunk(type: string, data: ByteReader): TextChunk | undefined {
  const end = data.bytes.indexOf(0);
  if (end < 0) return undefined;
  const key = data.ascii(0, end);
  const rest = (at: number) => data.slice(at, data.length - at);
  if (type === 'tEXt' || type === 'comf') return { key, bytes: rest(end + 1), compressed: false };
  if (end + 2 > data.length) return undefined;
  if (type === 'zTXt') return data.u8(end + 1) === 0 ? { key, bytes: rest(end + 2), compressed: true } : undefined;
  if (end + 3 > data.length) return undefined;
  // iTXt: flag, method, language, translated keyword, text.
  const language = data.bytes.indexOf(0, end + 3);
  const translated = language < 0 ? -1 : data.bytes.indexOf(0, language + 1);
  return translated < 0 ? undefined : { key, bytes: rest(translated + 1), compressed: data.u8(end + 1) === 1 };
}
