/** Where model files may lie, and where one of them belongs. */
import { access, constants, mkdir, statfs } from 'node:fs/promises';
import { foldersOfType, type ModelSpec, modelFolderType } from '../../shared/index.ts';

/** The folders of a worker; all absolute. */
export interface ModelPlaces {
  /** Where links and downloads go. */
  readonly own: string;
  /** ComfyUI's own models folder, when the worker knows it. May be the same as `own`. */
  readonly image?: string;
  /** Models folders on the network volume, in the order in which they are searched. They need not exist. */
  readonly volume: readonly string[];
  /** RunPod's host cache: the folder that holds `models--*`. It need not exist. */
  readonly hostCache: string;
}

/** Path of a model below a models folder, as it is written: the folder that newer versions use. */
export function ownPath(spec: Pick<ModelSpec, 'folder' | 'name'>): string {
  const [, ...below] = spec.folder.split('/');
  return [modelFolderType(spec.folder), ...below, spec.name].join('/');
}

/** Every path below a models folder under which ComfyUI would find the model by its name. */
export function possiblePaths(spec: Pick<ModelSpec, 'folder' | 'name'>): string[] {
  const [, ...below] = spec.folder.split('/');
  return foldersOfType(modelFolderType(spec.folder)).map((folder) => [folder, ...below, spec.name].join('/'));
}

/** The name by which a workflow calls the model: below its folder type. */
export function nameInWorkflow(spec: Pick<ModelSpec, 'folder' | 'name'>): string {
  return [...spec.folder.split('/').slice(1), spec.name].join('/');
}

/** The first of `candidates` that can be written to, made where it is not there. Undefined when there is none. */
export async function firstWritable(candidates: readonly string[]): Promise<string | undefined> {
  for (const folder of candidates) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
      return folder;
    } catch {
      // The next one.
    }
  }
  return undefined;
}

/** Free bytes where a folder is. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
