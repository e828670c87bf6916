/**
 * `doctor`: whether everything between this machine and a finished picture is as it should be, one line per check, each with what to do. It
 * sends no workflow. A worker is only asked who it is when one is awake, or with --ping: waking one costs GPU time.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { request } from 'undici';
import {
  ComfyRunpodError,
  contractVersion,
  exitCodes,
  type HealthView,
  isComfyRunpodError,
  limits,
  type Pong,
  packageVersion,
} from '../../../shared/index.ts';
import { type Client, type ClientOptions, createClient } from '../../client.ts';
import type { ClientConfig } from '../../config.ts';
import type { CommandContext } from '../command-context.ts';
import { terminalGraphics } from '../render/terminal-graphics.ts';
import { oneLine } from '../terminal-text.ts';

/** Flags of the command. */
export interface DoctorFlags {
  readonly out: string;
  readonly ping?: boolean;
}

/** One thing that was looked at. */
interface Check {
  readonly name: string;
  readonly result: 'ok' | 'note' | 'warning' | 'failed';
  readonly text: string;
  readonly next?: string;
  readonly exitCode?: number;
}

/** Node versions that the package runs on (package.json, engines). */
const oldestNode = [22, 19] as const;
/** Signed addresses and TLS bear with a few minutes; S3 refuses beyond 15. */
const clockWarningMs = 60_000;
/** Room that a few large results need. */
const lowDiskBytes = 1024 ** 3;
const pingPatienceMs = 180_000;

/** Checks and reports. Answers with 0, or the exit code of the first check that failed. */
export async function doctorCommand(flags: DoctorFlags, context: CommandContext): Promise<number> {
  const stop = new AbortController();
  const unsubscribe = context.io.onInterrupt(() => stop.abort(new ComfyRunpodError('JOB_CANCELLED', 'Interrupted.')));
  try {
    const checks = [
      nodeCheck(),
      await diskCheck(resolve(context.io.folder, flags.out)),
      graphicsCheck(context),
      ...(await endpointChecks(flags, context, stop.signal)),
    ];
    const text = checks.map((check) => line(check, context)).join('');
    const failed = checks.filter(({ result }) => result === 'failed');
    context.print(text, { ok: failed.length === 0, version: packageVersion, contract: contractVersion, checks });
    return failed[0] === undefined ? exitCodes.success : (failed[0].exitCode ?? exitCodes.usage);
  } finally {
    unsubscribe();
  }
}

function line(check: Check, context: CommandContext): string {
  const marks = { ok: 'ok', note: 'note', warning: 'warning', failed: context.paint.red('FAILED') };
  const pad = ' '.repeat(Math.max(1, 9 - check.result.length));
  const next = check.next === undefined ? '' : `\n${' '.repeat(19)}next: ${oneLine(check.next, 300)}`;
  return `${marks[check.result]}${pad}${check.name.padEnd(10)}${oneLine(check.text, 300)}${next}\n`;
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  const text = `Node ${process.versions.node}, comfy-runpod ${packageVersion}, contract ${contractVersion}`;
  if (fits) return { name: 'program', result: 'ok', text };
  return { name: 'program', result: 'failed', text, next: `Install Node ${oldestNode.join('.')} or newer.` };
}

/** The folder of --out: can it be written, and is there room. Leaves nothing behind. */
async function diskCheck(folder: string): Promise<Check> {
  const probe = join(folder, `.comfy-runpod-${randomUUID()}`);
  const made = await mkdir(folder, { recursive: true }).catch((error: unknown) => error);
  if (made instanceof Error) return diskFailed('The folder of --out can not be made.');
  try {
    await writeFile(probe, 'x', { flag: 'wx', mode: 0o600 });
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `the folder for results can be written, ${(free / 1024 ** 3).toFixed(1)} GiB free`;
    return free < lowDiskBytes
      ? { name: 'disk', result: 'warning', text, next: 'Make room, or name another folder with --out.' }
      : { name: 'disk', result: 'ok', text };
  } catch {
    return diskFailed('The folder of --out can not be written.');
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
    // The first folder that was made on the way goes again, with what is in it: nothing but our probe ever was.
    if (typeof made === 'string') await rm(made, { recursive: true, force: true }).catch(() => undefined);
  }
}

function diskFailed(text: string): Check {
  return {
    name: 'disk',
    result: 'failed',
    text,
    next: 'Name a folder of yours with --out.',
    exitCode: exitCodes.usage,
  };
}

function graphicsCheck(context: CommandContext): Check {
  const found = terminalGraphics(context.io.interactive, context.environment);
  const text = found === undefined ? 'pictures are not shown in this terminal' : `pictures are shown by ${found}`;
  return { name: 'terminal', result: 'note', text };
}

async function endpointChecks(flags: DoctorFlags, context: CommandContext, signal: AbortSignal): Promise<Check[]> {
  let config: ClientConfig;
  try {
    config = context.config();
  } catch (error) {
    return [failure('settings', error)];
  }
  if (config.kind === 'unconfigured') {
    return [
      {
        name: 'settings',
        result: 'warning',
        text: 'no endpoint is configured: `run` uses the sandbox on this machine',
        next: 'Set RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID in the environment or in .env.',
      },
    ];
  }
  const client = createClient(config.options);
  try {
    const settings: Check = { name: 'settings', result: 'ok', text: `key and endpoint ${config.endpointId} are set` };
    const clock = await clockCheck(config.options, signal);
    let health: HealthView;
    try {
      health = await client.health({ signal });
    } catch (error) {
      return [settings, ...clock, failure('endpoint', error)];
    }
    return [settings, ...clock, ...healthChecks(health), ...(await workerChecks(client, health, flags, signal))];
  } finally {
    await client.close();
  }
}

