/**
 * Names that came over the network -> a relative path that stays inside a folder on every system. Never refuses: a result that was paid for
 * is saved under a repaired name rather than lost. Pure.
 */

/** Longest part of a path in characters; most file systems take 255 bytes. */
const longestPart = 120;
/** Deepest sub-folder that is kept. */
const deepest = 8;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced
const forbidden = /[\u0000-\u001f\u007f<>:"|?*\\/]/g;
const windowsDevice = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

function safePart(part: string): string {
  const cleaned = part
    .replace(forbidden, '_')
    .replace(/[. ]+$/, '')
    .replace(/^\.+/, '_');
  return windowsDevice.test(cleaned) ? `_${cleaned}` : cleaned;
}

function cutKeepingExtension(name: string): string {
  if (name.length <= longestPart) return name;
  const extension = /\.[A-Za-z0-9]{1,10}$/.exec(name)?.[0] ?? '';
  return name.slice(0, longestPart - extension.length) + extension;
}

/** Folder parts and file name for a result. */
export interface SafeResultPath {
  readonly folders: readonly string[];
  readonly name: string;
}

/** The safe path for a file that the worker calls `name` in `subfolder`. */
export function safeResultPath(subfolder: string, name: string, fallbackName: string): SafeResultPath {
  const parts = `${subfolder}/${name}`.split(/[/\\]/);
  const last = cutKeepingExtension(safePart(parts.pop() ?? ''));
  const folders = parts
    .map((part) => safePart(part).slice(0, longestPart))
    .filter((part) => part !== '' && part !== '_')
    .slice(0, deepest);
  return { folders, name: last === '' || last === '_' ? fallbackName : last };
}

/** `name` as it is called at the `count`-th try, from 0: `a.png`, `a (1).png`, ... */
export function numberedName(name: string, count: number): string {
  if (count === 0) return name;
  const dot = name.lastIndexOf('.');
  const at = dot <= 0 ? name.length : dot;
  return `${name.slice(0, at)} (${count})${name.slice(at)}`;
}
