/**
 * The workflow that ComfyUI left in a file it saved. Every format reader yields named texts and may meet the end of the bytes anywhere; here the texts
 * are told apart and parsed. Pure: runs in a browser, too. Source: ComfyUI protocol notes §3.5.
 */
import { detectWorkflowFormat, parseTolerantJson } from '../../../shared/index.ts';
import { isFlac, isId3, isOgg, readFlac, readId3, readOgg } from './audio.ts';
import { ByteReader, Truncated } from './byte-reader.ts';
import { isIsoMedia, readIsoMedia } from './iso-media.ts';
import { isMatroska, readMatroska } from './matroska.ts';
import { longestText, type MetadataEntry } from './metadata-entry.ts';
import { isGif, isJpeg, isWebp, readGif, readJpeg, readWebp } from './pictures.ts';
import { isPng, readPng } from './png.ts';

/** What a file carries; each is parsed JSON, an object, and otherwise unchecked. */
export interface EmbeddedWorkflow {
  /** The graph that was run, in API format. */
  readonly prompt?: unknown;
  /** The workflow in the editor's save format. */
  readonly workflow?: unknown;
}

type Texts = Iterable<MetadataEntry> | AsyncIterable<MetadataEntry>;

interface Format {
  readonly name: string;
  readonly matches: (file: ByteReader) => boolean;
  readonly read: (file: ByteReader) => Texts;
}

const formats: readonly Format[] = [
  { name: 'PNG', matches: isPng, read: readPng },
  { name: 'WebP', matches: isWebp, read: readWebp },
  { name: 'JPEG', matches: isJpeg, read: readJpeg },
  { name: 'GIF', matches: isGif, read: readGif },
  { name: 'FLAC', matches: isFlac, read: readFlac },
  { name: 'Ogg', matches: isOgg, read: readOgg },
  { name: 'MP3', matches: isId3, read: readId3 },
  { name: 'Matroska or WebM', matches: isMatroska, read: readMatroska },
  { name: 'MP4 or MOV', matches: isIsoMedia, read: readIsoMedia },
];

/** What kind of media a file is by its first bytes, in words, of the kinds that may carry a workflow. */
export function mediaFormat(bytes: Uint8Array): string | undefined {
  const file = new ByteReader(bytes);
  return formats.find((format) => format.matches(file))?.name;
}

/** Texts that look like JSON and are parsed: a file has two, a hostile one as many as fit. Names of cameras and the like do not count. */
const mostTexts = 16;

/**
 * Reads the workflow out of a PNG, WebP, JPEG, GIF, FLAC, Ogg, MP3, MP4, MOV, WebM or Matroska file. Undefined when the file is of another kind, carries none, or
 * is damaged before it. Reads within the bytes only and never throws because of them.
 */
export async function readEmbeddedWorkflow(bytes: Uint8Array): Promise<EmbeddedWorkflow | undefined> {
  const file = new ByteReader(bytes);
  const format = formats.find(({ matches }) => matches(file));
  if (!format) return undefined;
  const found: { prompt?: unknown; workflow?: unknown } = {};
  let texts = 0;
  try {
    for await (const entry of format.read(file)) {
      const { prompt, workflow } = interpret(entry);
      if (prompt !== undefined) found.prompt ??= prompt;
      if (workflow !== undefined) found.workflow ??= workflow;
      if (looksLikeJson(entry.text)) texts += 1;
      if ((found.prompt && found.workflow) || texts >= mostTexts) break;
    }
  } catch (error) {
    // The file ends early: what was found before counts.
    if (!(error instanceof Truncated)) throw error;
  }
  return found.prompt === undefined && found.workflow === undefined ? undefined : found;
}

function looksLikeJson(text: string): boolean {
  return /[{"]/.test(text.slice(0, 64));
}

/** Texts name themselves by their key, by `key:` in front (EXIF), or are an object with both inside (comments of video nodes). */
function interpret({ key, text }: MetadataEntry): EmbeddedWorkflow {
  const named = /^\s*(prompt|workflow)\s*:\s*(?=[{"])/i.exec(text.slice(0, 64));
  const name = named?.[1]?.toLowerCase() ?? key.toLowerCase();
  const value = parseObject(named ? text.slice(named[0].length) : text);
  if (!value) return {};
  if (name === 'prompt') return { prompt: value };
  if (name === 'workflow') return { workflow: value };
  const format = detectWorkflowFormat(value);
  if (format === 'api') return { prompt: value };
  if (format === 'editor') return { workflow: value };
  return { prompt: parseObject(member(value, 'prompt')), workflow: parseObject(member(value, 'workflow')) };
}

function member(value: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

/** An object, from JSON text or from JSON text that was encoded once more. */
function parseObject(value: unknown, depth = 0): object | undefined {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  if (typeof value !== 'string' || depth > 1 || value.length > longestText) return undefined;
  if (!/^\s*[{"]/.test(value.slice(0, 64))) return undefined;
  try {
    return parseObject(parseTolerantJson(value), depth + 1);
  } catch {
    return undefined;
  }
}
