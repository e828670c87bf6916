// Reading a file the way a Python node does: the operating system's errors become Python's exceptions.
import { readFile } from 'node:fs/promises';
import { NodeError } from '../node-definition.ts';

const pythonErrors: Readonly<Record<string, readonly [type: string, text: string]>> = {
  ENOENT: ['FileNotFoundError', '[Errno 2] No such file or directory'],
  EACCES: ['PermissionError', '[Errno 13] Permission denied'],
  ENOTDIR: ['NotADirectoryError', '[Errno 20] Not a directory'],
  EISDIR: ['IsADirectoryError', '[Errno 21] Is a directory'],
  ENAMETOOLONG: ['OSError', '[Errno 36] File name too long'],
};

/** A path as Python's `repr` shows a string. */
export function pythonQuote(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
  return escaped.includes("'") && !escaped.includes('"') ? `"${escaped}"` : `'${escaped.replaceAll("'", "\\'")}'`;
}

/** Turns an error of node:fs into the exception Python raises for the same call. */
export function pythonOsError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const known = pythonErrors[error.code];
  if (known === undefined) return new NodeError('OSError', `${error.code}: ${pythonQuote(path)}`, { cause: error });
  return new NodeError(known[0], `${known[1]}: ${pythonQuote(path)}`, { cause: error });
}

/** The whole file. Raises NodeError with the Python type, e.g. IsADirectoryError. */
export async function readWholeFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw pythonOsError(error, path);
  }
}
