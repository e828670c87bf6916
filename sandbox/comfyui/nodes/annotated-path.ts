// File values of loaders: `name.png`, `sub/dir/name.png`, with ` [input]`, ` [output]` or ` [temp]` behind it.
// Source: ComfyUI protocol notes §3.7. The baseline does not check where a path leads; late-2026 keeps it inside its folder.
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { type ComfyFolders, type DeclarationContext, NodeError } from '../node-definition.ts';

const annotations: readonly { readonly text: string; readonly folder: keyof ComfyFolders }[] = [
  { text: '[output]', folder: 'output' },
  { text: '[input]', folder: 'input' },
  { text: '[temp]', folder: 'temp' },
];

interface AnnotatedPath {
  /** Folder the value is relative to, absolute. */
  readonly base: string;
  /** What to open; outside `base` when the value says so. */
  readonly path: string;
}

/** Reads a loader's value. The annotation and the one character before it are cut off, whatever that character is. */
function resolveAnnotated(value: string, folders: ComfyFolders): AnnotatedPath {
  const annotation = annotations.find(({ text }) => value.endsWith(text));
  const name = annotation === undefined ? value : value.slice(0, -(annotation.text.length + 1));
  const base = folders[annotation?.folder ?? 'input'];
  if (isAbsolute(name)) return { base, path: name };
  return { base, path: base.endsWith(sep) ? base + name : base + sep + name };
}

/** The path a loader opens for its value, absolute and not normalised, as error messages show it. */
export function annotatedPath(value: string, folders: ComfyFolders): string {
  return resolveAnnotated(value, folders).path;
}

async function isInside(base: string, path: string): Promise<boolean> {
  const [realBase, realPath] = await Promise.all([realpath(base), realpath(path)]);
  return realPath === realBase || realPath.startsWith(realBase.endsWith(sep) ? realBase : realBase + sep);
}

/** The validator of image loaders: true, or the text that becomes `image - Invalid image file: …`. Only existence counts.
 * A value that is no string raises AttributeError, as calling `endswith` on it would. */
export async function validateImageFile(value: unknown, context: DeclarationContext): Promise<true | string> {
  if (typeof value !== 'string') {
    throw new NodeError('AttributeError', `'${pythonTypeName(value)}' object has no attribute 'endswith'`);
  }
  const { base, path } = resolveAnnotated(value, context.folders);
  const invalid = `Invalid image file: ${value}`;
  try {
    await stat(path);
    if (context.profile === 'late-2026' && !(await isInside(base, path))) return invalid;
    return true;
  } catch {
    return invalid;
  }
}

function pythonTypeName(value: unknown): string {
  if (value === undefined || value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  return Array.isArray(value) ? 'list' : 'dict';
}
