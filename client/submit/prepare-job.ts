/** What a person names on a command line (a workflow or a picture that carries one, picture files) -> the job input of the contract. */
import { randomBytes } from 'node:crypto';
import { contractVersion, isComfyRunpodError, type JobInputWire, type Workflow } from '../../shared/index.ts';
import { namePictures } from '../files/name-pictures.ts';
import { type PictureFile, readPicture } from '../files/read-picture.ts';
import { type Declarations, shippedDeclarations } from '../introspection/declarations.ts';
import type { ObjectInfo } from '../workflow/convert/object-info.ts';
import { type InjectionReport, type InjectionRequest, injectWorkflow } from '../workflow/inject/inject-workflow.ts';
import { type MediaRole, placeMedia } from '../workflow/media-inputs.ts';
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
  /** Masks, videos and sounds as `FILE` or `NODE=FILE`. */
  readonly media?: Readonly<Partial<Record<MediaRole, readonly string[]>>>;
  /** Prompts, seeds and values to put into the workflow. */
  readonly injection?: InjectionRequest;
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
  /** What was put into the workflow. */
  readonly report: InjectionReport;
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
  const objectInfo = await objectInfoFor(request);
  const { workflow, report } = injectWorkflow(loaded.workflow, request.injection ?? {}, {
    random,
    ...(objectInfo && { objectInfo }),
  });
  const { asked, files, names } = await readFiles(request, workflow);
  const named = asked.map((one, index) => ({ ...one, name: names[index] ?? '' }));
  const media = placeMedia(
    workflow,
    named.flatMap(({ role, name, node }) =>
      role === 'image' ? [] : [{ role, name, ...(node !== undefined && { node }) }],
    ),
    objectInfo,
  );
  const placed = placePictures(
    media.workflow,
    named.flatMap(({ role, name, node }) => (role === 'image' ? [{ name, ...(node !== undefined && { node }) }] : [])),
    { allowExisting: request.allowExisting, served: media.placed },
  );
  const advice = request.validate === false ? [] : await validated(placed.workflow, request);
  return { input: jobInput(request, placed.workflow, files, names), loaded, report, advice };
}

/** A chance that nobody can foresee. */
function random(): number {
  return randomBytes(6).readUIntBE(0, 6) / 2 ** 48;
}

/** The classes, where something is injected that depends on them; a ComfyUI that does not tell them is no reason not to try. */
async function objectInfoFor({
  injection = {},
  media = {},
  declarations,
}: JobRequest): Promise<ObjectInfo | undefined> {
  const wanted =
    Object.values(injection).some((wish) => wish !== undefined) || Object.values(media).some((list) => list.length > 0);
  if (!wanted) return undefined;
  try {
    return (await (declarations ?? shippedDeclarations)()).objectInfo;
  } catch (error) {
    if (isComfyRunpodError(error) && error.code.startsWith('COMFY_')) return (await shippedDeclarations()).objectInfo;
    throw error;
  }
}

interface AskedFile {
  readonly role: 'image' | MediaRole;
  readonly path: string;
  readonly node?: string;
}

/** Reads every file that is named, and gives each its name in the job. */
async function readFiles(request: JobRequest, workflow: Workflow) {
  const { pictures, media = {}, folder, bodyLimit: maxBytes, signal } = request;
  const lists = { image: pictures, ...media };
  const asked = Object.entries(lists).flatMap(([role, list]) =>
    list.map(
      (argument): AskedFile => ({ role: role as AskedFile['role'], ...splitPictureArgument(argument, workflow) }),
    ),
  );
  const files: PictureFile[] = [];
  for (const { path, role } of asked) {
    const kind = role === 'video' || role === 'audio' ? role : 'picture';
    files.push(await readPicture(path, { folder, maxBytes, signal, kind }));
  }
  return { asked, files, names: namePictures(files) };
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
