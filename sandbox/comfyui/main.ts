// The stand-in as a process: what `python main.py` is to a supervisor (ComfyUI protocol notes §4.1). It takes ComfyUI's own
// flags, logs where ComfyUI logs and reacts to signals as ComfyUI does. `python main.py …` and `node main.ts …` are interchangeable.
// Invariants: 1. SIGTERM has no handler: immediate death, temp folder left behind. 2. SIGINT removes the temp folder and
// exits 0. 3. A crash fault that does not come back ends the process with exit code 1.
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { type ComfyFlags, parseCommandLine, UsageError, usageText } from './command-line.ts';
import { readExtraModelPaths } from './extra-model-paths.ts';
import type { LogLevel } from './log-book.ts';
import type { ComfyProfile } from './node-definition.ts';
import { startComfyStandIn } from './stand-in.ts';
import { readStandInEnvironment, type StandInEnvironment } from './stand-in-environment.ts';
import type { ComfyStandInOptions } from './stand-in-options.ts';

function failUsage(message: string, profile: ComfyProfile): never {
  process.stderr.write(`${usageText(profile)}\nmain.py: error: ${message}\n`);
  process.exit(2);
}

function readFlags(argv: readonly string[], profile: ComfyProfile): ComfyFlags {
  try {
    const flags = parseCommandLine(argv, process.cwd(), profile);
    if (argv.includes('--user-directory') && !existsSync(flags.user)) {
      throw new UsageError(`argument --user-directory: '${flags.user}' is not a readable directory`);
    }
    return flags;
  } catch (error) {
    if (error instanceof UsageError) failUsage(error.message, profile);
    throw error;
  }
}

function writer(flags: ComfyFlags): (text: string, level: LogLevel) => void {
  return (text, level) => {
    const loud = level === 'ERROR' || level === 'CRITICAL';
    (flags.logToStdout && !loud ? process.stdout : process.stderr).write(text);
  };
}

function standInOptions(
  flags: ComfyFlags,
  environment: StandInEnvironment,
  argv: readonly string[],
): ComfyStandInOptions {
  return {
    host: flags.host,
    port: flags.port,
    profile: environment.profile,
    ...(environment.version === undefined ? {} : { version: environment.version }),
    directories: {
      input: flags.input,
      output: flags.output,
      temp: flags.temp,
      user: flags.user,
      models: flags.models,
    },
    extraModels: readExtraModelPaths(flags.extraModelPaths),
    disableMetadata: flags.disableMetadata,
    cache: flags.cache,
    maxUploadMegabytes: flags.maxUploadMegabytes,
    ...(flags.corsOrigin === undefined ? {} : { corsOrigin: flags.corsOrigin }),
    logLevel: flags.verbose,
    onLog: writer(flags),
    faults: environment.faults,
    argv: ['main.py', ...argv],
    onExit: (restartAfterMs) => {
      if (restartAfterMs === null) process.exit(1);
    },
  };
}

/** Runs the server until a signal ends it. */
export async function main(argv: readonly string[]): Promise<void> {
  const environment = readStandInEnvironment(process.env);
  const flags = readFlags(argv, environment.profile);
  if (environment.startupExitCode !== undefined) {
    process.stderr.write('Traceback (most recent call last):\nModuleNotFoundError: a start-up failure was scripted\n');
    process.exit(environment.startupExitCode);
  }
  const write = writer(flags);
  write(`** ComfyUI startup time: ${new Date().toISOString()}\n`, 'INFO');
  write(`ComfyUI version: ${environment.version ?? '0.3.64'}\n`, 'INFO');
  if (argv.includes('--temp-directory')) write(`Setting temp directory to: ${flags.temp}\n`, 'INFO');
  await mkdir(flags.user, { recursive: true });
  if (flags.quickTest) process.exit(0);
  if (flags.printServer) write('Starting server\n\n', 'INFO');
  const standIn = await startComfyStandIn(standInOptions(flags, environment, argv));
  if (flags.printServer) write(`To see the GUI go to: ${standIn.url}\n`, 'INFO');
  process.on('SIGINT', () => {
    write('\nStopped server\n', 'INFO');
    void standIn.close().then(async () => {
      await rm(flags.temp, { recursive: true, force: true });
      process.exit(0);
    });
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    process.stderr.write(`Traceback (most recent call last):\n${String(error)}\n`);
    process.exit(1);
  });
}
