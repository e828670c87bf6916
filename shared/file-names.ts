/** Safe relative names for the files of a job. Pure: no file system is asked. */
import { ComfyRunpodError } from './error.ts';
import { limits } from './limits.ts';

/** Why `name` may not be used as a file name of a job, or undefined when it may. Sub-folders with `/` are fine. */
export function unsafeNameReason(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name.length > limits.fileNameChars) return `it is longer than ${limits.fileNameChars} characters`;
  if (name.includes('\0')) return 'it contains NUL';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0001-\u001f\u007f]/.test(name)) return 'it contains a control character';
  if (name.startsWith('/') || name.startsWith('\\') || /^[A-Za-z]:/.test(name)) return 'it is an absolute path';
  if (name.includes('\\')) return 'it contains a backslash';
  const parts = name.split('/');
  if (parts.includes('..')) return 'it contains ".."';
  if (parts.some((part) => part === '' || part === '.')) return 'it has an empty or "." part';
  if (/ \[(input|output|temp)\]$/.test(name)) return "it ends in ComfyUI's folder mark";
  return undefined;
}

/** Throws `FILE_NAME_UNSAFE` with the reason when `name` may not be used. The name itself is not repeated. */
export function assertSafeName(name: string, where: string): void {
  const reason = unsafeNameReason(name);
  if (reason !== undefined) throw new ComfyRunpodError('FILE_NAME_UNSAFE', `${where} can't be used: ${reason}.`);
}

/** The name's extension in lower case with its dot, or an empty string; at most 10 characters of a-z0-9. */
export function safeExtension(name: string): string {
  const match = /\.([A-Za-z0-9]{1,10})$/.exec(name);
  return match?.[1] === undefined ? '' : `.${match[1].toLowerCase()}`;
}
