/**
 * Turns what a run put out into artifacts in memory: found, measured against the limit before a byte is read, read, stripped, hashed.
 */
import { createHash } from 'node:crypto';
import { type Artifact, base64EncodedLength, ComfyRunpodError, type ValueOutput } from '../../shared/index.ts';
import { artifactKind, sniffContentType } from './content-type.ts';
import type { ListedOutputs, OutputFile } from './list-outputs.ts';
import { stripMetadata } from './metadata/strip-metadata.ts';

/** A file that exists. A job's files of worker/workspace fit. */
export interface FoundFile {
  readonly size: number;
  read(signal: AbortSignal): Promise<Buffer>;
}

/** Finds a file that ComfyUI named. Throws `OUTPUT_UNSAFE` or `OUTPUT_MISSING`. */
export type LocateFile = (file: OutputFile, signal: AbortSignal) => Promise<FoundFile>;

/** An artifact with its bytes, before it becomes text. */
export interface CollectedArtifact {
  readonly described: Omit<Artifact, 'delivery'>;
  readonly bytes: Buffer;
}

/** What collecting needs. */
export interface Collection {
  readonly listed: ListedOutputs;
  readonly locate: LocateFile;
  /** Class of a node in the submitted workflow. */
  readonly classOf: (node: string) => string;
  /** Turns the name of a file on the worker into the one that the caller expects. */
  readonly callerName: (file: OutputFile) => { readonly name: string; readonly subfolder: string };
  readonly metadata: 'strip' | 'keep';
  /** Largest envelope, bytes. */
  readonly limitBytes: number;
  readonly signal: AbortSignal;
}

/** Everything that a run put out, in memory. */
export interface CollectedOutputs {
  readonly artifacts: readonly CollectedArtifact[];
  readonly values: readonly ValueOutput[];
}

/** JSON around one artifact: names, hash, types. Measured generously. */
const describedBytes = 1_024;

/** Finds, reads and describes all files. Throws `RESULT_TOO_LARGE` before it reads any when they can't fit. */
export async function collectOutputs(collection: Collection): Promise<CollectedOutputs> {
  const { listed, locate, classOf, signal } = collection;
  const values = listed.values.map((value) => ({ ...value, classType: classOf(value.node) }));
  const found: { file: OutputFile; at: FoundFile }[] = [];
  for (const file of listed.files) found.push({ file, at: await locate(file, signal) });
  assertFits(found, values, collection.limitBytes);
  const artifacts: CollectedArtifact[] = [];
  for (const { file, at } of found) artifacts.push(describe(file, await at.read(signal), collection));
  return { artifacts, values };
}

function assertFits(
  found: readonly { file: OutputFile; at: FoundFile }[],
  values: readonly ValueOutput[],
  limitBytes: number,
): void {
  const raw = found.reduce((sum, { at }) => sum + at.size, 0);
  const encoded = found.reduce((sum, { at }) => sum + base64EncodedLength(at.size) + describedBytes, 0);
  const total = encoded + Buffer.byteLength(JSON.stringify(values));
  if (total <= limitBytes) return;
  throw tooLarge(total, limitBytes, found.length, raw);
}

/** The error for a result over the limit, with the sizes and what to do. */
export function tooLarge(total: number, limitBytes: number, files: number, rawBytes: number): ComfyRunpodError {
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return new ComfyRunpodError(
    'RESULT_TOO_LARGE',
    `The result takes ${mib(total)} as base64 (${files} files, ${mib(rawBytes)}); the limit of this job is ${mib(limitBytes)}.`,
    { details: { resultBytes: total, limitBytes, files, rawBytes } },
  );
}

function describe(file: OutputFile, raw: Buffer, collection: Collection): CollectedArtifact {
  const contentType = sniffContentType(raw, file.filename);
  const { bytes, metadata } =
    collection.metadata === 'strip' ? stripMetadata(raw, contentType) : { bytes: raw, metadata: 'kept' as const };
  return {
    bytes,
    described: {
      ...collection.callerName(file),
      type: file.type,
      node: file.node,
      classType: collection.classOf(file.node),
      key: file.key,
      index: file.index,
      kind: artifactKind(contentType),
      contentType,
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      metadata,
    },
  };
}
