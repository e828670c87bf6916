/**
 * Turns what a run put out into artifacts on their way to the caller: found, measured before a byte is read, then either in memory for the
 * answer itself or already delivered another way (delivery/ladder.ts).
 */
import { createHash } from 'node:crypto';
import { type Artifact, ComfyRunpodError, type Delivery, type ValueOutput } from '../../shared/index.ts';
import { batches, fitInline, inlineBytes, type LocatedOutput } from './delivery/fit-inline.ts';
import { type DeliveryPlaces, type DeliveryRequest, descend, openRungs } from './delivery/ladder.ts';
import { type FoundFile, type MadeArtifact, prepareArtifact, type ResultWishes } from './delivery/prepare-artifact.ts';
import type { ListedOutputs, OutputFile } from './list-outputs.ts';

/** Finds a file that ComfyUI named. Throws `OUTPUT_UNSAFE` or `OUTPUT_MISSING`. */
export type LocateFile = (file: OutputFile, signal: AbortSignal) => Promise<FoundFile>;

/** An artifact, with its bytes when they travel in the answer, else with how they travelled. */
export type CollectedArtifact =
  | { readonly described: Omit<Artifact, 'delivery'>; readonly bytes: Buffer }
  | { readonly described: Omit<Artifact, 'delivery'>; readonly delivery: Exclude<Delivery, { via: 'inline' }> };

/** What collecting needs. */
export interface Collection extends Omit<ResultWishes, 'format'> {
  readonly listed: ListedOutputs;
  readonly locate: LocateFile;
  /** Default: as ComfyUI wrote them. */
  readonly format?: ResultWishes['format'];
  /** Largest envelope, bytes. */
  readonly limitBytes: number;
  readonly signal: AbortSignal;
  /** Ways besides the answer. Without them a result that doesn't fit is refused. */
  readonly delivery?: {
    readonly places: DeliveryPlaces;
    readonly request: DeliveryRequest;
    /** Ends the delivery; by default `signal` does. */
    readonly signal?: AbortSignal;
    /** A way failed and the next one is tried. */
    readonly onFailure: (via: string, error: ComfyRunpodError) => void;
  };
}

/** Everything that a run put out. */
export interface CollectedOutputs {
  readonly artifacts: readonly CollectedArtifact[];
  readonly values: readonly ValueOutput[];
}

/** Finds all files and reads or delivers them. Throws `RESULT_TOO_LARGE` when nothing carries them, or what the last way threw. */
export async function collectOutputs(collection: Collection): Promise<CollectedOutputs> {
  const { listed, locate, classOf, signal, limitBytes } = collection;
  const values = listed.values.map((value) => ({ ...value, classType: classOf(value.node) }));
  const outputs: LocatedOutput[] = [];
  for (const files of batches(listed.files)) {
    outputs.push(...(await Promise.all(files.map(async (file) => ({ file, found: await locate(file, signal) })))));
  }
  const wishes = { ...collection, format: collection.format ?? {} };
  const kind = collection.delivery?.request.destination.kind ?? 'inline';
  const room = limitBytes - Buffer.byteLength(JSON.stringify(values));
  if (kind === 'inline' || kind === 'auto' || outputs.length === 0) {
    const inline = room < 0 ? undefined : await fitInline(outputs, wishes, room, signal);
    if (inline) return { artifacts: inline.map(collectedInline), values };
  }
  const raw = outputs.reduce((sum, { found }) => sum + found.size, 0);
  const encoded = outputs.reduce((sum, { found }) => sum + inlineBytes(found.size), 0) + limitBytes - room;
  const refusal = tooLarge(encoded, limitBytes, outputs.length, raw);
  if (!collection.delivery || kind === 'inline' || room < 0) throw refusal;
  const reason = kind === 'auto' ? 'too large for the answer' : 'the job asked for it';
  return { artifacts: await deliver(collection.delivery, outputs, wishes, { raw, reason, refusal }, signal), values };
}

async function deliver(
  { places, request, onFailure, ...given }: NonNullable<Collection['delivery']>,
  outputs: readonly LocatedOutput[],
  wishes: ResultWishes,
  why: { readonly raw: number; readonly reason: string; readonly refusal: ComfyRunpodError },
  signal: AbortSignal,
): Promise<readonly CollectedArtifact[]> {
  const sent = await descend(
    openRungs(places, request),
    {
      count: outputs.length,
      bytes: why.raw,
      reason: why.reason,
      refusal: why.refusal,
      onFailure,
      prepare(index, live) {
        const output = outputs[index];
        if (!output) throw new RangeError('no such output');
        return prepareArtifact(output.file, output.found, wishes, live);
      },
    },
    given.signal ?? signal,
  );
  return sent.map(({ described, sha256, delivery }) => ({ described: { ...described, sha256 }, delivery }));
}

function collectedInline({ described, bytes }: MadeArtifact): CollectedArtifact {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { bytes, described: { ...described, sha256 } };
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
