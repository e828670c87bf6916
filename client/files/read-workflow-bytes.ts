/** The bytes of a workflow: a file that a person named, or what another program pipes in. */
import { resolve } from 'node:path';
import { ComfyRunpodError, limits, raceSignal } from '../../shared/index.ts';
import { mediaFormat } from '../workflow/embedded/read-embedded-workflow.ts';
import { readRegularFile } from './read-regular-file.ts';

/** Stands for standard input where a path is expected. */
export const stdinPath = '-';

/** Where to read from. */
export interface WorkflowFile {
  /** A path, or `-` for `stdin`. */
  readonly path: string;
  /** Folder that relative paths start from. */
  readonly folder: string;
  readonly stdin?: AsyncIterable<Uint8Array | string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes and what messages call them. */
export interface WorkflowBytes {
  readonly bytes: Uint8Array;
  /** `The workflow "w.json"` or `Standard input`. */
  readonly shown: string;
}

/** Reads it. Throws `FILE_*`, or `WORKFLOW_INVALID` for what is too large to be a workflow or to be searched for one. */
export async function readWorkflowBytes(file: WorkflowFile): Promise<WorkflowBytes> {
  const { path, signal } = file;
  const shown = path === stdinPath ? 'Standard input' : `The workflow ${JSON.stringify(path.slice(0, 200))}`;
  const checkSize = (size: number) => {
    if (size > limits.workflowMediaBytes) throw tooLarge(shown);
  };
  let bytes: Uint8Array;
  if (path === stdinPath) bytes = await readStdin(file, checkSize);
  else {
    if (path.includes('\0')) throw new ComfyRunpodError('FILE_NAME_UNSAFE', "The workflow's path contains NUL.");
    bytes = await readRegularFile({ path: resolve(file.folder, path), shown, signal, checkSize });
  }
  if (bytes.byteLength > limits.workflowFileBytes && mediaFormat(bytes) === undefined) throw tooLarge(shown);
  return { bytes, shown };
}

async function readStdin({ stdin, signal }: WorkflowFile, checkSize: (bytes: number) => void): Promise<Uint8Array> {
  if (stdin === undefined) throw new ComfyRunpodError('USAGE', 'There is no standard input to read a workflow from.');
  const pieces: Uint8Array[] = [];
  let size = 0;
  const iterator = stdin[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await raceSignal(iterator.next(), signal);
      if (done === true) break;
      const piece = typeof value === 'string' ? new TextEncoder().encode(value) : value;
      size += piece.byteLength;
      checkSize(size);
      pieces.push(piece);
    }
  } finally {
    // Not awaited: a pipe that nobody writes to never answers.
    iterator.return?.().catch(() => undefined);
  }
  if (size === 0) {
    throw new ComfyRunpodError('FILE_EMPTY', 'Standard input is empty.', {
      nextStep: 'Pipe a workflow in, or name a file instead of -.',
    });
  }
  return Buffer.concat(pieces, size);
}

function tooLarge(shown: string): ComfyRunpodError {
  return new ComfyRunpodError('WORKFLOW_INVALID', `${shown} is too large for a workflow.`);
}
