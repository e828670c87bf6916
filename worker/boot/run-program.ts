/** Runs a small program of the system to its end and answers what it printed. */
import { execFile } from 'node:child_process';

/** How a program ended. `missing`: it is not installed. */
export type ProgramEnd =
  | { readonly kind: 'ok'; readonly output: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'failed'; readonly output: string };

/** Runs it without a shell. Throws only the signal's reason. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ProgramEnd> {
  const { timeoutMs: timeout, signal } = options;
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout, signal, maxBuffer: 1024 * 1024, killSignal: 'SIGKILL' }, (error, out, err) => {
      if (error === null) resolve({ kind: 'ok', output: out });
      else if (signal.aborted) reject(signal.reason as Error);
      else if (error.code === 'ENOENT') resolve({ kind: 'missing' });
      else resolve({ kind: 'failed', output: `${out}\n${err}`.trim().slice(-500) });
    });
  });
}
