/** One way for results to travel, as a step of the ladder (ladder.ts). */
import type { Artifact, Delivery } from '../../../shared/index.ts';
import type { ArtifactSource } from './artifact-source.ts';

/** An artifact that is ready to travel; its hash is made on the way. */
export interface PreparedArtifact {
  readonly described: Omit<Artifact, 'delivery' | 'sha256'>;
  /** Of the file's name, with the dot; empty when it has none. */
  readonly extension: string;
  readonly source: ArtifactSource;
}

/** What became of an artifact. */
export interface SentArtifact {
  readonly sha256: string;
  readonly delivery: Exclude<Delivery, { via: 'inline' }>;
}

/** Sends one artifact. Throws a coded error when this way can't carry it. */
export type SendArtifact = (
  artifact: PreparedArtifact,
  index: number,
  reason: string,
  signal: AbortSignal,
) => Promise<SentArtifact>;

/** A way that is there: configured, or brought by the job. */
export interface Rung {
  readonly via: 'stream' | 'put' | 'bucket' | 'volume';
  /** Largest result in bytes. */
  readonly maxBytes: number;
  /** Most artifacts, for ways that take each separately. */
  readonly maxArtifacts: number;
  readonly send: SendArtifact;
  /** Ends connections. Never throws. */
  close(): void;
}
