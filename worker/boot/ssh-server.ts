/**
 * An SSH server for people who want to look inside: keys only, one user, no passwords, tunnels to this container's own ports. Its configuration
 * and host keys are made at every first start of a container, in a folder of ours; nothing below /etc is touched.
 *
 * 1. Without a public key there is no server.
 * 2. It lives as long as the worker: one that ends is started again, and `close` ends it with every session.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { access, chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import path from 'node:path';
import { backoffMs, ComfyRunpodError, delay } from '../../shared/index.ts';
import type { Logger } from '../types.ts';
import { runProgram } from './run-program.ts';

/** How it is set up. */
export interface SshOptions {
  /** Lines of an authorized_keys file, checked. */
  readonly publicKeys: readonly string[];
  readonly port: number;
  /** A folder that only this user may write to. */
  readonly folder: string;
  readonly logger: Logger;
  /** PATH of the sessions. Default: what sshd gives them. */
  readonly path?: string | undefined;
  /** Addresses to listen on. Default: all. */
  readonly addresses?: readonly string[];
  /** Default: where Debian puts it. */
  readonly program?: string;
  /** Where the server keeps its empty folder; made when it is not there. Default: Debian's. */
  readonly privilegeFolder?: string;
}

/** A running server. */
export interface SshServer {
  /** SHA-256 of its host key, to compare at the first login. */
  readonly fingerprint: string;
  /** Idempotent. */
  close(): Promise<void>;
}

const startMs = 10_000;
const keyFile = 'host_ed25519';

/** Text of the configuration. */
export function sshdConfig(options: Pick<SshOptions, 'port' | 'folder' | 'addresses' | 'path'>, user: string): string {
  const { folder, port, path: searched, addresses = ['0.0.0.0', '::'] } = options;
  const setPath = searched !== undefined && /^[\w/.:@+-]+$/.test(searched) ? [`SetEnv PATH=${searched}`] : [];
  return `${[
    '# Written by comfy-runpod at every start.',
    `Port ${port}`,
    ...addresses.map((address) => `ListenAddress ${address}`),
    `HostKey ${path.join(folder, keyFile)}`,
    `AuthorizedKeysFile ${path.join(folder, 'authorized_keys')}`,
    `AllowUsers ${user}`,
    'PermitRootLogin prohibit-password',
    'AuthenticationMethods publickey',
    'PubkeyAuthentication yes',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'HostbasedAuthentication no',
    'PermitEmptyPasswords no',
    'UsePAM no',
    'PermitUserEnvironment no',
    'AllowAgentForwarding no',
    'AllowTcpForwarding local',
    'PermitOpen 127.0.0.1:* localhost:* [::1]:*',
    'AllowStreamLocalForwarding no',
    'GatewayPorts no',
    'PermitTunnel no',
    'X11Forwarding no',
    'MaxAuthTries 3',
    'LoginGraceTime 30',
    'ClientAliveInterval 60',
    'PrintMotd no',
    'PidFile none',
    'Subsystem sftp internal-sftp',
    ...setPath,
  ].join('\n')}\n`;
}

/** Starts it and waits until it listens. Throws `SSH_FAILED`. */
export async function startSshServer(options: SshOptions, signal: AbortSignal): Promise<SshServer> {
  const { folder, publicKeys, program = '/usr/sbin/sshd', privilegeFolder = '/run/sshd' } = options;
  try {
    await access(program);
  } catch {
    throw failed('this image has no SSH server', 'Install openssh-server in the image, or unset PUBLIC_KEY.');
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    await mkdir(privilegeFolder, { recursive: true, mode: 0o755 });
    await writeFile(path.join(folder, 'authorized_keys'), `${publicKeys.join('\n')}\n`, { mode: 0o600 });
    await writeFile(path.join(folder, 'sshd_config'), sshdConfig(options, userInfo().username), { mode: 0o600 });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw failed(`its files can't be written (${code})`, 'SSH needs to run as root and a /run that can be written to.');
  }
  const fingerprint = await hostKey(folder, signal);
  const server = new RunningServer({ ...options, program });
  try {
    await server.listening(signal);
  } catch (error) {
    await server.close();
    throw error;
  }
  return { fingerprint, close: () => server.close() };
}

/** Makes the host key at the first start, and answers its fingerprint. */
async function hostKey(folder: string, signal: AbortSignal): Promise<string> {
  const file = path.join(folder, keyFile);
  const limits = { timeoutMs: startMs, signal };
  const there = await access(file).then(
    () => true,
    () => false,
  );
  if (!there) {
    const made = await runProgram(
      'ssh-keygen',
      ['-q', '-t', 'ed25519', '-N', '', '-C', 'comfy-runpod', '-f', file],
      limits,
    );
    if (made.kind !== 'ok') throw failed('ssh-keygen could not make a host key');
  }
  const shown = await runProgram('ssh-keygen', ['-l', '-f', `${file}.pub`], limits);
  return (shown.kind === 'ok' ? /SHA256:\S+/.exec(shown.output)?.[0] : undefined) ?? 'unknown';
}

const restartPause = { baseMs: 500, maxMs: 30_000, jitter: 0 };

class RunningServer {
  readonly #options: SshOptions & { readonly program: string };
  readonly #closing = new AbortController();
  #child: ChildProcess | undefined;
  #lastLine = '';
  #ended: Promise<void>;
  #exits = 0;

  constructor(options: SshOptions & { readonly program: string }) {
    this.#options = options;
    this.#ended = this.#live();
  }

  /** Waits until it listens. Throws `SSH_FAILED` when it ends instead. */
  async listening(signal: AbortSignal): Promise<void> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(startMs)]);
    for (;;) {
      if (this.#exits > 0) throw failed(`sshd ended: ${this.#lastLine}`.slice(0, 300));
      if (await accepts(this.#options.port)) return;
      signal.throwIfAborted();
      if (late.aborted) throw failed('sshd does not listen');
      await delay(50, signal);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const sessions = await childrenOf(this.#child?.pid);
    this.#kill('SIGTERM');
    for (const pid of sessions) end(pid, 'SIGTERM');
    await this.#ended;
  }

  async #live(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await this.#once();
      if (signal.aborted) return;
      this.#exits++;
      this.#options.logger.warn({ count: this.#exits }, 'The SSH server has ended and is started again');
      await delay(backoffMs(this.#exits, restartPause), signal).catch(() => undefined);
    }
  }

  /** One life of the process, in a group of its own, so that its sessions end with it. */
  #once(): Promise<void> {
    const { program, folder, logger, path } = this.#options;
    const child = spawn(program, ['-D', '-e', '-f', `${folder}/sshd_config`], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
      // Nothing of the worker's own environment: it holds keys.
      env: { PATH: path ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#lastLine = text.trim().split('\n').at(-1) ?? '';
      logger.debug({ line: this.#lastLine }, 'sshd');
    });
    return new Promise((resolve) => {
      child.once('error', (error) => {
        this.#lastLine = error.message;
        resolve();
      });
      child.once('close', () => {
        this.#kill('SIGKILL');
        resolve();
      });
    });
  }

  #kill(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid !== undefined) end(-pid, signal);
  }
}

/** Every connection has a process of its own, outside the group of its server. */
async function childrenOf(pid: number | undefined): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text
    .split(' ')
    .map(Number)
    .filter((child) => child > 1);
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already.
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (yes: boolean) => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

function failed(why: string, nextStep?: string): ComfyRunpodError {
  return new ComfyRunpodError(
    'SSH_FAILED',
    `SSH can't be offered: ${why}.`,
    nextStep === undefined ? {} : { nextStep },
  );
}
