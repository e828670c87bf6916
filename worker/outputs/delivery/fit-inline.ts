/**
 * Makes a result fit into the answer itself, when it can: pictures in the format that the job asked for, metadata out, and only then PNG
 * packed tighter without loss, the largest first, until it fits. Never holds much more than the limit in memory.
 */
import { base64EncodedLength } from '../../../shared/index.ts';
import type { OutputFile } from '../list-outputs.ts';
import { repackPng } from './encode-picture.ts';
import {
  type FoundFile,
  isToConvert,
  type MadeArtifact,
  makeInMemory,
  type ResultWishes,
  reencoded,
} from './prepare-artifact.ts';

/** A file that was named and is there. */
export interface LocatedOutput {
  readonly file: OutputFile;
  readonly found: FoundFile;
}

/** JSON around one artifact: names, hash, types. Measured generously. */
const describedBytes = 1_024;
/** Results this much over the limit are worth the time to pack them tighter; more than that is never gained. */
const packingShare = 1.35;

/** Bytes in the answer of a file with this many bytes. */
export function inlineBytes(size: number): number {
  return base64EncodedLength(size) + describedBytes;
}

/** Files that are looked for or read at once: a file takes many small steps, and most of their time is waiting. */
const batchFiles = 8;

/** Cuts a list into parts of a few. */
export function* batches<T>(items: readonly T[], size: number = batchFiles): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

/** All artifacts in memory, or undefined when they don't fit into `limitBytes`. */
export async function fitInline(
  outputs: readonly LocatedOutput[],
  wishes: ResultWishes,
  limitBytes: number,
  signal: AbortSignal,
): Promise<readonly MadeArtifact[] | undefined> {
  const packs = wishes.metadata === 'strip';
  const raw = outputs.reduce((sum, { found }) => sum + inlineBytes(found.size), 0);
  const ceiling = packs ? limitBytes * packingShare : limitBytes;
  if (raw > ceiling && (await bytesAsTheyAre(outputs, wishes, signal)) > ceiling) return undefined;
  const artifacts: MadeArtifact[] = [];
  let total = 0;
  // Files over the limit that a conversion makes small are in memory one at a time.
  for (const some of batches(outputs, raw > ceiling ? 1 : batchFiles)) {
    const made = await Promise.all(some.map(({ file, found }) => makeInMemory(file, found, wishes, signal)));
    artifacts.push(...made);
    total += made.reduce((sum, { bytes }) => sum + inlineBytes(bytes.length), 0);
    if (total > ceiling) return undefined;
  }
  if (total <= limitBytes) return artifacts;
  return packs ? packUntilFits(artifacts, total, limitBytes, signal) : undefined;
}

/** Bytes in the answer of files that no conversion makes smaller. */
async function bytesAsTheyAre(
  outputs: readonly LocatedOutput[],
  { format }: ResultWishes,
  signal: AbortSignal,
): Promise<number> {
  let bytes = 0;
  for (const { file, found } of outputs) {
    if (!(await isToConvert(file, found, format, signal))) bytes += inlineBytes(found.size);
  }
  return bytes;
}

async function packUntilFits(
  artifacts: MadeArtifact[],
  before: number,
  limitBytes: number,
  signal: AbortSignal,
): Promise<readonly MadeArtifact[] | undefined> {
  let total = before;
  const largestFirst = [...artifacts.keys()]
    .filter((i) => artifacts[i]?.described.contentType === 'image/png')
    .toSorted((a, b) => (artifacts[b]?.bytes.length ?? 0) - (artifacts[a]?.bytes.length ?? 0));
  for (const i of largestFirst) {
    signal.throwIfAborted();
    const artifact = artifacts[i];
    const packed = artifact && (await repackPng(artifact.bytes));
    if (!artifact || !packed) continue;
    total += inlineBytes(packed.length) - inlineBytes(artifact.bytes.length);
    artifacts[i] = reencoded(
      artifact,
      packed,
      'packed tighter, pixels unchanged, so that the result fits into the answer',
    );
    if (total <= limitBytes) return artifacts;
  }
  return undefined;
}
