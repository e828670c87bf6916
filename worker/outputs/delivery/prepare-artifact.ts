/**
 * A file that ComfyUI wrote becomes what is delivered: without metadata where the job wants that, in the format that it asked for, described.
 * Large files are described by their first bytes and their structure and stay on the workspace until they are read piece by piece.
 */
import { type Artifact, ComfyRunpodError, limits, type OutputFormat, safeExtension } from '../../../shared/index.ts';
import { artifactKind, sniffContentType } from '../content-type.ts';
import type { OutputFile } from '../list-outputs.ts';
import type { MetadataEdit } from '../metadata/edit-plan.ts';
import { planStrip, stripMetadata } from '../metadata/strip-metadata.ts';
import { bytesSource, partsSource, type ReadRange, type SourcePart } from './artifact-source.ts';
import { convertPicture, isConvertible } from './encode-picture.ts';
import type { PreparedArtifact } from './rung.ts';

/** A file that exists. A job's files of worker/workspace fit. */
export interface FoundFile {
  readonly size: number;
  read(signal: AbortSignal): Promise<Buffer>;
  /** Reads a part of it. Absent where files can only be had as a whole. */
  readonly readRange?: ReadRange;
}

/** What a job says about its results. */
export interface ResultWishes {
  readonly metadata: 'strip' | 'keep';
  readonly format: OutputFormat;
  /** Class of a node in the submitted workflow. */
  readonly classOf: (node: string) => string;
  /** Turns the name of a file on the worker into the one that the caller expects. */
  readonly callerName: (file: OutputFile) => { readonly name: string; readonly subfolder: string };
}

/** A file in memory, as it is delivered. */
export interface MadeArtifact {
  readonly bytes: Buffer;
  readonly described: PreparedArtifact['described'];
  readonly extension: string;
}

/** Files up to this size are read as a whole. */
const wholeBytes = 4 * 1024 * 1024;
const sniffedBytes = 64;

/** True when the job wants the file in another format than ComfyUI wrote: only then it has to be read as a whole, whatever its size. */
export async function isToConvert(
  file: OutputFile,
  { size, readRange }: FoundFile,
  { format }: OutputFormat,
  signal: AbortSignal,
): Promise<boolean> {
  if (format === undefined || format === 'original') return false;
  if (!readRange) return true;
  return isConvertible(sniffContentType(await readRange(0, Math.min(size, sniffedBytes), signal), file.filename));
}

/** Reads, strips and converts a file in memory. Throws `RESULT_TOO_LARGE` for one that is too large for that. */
export async function makeInMemory(
  file: OutputFile,
  found: FoundFile,
  wishes: ResultWishes,
  signal: AbortSignal,
): Promise<MadeArtifact> {
  if (found.size > limits.outputFileBytes) throw tooLargeForMemory(found.size);
  const raw = await found.read(signal);
  const from = sniffContentType(raw, file.filename);
  const kept = { bytes: raw, metadata: 'kept' as const };
  const { bytes, metadata } = wishes.metadata === 'strip' ? stripMetadata(raw, from) : kept;
  const converted = await convertPicture(bytes, from, wishes.format);
  if (!converted) return made(file, bytes, { contentType: from, metadata }, wishes);
  const { contentType: to, extension, why } = converted;
  const facts = { contentType: to, metadata: 'stripped' as const, encoding: { from, to, why }, extension };
  return made(file, converted.bytes, facts, wishes);
}

function tooLargeForMemory(size: number): ComfyRunpodError {
  return new ComfyRunpodError(
    'RESULT_TOO_LARGE',
    `A file of ${size} bytes would have to be in memory as a whole; the limit for that is ${limits.outputFileBytes}.`,
    {
      details: { size, limit: limits.outputFileBytes },
      nextStep:
        "Leave output.format out, and let the worker share ComfyUI's disk: files are then streamed, however large.",
    },
  );
}

/** The same artifact with other bytes, which hold the same picture. */
export function reencoded(artifact: MadeArtifact, bytes: Buffer, why: string): MadeArtifact {
  const { contentType } = artifact.described;
  const encoding = { from: contentType, to: contentType, why };
  return { ...artifact, bytes, described: { ...artifact.described, size: bytes.length, encoding } };
}

function made(file: OutputFile, bytes: Buffer, facts: Facts, wishes: ResultWishes): MadeArtifact {
  const described = describe(file, bytes.length, facts, wishes);
  return { bytes, described, extension: safeExtension(described.name) };
}

/** Makes a file ready to travel; a large one without reading it as a whole, as far as its format allows. */
export async function prepareArtifact(
  file: OutputFile,
  found: FoundFile,
  wishes: ResultWishes,
  signal: AbortSignal,
): Promise<PreparedArtifact> {
  const { readRange, size } = found;
  if (readRange && size > wholeBytes && !(await isToConvert(file, found, wishes.format, signal))) {
    return prepareStreamed(file, size, readRange, wishes, signal);
  }
  const { bytes, ...rest } = await makeInMemory(file, found, wishes, signal);
  return { ...rest, source: bytesSource(bytes) };
}

async function prepareStreamed(
  file: OutputFile,
  size: number,
  read: ReadRange,
  wishes: ResultWishes,
  signal: AbortSignal,
): Promise<PreparedArtifact> {
  const contentType = sniffContentType(await read(0, Math.min(size, sniffedBytes), signal), file.filename);
  const range = (start: number, end: number) => read(start, end - start, signal);
  const edits = wishes.metadata === 'strip' ? await planStrip(range, size, contentType) : undefined;
  const source = partsSource(editedParts(size, edits ?? []), read);
  const facts = { contentType, metadata: edits ? ('stripped' as const) : ('kept' as const) };
  const described = describe(file, source.size, facts, wishes);
  return { described, extension: safeExtension(described.name), source };
}

/** The edited file as parts of the file on disk and what comes between them. */
function editedParts(size: number, edits: readonly MetadataEdit[]): readonly SourcePart[] {
  const parts: SourcePart[] = [];
  let position = 0;
  for (const edit of [...edits, { start: size, end: size, bytes: Buffer.alloc(0), zeros: 0 }]) {
    parts.push({ position, length: edit.start - position }, edit.bytes, Buffer.alloc(edit.zeros));
    position = edit.end;
  }
  return parts;
}

interface Facts {
  readonly contentType: string;
  readonly metadata: Artifact['metadata'];
  readonly encoding?: Artifact['encoding'];
  readonly extension?: string;
}

function describe(file: OutputFile, size: number, facts: Facts, wishes: ResultWishes): PreparedArtifact['described'] {
  const { name, subfolder } = wishes.callerName(file);
  return {
    name: facts.extension === undefined ? name : withExtension(name, facts.extension),
    subfolder,
    type: file.type,
    node: file.node,
    classType: wishes.classOf(file.node),
    key: file.key,
    index: file.index,
    kind: artifactKind(facts.contentType),
    contentType: facts.contentType,
    size,
    metadata: facts.metadata,
    ...(facts.encoding && { encoding: facts.encoding }),
  };
}

function withExtension(name: string, extension: string): string {
  const old = safeExtension(name);
  const base = old !== '' && name.toLowerCase().endsWith(old) ? name.slice(0, -old.length) : name;
  return base + extension;
}
