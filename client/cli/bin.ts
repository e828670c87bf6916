/** The process around the command line: arguments, signals, exit code. Started by bin/comfy-runpod.js. */
import process from 'node:process';
import { processEnvironment } from '../config.ts';
import type { CliIo } from './io.ts';

const signals = ['SIGINT', 'SIGTERM'] as const;

const io: CliIo = {
  stdout: process.stdout,
  stderr: process.stderr,
  // Opened only when it is read: an open standard input keeps a process alive.
  stdin: {
    [Symbol.asyncIterator]: () => {
      const pieces = process.stdin[Symbol.asyncIterator]();
      return {
        next: () => pieces.next(),
        return: async () => {
          process.stdin.destroy();
          return { done: true, value: undefined };
        },
      };
    },
  },
  interactive: process.stderr.isTTY === true,
  ...(process.stderr.columns > 0 && { columns: process.stderr.columns }),
  async openFile(path) {
    const { default: open } = await import('open');
    await open(path);
  },
  environment: processEnvironment(),
  folder: process.cwd(),
  onInterrupt(listener) {
    for (const signal of signals) process.on(signal, listener);
    return () => {
      for (const signal of signals) process.off(signal, listener);
    };
  },
};

// `comfy-runpod run ... | head` closes stdout early: that is no crash.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const argv = process.argv.slice(2);
if (argv.length === 1 && argv[0] === 'worker') {
  // Loaded without the rest of the command line: what passes before the first job-take is paid GPU time.
  const { workerCommand } = await import('./commands/worker.ts');
  process.exitCode = await workerCommand(io.environment);
} else {
  const { runCli } = await import('./main.ts');
  process.exitCode = await runCli(argv, io);
}