function failure(name: string, error: unknown): Check {
  if (!isComfyRunpodError(error)) throw error;
  return {
    name,
    result: 'failed',
    text: `${error.code}: ${error.message}`,
    next: error.nextStep,
    exitCode: error.policy.exitCode,
  };
}

/** The server's own Date against this machine's. Says nothing where no answer or no date comes: the next check names the cause. */
async function clockCheck(options: ClientOptions, signal: AbortSignal): Promise<Check[]> {
  const before = Date.now();
  try {
    const answer = await request(`${options.baseUrl ?? ''}/${options.endpointId ?? ''}/health`, {
      headers: { authorization: `Bearer ${options.apiKey ?? ''}` },
      signal: AbortSignal.any([signal, AbortSignal.timeout(options.requestTimeoutMs ?? 30_000)]),
    });
    await answer.body.dump();
    const date = Date.parse(String(answer.headers['date'] ?? ''));
    if (Number.isNaN(date)) return [];
    const roundTripMs = Date.now() - before;
    // The header has whole seconds.
    const apart = Math.max(0, Math.abs(date - (before + roundTripMs / 2)) - 1_000);
    if (apart < clockWarningMs)
      return [{ name: 'clock', result: 'ok', text: `agrees with the server; round trip ${roundTripMs} ms` }];
    const text = `this machine's clock and the server's are ${Math.round(apart / 1000)} s apart`;
    return [
      { name: 'clock', result: 'warning', text, next: 'Set the clock: signed addresses and costs depend on it.' },
    ];
  } catch (error) {
    if (signal.aborted) throw error;
    return [];
  }
}

function healthChecks({ jobs, workers }: HealthView): Check[] {
  const awake = workers.idle + workers.ready + workers.running + workers.initializing;
  const counters = `${workers.idle} idle, ${workers.running} running, ${workers.initializing} starting, ${workers.throttled} throttled, ${workers.unhealthy} unhealthy; ${jobs.inQueue} jobs queued, ${jobs.inProgress} running`;
  const endpoint: Check = { name: 'endpoint', result: 'ok', text: `the key may use it; workers: ${counters}` };
  const body: Check = {
    name: 'limits',
    result: 'note',
    text: `a job may have ${limits.runBodyBytes / 1024 ** 2} MiB with /run, ${limits.runsyncBodyBytes / 1024 ** 2} MiB with /runsync; larger pictures go by address`,
  };
  const more: Check[] = [];
  if (workers.unhealthy > 0) {
    more.push({
      name: 'workers',
      result: 'warning',
      text: `${workers.unhealthy} of them are unhealthy`,
      next: "Read the worker's log in RunPod's console: the last line says why it ended.",
    });
  }
  if (awake === 0 && workers.throttled > 0) {
    more.push({
      name: 'workers',
      result: 'warning',
      text: 'every worker is throttled: RunPod has no free GPU of the chosen kind',
      next: 'Allow more GPU kinds or regions for the endpoint, or wait.',
    });
  }
  return [endpoint, body, ...more];
}

async function workerChecks(
  client: Client,
  health: HealthView,
  flags: DoctorFlags,
  signal: AbortSignal,
): Promise<Check[]> {
  const { idle, ready, running } = health.workers;
  if (idle + ready + running === 0 && flags.ping !== true) {
    const text = 'no worker is awake, so its version was not asked for';
    return [{ name: 'worker', result: 'note', text, next: '`comfy-runpod doctor --ping` wakes one (paid) and asks.' }];
  }
  try {
    return [
      versionCheck(await client.ping({ signal: AbortSignal.any([signal, AbortSignal.timeout(pingPatienceMs)]) })),
    ];
  } catch (error) {
    signal.throwIfAborted();
    if (isComfyRunpodError(error)) return [failure('worker', error)];
    return [
      {
        name: 'worker',
        result: 'failed',
        text: `no worker answered within ${pingPatienceMs / 1000} s`,
        next: "Read the worker's log in RunPod's console, and see `comfy-runpod health`.",
        exitCode: exitCodes.platform,
      },
    ];
  }
}

function versionCheck(pong: Pong): Check {
  const image = pong.image === undefined ? '' : ` in ${pong.image}`;
  const text = `comfy-runpod ${pong.workerVersion}${image}, contract ${pong.contract}, ComfyUI ${pong.state}`;
  if (pong.contract !== contractVersion) {
    const older = pong.contract < contractVersion;
    return {
      name: 'worker',
      result: 'failed',
      text: `${text}; this client speaks contract ${contractVersion}`,
      next: older ? 'Deploy an image of this version to the endpoint.' : 'Update comfy-runpod on this machine.',
      exitCode: exitCodes.usage,
    };
  }
  if (pong.state === 'down') {
    return {
      name: 'worker',
      result: 'failed',
      text,
      next: "ComfyUI could not be started there: its last lines are in the worker's log.",
      exitCode: exitCodes.platform,
    };
  }
  if (pong.workerVersion !== packageVersion) {
    return {
      name: 'worker',
      result: 'warning',
      text: `${text}; this client is ${packageVersion}`,
      next: 'Both ends are versioned together: update the older one.',
    };
  }
  return { name: 'worker', result: 'ok', text };
}
