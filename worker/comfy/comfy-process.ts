/**
 * Starts and ends one ComfyUI: the only place of the product that makes child processes. It runs in a process group of its own, so that
 * nothing which a custom node started outlives it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { ComfyRunpodError, delay } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { type ComfyDirectories, knownFlags, launchArguments } from './launch-arguments.ts';
import { LogTail } from './log-tail.ts';

/** How to start a ComfyUI. */
export interface LaunchOptions {
  /** Folder with main.py. */
  readonly dir: string;
  readonly python: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly args: readonly string[];
  readonly directories: ComfyDirectories;
  /** File that names more models folders. */
  readonly modelPaths?: string;
  /** Environment of the process. Custom nodes run in it: it must not hold the worker's keys. */
  readonly environment: Readonly<Record<string, string>>;
  readonly stopMs: number;
  readonly logger: Logger;
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started ComfyUI. Stop it when done; stopping twice is the same as once. */
export class ComfyProcess {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #tail = new LogTail();
  readonly #options: LaunchOptions;
  readonly #ended: Promise<ProcessEnd>;
  readonly #endListeners = new Set<() => void>();
  #end: ProcessEnd | undefined;
  #stopping: Promise<void> | undefined;

  private constructor(options: LaunchOptions, port: number, argv: readonly string[]) {
    this.#options = options;
    this.url = `http://127.0.0.1:${port}`;
    this.#child = spawn(options.python, argv, {
      cwd: options.dir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: childEnvironment(options),
    });
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#child[stream]?.setEncoding('utf8').on('data', (text: string) => this.#tail.add(stream, text));
    }
    this.#ended = new Promise((resolve) => {
      const settle = (end: ProcessEnd) => {
        if (this.#end) return;
        this.#end = end;
        resolve(end);
        for (const listener of this.#endListeners) listener();
        this.#endListeners.clear();
      };
      this.#child.once('error', (error) => {
        this.#tail.add('stderr', `${error.message}\n`);
        settle({ code: null, signal: null });
      });
      // `close` and not `exit`: by then the last lines have been read.
      this.#child.once('close', (code, signal) => settle({ code, signal }));
      this.#child.once('exit', (code, signal) => setTimeout(() => settle({ code, signal }), 200).unref());
    });
  }

  /** Makes the folders and starts the process. It is not ready yet: ask it over HTTP. */
  static async start(options: LaunchOptions): Promise<ComfyProcess> {
    const { directories, logger } = options;
    // Missing folders break LoadImage (§3.7) and the user folder must exist (§4.1).
    const folders = [directories.input, directories.output, directories.temp, directories.user];
    await Promise.all(folders.map((folder) => mkdir(folder, { recursive: true, mode: 0o700 })));
    const port = options.port === 0 ? await freePort() : options.port;
    const known = await knownFlags(options.dir);
    const argv = launchArguments({ known, port, directories, extra: options.args, modelPaths: options.modelPaths });
    logger.info({ dir: options.dir, port }, 'Starting ComfyUI');
    return new ComfyProcess(options, port, argv);
  }

  /** How it ended, or undefined while it lives. */
  get end(): ProcessEnd | undefined {
    return this.#end;
  }

  /** Calls `listener` once it has ended, at once when it has, until the returned function is called. */
  onEnd(listener: () => void): () => void {
    if (this.#end) listener();
    else this.#endListeners.add(listener);
    return () => this.#endListeners.delete(listener);
  }

  /** Custom-node packs that failed to import, as its log tells. */
  get failedPacks(): readonly string[] {
    return this.#tail.failedPacks;
  }

  /** Tells the log filter that jobs run from now on. */
  promptsBegin(): void {
    this.#tail.promptsBegin();
  }

  /** The error for an end that nobody asked for, with the last lines of the log. */
  endError(code: 'COMFY_START_FAILED' | 'COMFY_CRASHED'): ComfyRunpodError {
    const how = this.#end?.signal ? `by ${this.#end.signal}` : `with code ${this.#end?.code ?? 'unknown'}`;
    const what = code === 'COMFY_START_FAILED' ? 'ComfyUI ended while starting' : 'ComfyUI ended';
    return new ComfyRunpodError(code, `${what}, ${how}.${this.logText()}`, {
      details: { exitCode: this.#end?.code ?? null, signal: this.#end?.signal ?? null },
    });
  }

  /** The last lines of its log, for a message. */
  logText(): string {
    const text = this.#tail.text();
    return text === '' ? '' : ` Its last lines:\n${text}`;
  }

  /** SIGTERM, SIGKILL after a grace period, both to the whole group; then the temp folder goes, which ComfyUI leaves behind (§4.1). */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (!this.#end) {
      this.#signal('SIGTERM');
      const grace = new AbortController();
      await Promise.race([this.#ended, delay(this.#options.stopMs, grace.signal).catch(() => undefined)]);
      grace.abort();
    }
    // Also when the process itself is gone: its group may not be.
    this.#signal('SIGKILL');
    await this.#ended;
    await rm(this.#options.directories.temp, { recursive: true, force: true });
    this.#options.logger.info({ code: this.#end?.code, signal: this.#end?.signal }, 'ComfyUI has stopped');
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone already.
    }
  }
}

function childEnvironment(options: LaunchOptions): Record<string, string> {
  return {
    PYTHONUNBUFFERED: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    DO_NOT_TRACK: '1',
    ...options.environment,
    // Multipart uploads are spooled there (§1.8): keep them on the RAM disk.
    TMPDIR: path.dirname(options.directories.input),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
