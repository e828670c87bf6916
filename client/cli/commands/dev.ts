/** `dev`: the chain on this machine until Ctrl-C, for clients of any kind. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { faultScriptSchema } from '../../../sandbox/runpod/index.ts';
import { ComfyRunpodError, exitCodes } from '../../../shared/index.ts';
import type { CommandContext } from '../command-context.ts';
import { type LocalStackOptions, startLocalStack } from '../local-stack.ts';
import { comfyFolders, type RunFlags } from './run.ts';

/** Parsed flags of `dev`. */
export interface DevFlags extends Pick<RunFlags, 'comfyUrl' | 'comfyInputDir' | 'comfyOutputDir' | 'comfyTempDir'> {
  readonly port?: string;
  readonly faults?: string;
}

/** Runs until the first Ctrl-C, which lets the worker finish its job; the second ends that, too. */
export async function devCommand(flags: DevFlags, context: CommandContext): Promise<number> {
  const { io } = context;
  const stopping = Promise.withResolvers<void>();
  const giveUp = new AbortController();
  let presses = 0;
  const unsubscribe = io.onInterrupt(() => {
    presses += 1;
    if (presses === 1) {
      context.note('Stopping: the worker finishes its job (Ctrl-C again gives it up) ...');
      stopping.resolve();
    } else giveUp.abort(new ComfyRunpodError('JOB_CANCELLED', 'Interrupted.'));
  });
  try {
    const stack = await startLocalStack(await stackOptions(flags, context));
    try {
      announce(stack, context);
      await stopping.promise;
    } finally {
      await stack.close(giveUp.signal);
    }
    return giveUp.signal.aborted ? exitCodes.interrupted : exitCodes.success;
  } finally {
    unsubscribe();
  }
}

function announce(stack: Awaited<ReturnType<typeof startLocalStack>>, context: CommandContext): void {
  const lines = Object.entries(stack.clientEnvironment).map(([name, value]) => `export ${name}=${value}`);
  context.print(`${lines.join('\n')}\n`, { ok: true, environment: stack.clientEnvironment, comfyUrl: stack.comfyUrl });
  context.note(`ComfyUI: ${stack.comfyUrl}`);
  context.note('A RunPod emulator and a worker are running. Set the lines above in another terminal. Ctrl-C stops.');
}

async function stackOptions(flags: DevFlags, context: CommandContext): Promise<LocalStackOptions> {
  const { port, comfyUrl, faults } = flags;
  if (port !== undefined && (!/^\d+$/.test(port) || Number(port) > 65_535)) {
    throw new ComfyRunpodError('USAGE', '--port takes a number from 0 to 65535.');
  }
  return {
    environment: context.environment,
    folders: comfyFolders(flags, context.io.folder),
    logLevel: 'info',
    log: (line) => context.io.stderr.write(line),
    ...(port !== undefined && { port: Number(port) }),
    ...(comfyUrl !== undefined && { comfyUrl }),
    ...(faults !== undefined && { faults: await readFaults(resolve(context.io.folder, faults)) }),
  };
}

async function readFaults(path: string): Promise<NonNullable<LocalStackOptions['faults']>> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    const missing = error instanceof Error && 'code' in error;
    throw new ComfyRunpodError(
      missing ? 'FILE_NOT_FOUND' : 'USAGE',
      `The fault script ${missing ? "can't be read" : 'is not JSON'}.`,
      {
        cause: error,
      },
    );
  }
  const parsed = faultScriptSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({
    field: issue.path.map(String).join('.'),
    message: issue.message,
  }));
  throw new ComfyRunpodError('USAGE', 'The fault script has mistakes.', {
    issues,
    nextStep: 'docs/sandbox-runpod.md describes the format.',
  });
}
