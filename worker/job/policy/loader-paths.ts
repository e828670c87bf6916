/**
 * Refuses graphs that name files of others. Baseline ComfyUI opens whatever path a loader holds (ComfyUI protocol notes §5.3): the whole
 * disk, other jobs' inputs, and with a mark such as `[output]` their results. Pure.
 */
import { ComfyRunpodError, unsafeNameReason, type Workflow } from '../../../shared/index.ts';
import type { NodeClass } from '../../comfy/index.ts';

/** An input of a node. */
interface Place {
  readonly node: string;
  readonly input: string;
}

/** Loaders that check their own file input; V1 declarations of older packs carry no upload mark. */
const loaderClass = /^Load(Image|Audio|Video|Latent)/;
/** Folders of jobs, as worker/workspace names them, anywhere in a text. */
const jobFolder = /\bcr-\d{1,10}-[0-9a-f]{16}\b/;

/**
 * Throws `FILE_NAME_UNSAFE` for the first loader input that is absolute, holds `..` or carries a folder mark, and for the first input of any
 * kind that names a job's folder. `replaced`: inputs that name files of this job; they get staged names before the graph is posted.
 */
export function assertLoaderPaths(
  workflow: Workflow,
  classes: ReadonlyMap<string, NodeClass>,
  replaced: readonly Place[],
): void {
  const own = new Set(replaced.map(keyOf));
  for (const [node, { class_type: classType, inputs }] of Object.entries(workflow)) {
    for (const [input, value] of Object.entries(inputs)) {
      if (own.has(keyOf({ node, input }))) continue;
      const texts = textsIn(value);
      const reason =
        (texts.some((text) => jobFolder.test(text)) ? "it names another job's folder" : undefined) ??
        (isFileInput(classType, input, classes) ? firstReason(texts) : undefined);
      if (reason !== undefined) throw unsafePath({ node, input }, classType, reason);
    }
  }
}

/** The error for an input that can't be used. The value is not repeated. */
export function unsafePath(place: Place, classType: string, reason: string): ComfyRunpodError {
  const where = `Input ${JSON.stringify(place.input)} of node ${place.node} (${classType})`;
  return new ComfyRunpodError('FILE_NAME_UNSAFE', `${where} can't be used: ${reason}.`, {
    issues: [{ node: place.node, classType, field: place.input, message: reason }],
  });
}

function isFileInput(classType: string, input: string, classes: ReadonlyMap<string, NodeClass>): boolean {
  const declared = classes.get(classType)?.inputs.get(input);
  return declared?.upload === true || (loaderClass.test(classType) && declared?.type !== 'STRING');
}

/** Texts in a value, also in lists and in ComfyUI's `{"__value__": …}` (§1.3.5). Values are bounded in depth before this runs. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

function firstReason(texts: readonly string[]): string | undefined {
  return texts.map(unsafeReason).find((reason) => reason !== undefined);
}

/** ComfyUI cuts the mark off together with one character before it, whatever that is, so only the mark as documented may stand. */
function unsafeReason(text: string): string | undefined {
  if (text === '') return undefined;
  const bare = text.replace(/ \[input\]$/, '');
  return /\[(input|output|temp)\]$/.test(bare) ? "it ends in ComfyUI's folder mark" : unsafeNameReason(bare);
}

function keyOf({ node, input }: Place): string {
  return JSON.stringify([node, input]);
}
