/**
 * The command line as a function: arguments and a world in, an exit code out. bin.ts gives it the real process. It never throws: every failure
 * becomes one message with a code and a next step, and the exit code of that code's row.
 */
import { type Command, CommanderError } from 'commander';
import { ComfyRunpodError, exitCodes, toComfyRunpodError } from '../../shared/index.ts';
import { createContext } from './command-context.ts';
import type { CliIo } from './io.ts';
import { createProgram } from './program.ts';
import { errorDocument, errorText } from './render/error-text.ts';
import { palette } from './terminal-text.ts';

/** Runs one command. `argv` has no program name in it. Resolves with the exit code. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exitCode: number = exitCodes.success;
  let profile: string | undefined;
  const program = createProgram(async (output, act) => {
    const flags = typeof output === 'boolean' ? { json: output } : output;
    await using context = await createContext(io, { ...flags, ...(profile !== undefined && { profile }) });
    exitCode = await act(context);
  });
  program.hook('preAction', (_program, command) => {
    const named: unknown = command.optsWithGlobals()['profile'];
    if (typeof named === 'string') profile = named;
  });
  let complaint = '';
  const output = {
    writeOut: (text: string) => void io.stdout.write(text),
    writeErr: (text: string) => {
      complaint += text;
    },
  };
  for (const command of [program, ...allBelow(program)]) command.exitOverride().configureOutput(output);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.success;
    return report(error instanceof CommanderError ? usageError(error, complaint) : toComfyRunpodError(error), argv, io);
  }
}

/** Prints an error the way that was asked for. */
function report(error: ComfyRunpodError, argv: readonly string[], io: CliIo): number {
  const jsonl = argv.includes('--jsonl');
  if (jsonl || argv.includes('--json')) {
    const document = { ...(jsonl && { type: 'result' }), ok: false, error: errorDocument(error) };
    io.stdout.write(`${JSON.stringify(document)}\n`);
  }
  io.stderr.write(errorText(error, palette(io.interactive, io.environment)));
  return error.policy.exitCode;
}

function usageError(error: CommanderError, complaint: string): ComfyRunpodError {
  // No command at all: commander puts the whole help on stderr, and that is what helps.
  if (error.code === 'commander.help')
    return new ComfyRunpodError('USAGE', `A command is missing.\n\n${complaint.trim()}\n`);
  const sentence = (
    complaint
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.startsWith('(see '))
      .join(' ') || error.message
  )
    .replace(/^error: /, '')
    .trim();
  const text = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  return new ComfyRunpodError('USAGE', /[.?)]$/.test(text) ? text : `${text}.`);
}

/** Commands of commands, too. */
function allBelow(command: Command): Command[] {
  return command.commands.flatMap((below) => [below, ...allBelow(below)]);
}
