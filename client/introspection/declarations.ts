/**
 * Which node classes there are and what they take, from whoever knows: a file, a ComfyUI, the kept description of an endpoint, or the classes that
 * ship with this package. The conversion and the validation of workflows need them; which source it was decides how far they can be trusted.
 */
import { resolve } from 'node:path';
import { ComfyRunpodError, type Description, limits, parseTolerantJson, readDescription } from '../../shared/index.ts';
import { loadObjectInfo } from '../data/load-object-info.ts';
import { readRegularFile } from '../files/read-regular-file.ts';
import { isObject, own } from '../workflow/convert/json-values.ts';
import type { ObjectInfo } from '../workflow/convert/object-info.ts';
import { readObjectInfo } from './read-object-info.ts';

/** Declarations and where they are from. */
export interface Declarations {
  readonly objectInfo: ObjectInfo;
  /** For people, such as `the ComfyUI at 127.0.0.1:8188`. */
  readonly from: string;
  /**
   * True: they are those of the ComfyUI that runs the job, so that what is missing here is missing there. False: custom nodes, models and newer
   * classes may be there all the same.
   */
  readonly exact: boolean;
  /** Every class there is, where a worker told the names of more classes than declarations. */
  readonly classNames?: ReadonlySet<string>;
  /** Names of model files by ComfyUI's folder names. */
  readonly models?: Readonly<Record<string, readonly string[]>>;
  /** Custom-node packs that failed to import. */
  readonly failedPacks?: readonly { readonly pack: string; readonly reason?: string | undefined }[];
}

/** The classes that ship with this package: ComfyUI without custom nodes. Nothing is asked. */
export async function shippedDeclarations(): Promise<Declarations> {
  const { version, objectInfo } = await loadObjectInfo();
  return { objectInfo, from: `the classes of ComfyUI ${version} that ship with comfy-runpod`, exact: false };
}

/** Declarations out of a worker's description; the shipped ones for the classes of which it told the names only. */
export async function declarationsOf(description: Description, from: string): Promise<Declarations> {
  const { nodeClasses, importFailures } = description;
  const models = Object.fromEntries(
    Object.entries(description.models).map(([folder, files]) => [folder, files.map(({ name }) => name)]),
  );
  const facts = { from, models, ...(importFailures && { failedPacks: importFailures }) };
  const objectInfo = await readObjectInfo(description);
  if (objectInfo !== undefined) return { ...facts, objectInfo, exact: true };
  const shipped = await loadObjectInfo();
  const { names } = nodeClasses;
  if (names === undefined) return { ...facts, objectInfo: shipped.objectInfo, exact: false };
  const known = Object.fromEntries(Object.entries(shipped.objectInfo).filter(([name]) => names.includes(name)));
  return { ...facts, objectInfo: known, exact: false, classNames: new Set(names) };
}

/**
 * Reads the text of `--object-info`: an answer of `/object_info`, or what `describe --out` or `describe --json` wrote. Throws
 * `OBJECT_INFO_INVALID`.
 */
export async function parseDeclarations(text: string, from: string): Promise<Declarations> {
  let document: unknown;
  try {
    document = parseTolerantJson(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw new ComfyRunpodError('OBJECT_INFO_INVALID', `${from} is not JSON.`, { cause: error });
  }
  const description = readDescription(document);
  const unpacked = own(document, 'objectInfo');
  if (description !== undefined) {
    const declared = await declarationsOf(description, from);
    return isObject(unpacked) ? { ...declared, objectInfo: unpacked, exact: true } : declared;
  }
  if (isObject(document) && Object.values(document).some((entry) => isObject(own(entry, 'input')))) {
    return { objectInfo: document, from, exact: true };
  }
  throw new ComfyRunpodError('OBJECT_INFO_INVALID', `${from} declares no node classes.`);
}

/** Reads a file of `--object-info`. Throws `FILE_*` and `OBJECT_INFO_INVALID`. */
export async function readDeclarationsFile(path: string, folder: string, signal?: AbortSignal): Promise<Declarations> {
  const shown = `The file ${JSON.stringify(path.slice(0, 200))} of --object-info`;
  if (path.includes('\0')) throw new ComfyRunpodError('FILE_NAME_UNSAFE', 'The path of --object-info contains NUL.');
  const bytes = await readRegularFile({
    path: resolve(folder, path),
    shown,
    signal,
    checkSize: (size) => {
      if (size <= limits.comfyAnswerBytes) return;
      throw new ComfyRunpodError('OBJECT_INFO_INVALID', `${shown} is too large.`);
    },
  });
  return parseDeclarations(decodeText(bytes), shown);
}

/** Text as files hold it: UTF-8, or the UTF-16 that Windows shells write when output is redirected. */
export function decodeText(bytes: Uint8Array): string {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(utf16 ? 'utf-16le' : 'utf-8').decode(bytes);
}
