// Python exceptions as the stand-in raises them. Neighbours: node-definition.ts (NodeError, what nodes throw).
// Anything else thrown by a node is translated here, so that a file error of Node reads like one of Python.
import { NodeError } from './node-definition.ts';
import { pyRepr } from './python-repr.ts';

/** What an exception looks like in answers: dotted type without `builtins`, and its text. */
export interface PythonErrorInfo {
  readonly type: string;
  readonly message: string;
}

/** `KeyError`: its text is the repr of the key. */
export function keyError(key: unknown): NodeError {
  return new NodeError('KeyError', pyRepr(key));
}

/** Raised where ComfyUI raises its interrupt exception; ends the prompt as interrupted. */
export class InterruptedPrompt extends Error {
  override readonly name = 'InterruptedPrompt';
}

const ERRNO: Readonly<Record<string, readonly [string, number, string]>> = {
  ENOENT: ['FileNotFoundError', 2, 'No such file or directory'],
  EACCES: ['PermissionError', 13, 'Permission denied'],
  EEXIST: ['FileExistsError', 17, 'File exists'],
  ENOTDIR: ['NotADirectoryError', 20, 'Not a directory'],
  EISDIR: ['IsADirectoryError', 21, 'Is a directory'],
  ENOSPC: ['OSError', 28, 'No space left on device'],
  ENAMETOOLONG: ['OSError', 36, 'File name too long'],
};

/** Type and text of whatever was thrown. */
export function pythonErrorInfo(error: unknown): PythonErrorInfo {
  if (error instanceof NodeError) return { type: error.pythonType, message: error.message };
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const known = ERRNO[error.code];
    if (known !== undefined) {
      const path = 'path' in error && typeof error.path === 'string' ? `: ${pyRepr(error.path)}` : '';
      return { type: known[0], message: `[Errno ${known[1]}] ${known[2]}${path}` };
    }
  }
  if (error instanceof RangeError && /call stack/i.test(error.message)) {
    return { type: 'RecursionError', message: 'maximum recursion depth exceeded' };
  }
  if (error instanceof TypeError) return { type: 'TypeError', message: error.message };
  return { type: 'RuntimeError', message: error instanceof Error ? error.message : String(error) };
}

/** A plausible `traceback.format_tb`: one frame, no host paths of this machine. */
export function fakeTraceback(file: string, line: number, name: string, code: string): string[] {
  return [`  File "/ComfyUI/${file}", line ${line}, in ${name}\n    ${code}\n`];
}
