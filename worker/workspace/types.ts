/** Shapes of the workspace: where the files of a job live while it runs, and how they go away. */

/** A file that a job sent. */
export interface SentFile {
  readonly name: string;
  /** Standard base64. */
  readonly data: string;
  /** Lower-case hex. */
  readonly sha256?: string | undefined;
}

/** A file that lies in ComfyUI's input folder. */
export interface StagedFile {
  /** The caller's name. */
  readonly name: string;
  /** What a loader input must hold to read it. */
  readonly value: string;
  readonly size: number;
}

/** A file that ComfyUI named. `subfolder` and `filename` are untrusted. */
export interface NamedFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'input' | 'output' | 'temp';
}

/** A file that exists and is not empty. */
export interface LocatedFile {
  readonly size: number;
  /** Reads all of it. Throws `OUTPUT_MISSING` when it is not `size` bytes any more. */
  read(signal: AbortSignal): Promise<Buffer>;
  /** Reads `length` bytes from `position`. Throws likewise. Absent where files only come as a whole. */
  readonly readRange?: (position: number, length: number, signal: AbortSignal) => Promise<Buffer>;
}

/** What was wiped and what was left. */
export interface WipeReport {
  readonly mode: 'wiped' | 'debug' | 'remote';
  readonly files: number;
  readonly bytes: number;
  /** Relative names of what is still there, each with its folder first. */
  readonly kept: readonly string[];
  /** Read back: nothing that the job is known to have made is there any more. Only with `wiped`. */
  readonly verified?: boolean;
  /** Files that appeared during the job and may be another's: they stay until no job runs, or for good where others use the same ComfyUI. */
  readonly unattributed?: number;
  /** Input files that stay because a job asked for them to be held for later jobs; absent when there are none. */
  readonly held?: number;
}

/** The files of one job. */
export interface JobFiles {
  /** Output folder of the job, unique to it: the first part of every saver's prefix. */
  readonly folder: string;
  /** Files can be staged while ComfyUI boots. */
  readonly stagesAhead: boolean;
  /** A further output folder, for running again. It becomes `folder`. */
  renewFolder(): string;
  /** Puts files into the input folder. Throws a coded error; what was staged before it is wiped by `wipe`. */
  stage(files: readonly SentFile[], signal: AbortSignal): Promise<readonly StagedFile[]>;
  /** Finds a file that ComfyUI named. Throws `OUTPUT_UNSAFE` or `OUTPUT_MISSING`. */
  locate(file: NamedFile, signal: AbortSignal): Promise<LocatedFile>;
  /** Wipes everything of the job: staged files, its output folders and `named` files elsewhere. Never throws; twice is the same as once. */
  wipe(named: readonly NamedFile[], options: { readonly keep: boolean }): Promise<WipeReport>;
}

/** Where jobs put their files. */
export interface Workspace {
  /** Makes sure that it can be used. Throws `WORKSPACE_FAILED`. */
  prepare(): Promise<void>;
  openJob(): JobFiles;
  /** Wipes what earlier jobs left behind and answers how many files that were. Never throws. */
  sweep(): Promise<number>;
  /** No further job comes: the folder for inputs goes, when nothing is kept in it. */
  close(): Promise<void>;
}
