// Where a saver writes: token replacement, folder, next counter (ComfyUI protocol notes §3.4).
// Invariants: 1. the counter looks at directory entries of any extension, at save time. 2. With `%batch_num%` in the prefix no
// entry ever matches, so the counter stays 1 and files are overwritten. 3. A prefix that leaves the base fails here, at run time.
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { NodeError, type SavePath } from '../node-definition.ts';

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

function replaceTokens(prefix: string, width: number, height: number, at: Date): string {
  return prefix
    .replaceAll('%width%', String(width))
    .replaceAll('%height%', String(height))
    .replaceAll('%year%', String(at.getFullYear()))
    .replaceAll('%month%', twoDigits(at.getMonth() + 1))
    .replaceAll('%day%', twoDigits(at.getDate()))
    .replaceAll('%hour%', twoDigits(at.getHours()))
    .replaceAll('%minute%', twoDigits(at.getMinutes()))
    .replaceAll('%second%', twoDigits(at.getSeconds()));
}

/** The number in a directory entry. `length` is that of the prefix's last part as given, which for `a/` or `` is 0. */
function counterOf(entry: string, filename: string, length: number): number | undefined {
  if (entry.slice(0, length) !== filename || entry[length] !== '_') return undefined;
  const digits = entry.slice(length + 1).split('_')[0] ?? '';
  return /^\s*[+-]?\d(?:_?\d)*\s*$/.test(digits) ? Number(digits) : 0;
}

/** Whether `folder` is `base` or lies below it. Both absolute. */
export function isInside(folder: string, base: string): boolean {
  return folder === base || folder.startsWith(base.endsWith(path.sep) ? base : base + path.sep);
}

/** Resolves a prefix. `base` is absolute; `now` is local time. Rejects with NodeError when the prefix leaves `base`. */
export async function resolveSavePath(
  prefix: string,
  base: string,
  size: { readonly width: number; readonly height: number },
  now: Date,
): Promise<SavePath> {
  const replaced = prefix.includes('%') ? replaceTokens(prefix, size.width, size.height, now) : prefix;
  const normal = replaced === '' ? '.' : path.normalize(replaced).replace(/(?<=.)\/$/, '');
  const subfolder = path.dirname(normal) === '.' ? '' : path.dirname(normal);
  const filename = path.basename(normal);
  const folder = subfolder.startsWith('/') ? path.resolve(subfolder) : path.resolve(base, subfolder);
  if (!isInside(folder, base)) {
    throw new NodeError(
      'Exception',
      '**** ERROR: Saving image outside the output folder is not allowed.' +
        `\n full_output_folder: ${folder}` +
        `\n         output_dir: ${base}` +
        `\n         commonpath: ${commonPath(folder, base)}`,
    );
  }
  await mkdir(folder, { recursive: true });
  const length = replaced.slice(replaced.lastIndexOf('/') + 1).length;
  const counters = (await readdir(folder))
    .map((entry) => counterOf(entry, filename, length))
    .filter((found) => found !== undefined);
  return { folder, filename, counter: Math.max(0, ...counters) + 1, subfolder };
}

function commonPath(a: string, b: string): string {
  const [left, right] = [a.split(path.sep), b.split(path.sep)];
  let same = 0;
  while (same < Math.min(left.length, right.length) && left[same] === right[same]) same += 1;
  return left.slice(0, same).join(path.sep) || path.sep;
}
