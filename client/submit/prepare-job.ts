/** What a person names on a command line (a workflow or a picture that carries one, picture files) -> the job input of the contract. */
import { contractVersion, isComfyRunpodError, type JobInputWire, type Workflow } from '../../shared/index.ts';
import { namePictures } from '../files/name-pictures.ts';
import { type PictureFile, readPicture } from '../files/read-picture.ts';
import { type Declarations, shippedDeclarations } from '../introspection/declarations.ts';
import { placePictures } from '../workflow/picture-inputs.ts';
import type { ValidationAdvice } from '../workflow/validate/validation.ts';
import { checkWorkflow, refusalOf } from './check-workflow.ts';
import { type LoadedWorkflow, loadWorkflow } from './load-workflow.ts';
import { splitPictureArgument } from './picture-argument.ts';

/** What to make a job of. */
export interface JobRequest {
  /** Path of the workflow, in API format or the editor's, or of a file that carries one; `-` for `stdin`. */
  readonly workflow: string;
  readonly stdin?: AsyncIterable<Uint8Array | string> | undefined;
  /** The node classes that a conversion goes by. Default: those that ship with this package. */
  readonly declarations?: (() => Promise<Declarations>) | undefined;
  /** Pictures as `FILE` or `NODE=FILE`. */
  readonly pictures: readonly string[];
  /** Folder that relative paths start from. */
  readonly folder: string;
  /** Keep the job's files on the worker. */
  readonly debug?: boolean;
  readonly metadata?: 'strip' | 'keep';
  /** Longest run on the worker, milliseconds. */
  readonly executionMs?: number;
  /** Loaders without a picture may name files that ComfyUI has. */
  readonly allowExisting: boolean;
  /** Largest body that can travel, bytes, or Infinity. */
  readonly bodyLimit: number;
  /** Largest result that travels in one answer, bytes; for advice. */
  readonly resultBytes?: number;
  /** False: the workflow is sent without a check of what ComfyUI would refuse. */
  readonly validate?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A job that is ready to be submitted. */
export interface PreparedJob {
  readonly input: JobInputWire;
  /** The workflow before pictures were placed, and how it was come by. */
  readonly loaded: LoadedWorkflow;
  /** What is worth knowing about the workflow as it is sent. */
  readonly advice: readonly ValidationAdvice[];
}

/** Reads everything and builds the job input. Throws coded errors; nothing is sent. */
export async function prepareJob(request: JobRequest): Promise<PreparedJob> {
  const loaded = await loadWorkflow({
    path: request.workflow,
    folder: request.folder,
    stdin: request.stdin,
    declarations: request.declarations,
    signal: request.signal,
  });
  const { workflow } = loaded;
  const asked = request.pictures.map((argument) => splitPictureArgument(argument, workflow));
  const files: PictureFile[] = [];
  for (const { path } of asked) {
    files.push(
      await readPicture(path, { folder: request.folder, maxBytes: request.bodyLimit, signal: request.signal }),
    );
  }
  const names = namePictures(files);
  const placed = placePictures(
    workflow,
    asked.map(({ node }, index) => ({ name: names[index] ?? '', ...(node !== undefined && { node }) })),
    { allowExisting: request.allowExisting },
  );
  const advice = request.validate === false ? [] : await validated(placed.workflow, request);
  return { input: jobInput(request, placed.workflow, files, names), loaded, advice };
}

/** Advice, or the error that ComfyUI would answer with. A ComfyUI that does not tell its classes is no reason not to ask it. */
async function validated(workflow: Workflow, request: JobRequest): Promise<readonly ValidationAdvice[]> {
  let declarations: Declarations;
  try {
    declarations = await (request.declarations ?? shippedDeclarations)();
  } catch (error) {
    if (!isComfyRunpodError(error) || !error.code.startsWith('COMFY_')) throw error;
    return [{ kind: 'not_checked', nodes: [], message: `the workflow was not checked: ${error.message}` }];
  }
  const { resultBytes } = request;
  const validation = checkWorkflow(workflow, declarations, resultBytes === undefined ? {} : { resultBytes });
  const refusal = refusalOf(validation, declarations);
  if (refusal !== undefined) throw refusal;
  return validation.advice;
}

function jobInput(
  request: JobRequest,
  workflow: Workflow,
  files: readonly PictureFile[],
  names: readonly string[],
): JobInputWire {
  const byName = new Map(files.map((file, index) => [names[index] ?? '', file]));
  return {
    contract: contractVersion,
    workflow,
    ...(byName.size > 0 && { files: [...byName].map(([name, { data, sha256 }]) => ({ name, data, sha256 })) }),
    ...(request.debug === true && { debug: true }),
    ...(request.metadata !== undefined && { metadata: request.metadata }),
    ...(request.executionMs !== undefined && { limits: { executionMs: request.executionMs } }),
  };
}
