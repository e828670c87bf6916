/** SSH into a worker: a real sshd where there is one (in the image there always is), and what is said where there is none. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, type ConnectConfig, utils } from 'ssh2';
import { describe, expect, it } from 'vitest';
import { type SshServer, startSshServer } from '../../../worker/boot/index.ts';
import { sshdConfig } from '../../../worker/boot/ssh-server.ts';
import { silent } from '../../support/model-server.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';

const program = process.env['SSHD'] ?? '/usr/sbin/sshd';
const canServe = existsSync(program) && process.getuid?.() === 0;
const soon = () => AbortSignal.timeout(20_000);

const mine = utils.generateKeyPairSync('ed25519');
const others = utils.generateKeyPairSync('ed25519');

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(): Promise<{ server: SshServer; port: number; folder: string; again(): Promise<SshServer> }> {
  // sshd wants every folder above its files to be its owner's alone.
  const folder = await mkdtemp(path.join(existsSync('/run') ? '/run' : tmpdir(), 'comfy-runpod-ssh-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const open = async () => {
    const options = { publicKeys: [mine.public], port, folder, logger: silent, addresses: ['127.0.0.1'], program };
    const server = await startSshServer(options, soon());
    afterThisTest(() => server.close());
    return server;
  };
  return { server: await open(), port, folder, again: open };
}

/** A session, or the message with which it was refused. */
function connect(port: number, config: ConnectConfig): Promise<Client | string> {
  const client = new Client();
  afterThisTest(async () => void client.end());
  return new Promise((resolve) => {
    client.once('ready', () => resolve(client)).once('error', (error) => resolve(error.message));
    client.connect({ host: '127.0.0.1', port, username: 'root', readyTimeout: 10_000, ...config });
  });
}

async function session(port: number): Promise<Client> {
  const client = await connect(port, { privateKey: mine.private });
  if (typeof client === 'string') throw new Error(client);
  return client;
}

describe('the configuration of SSH', () => {
  it('lets keys in and nothing else, for one user, with tunnels to this machine only', () => {
    const text = sshdConfig({ port: 22, folder: '/run/x', path: '/opt/venv/bin:/usr/bin' }, 'root');
    for (const line of [
      'AuthenticationMethods publickey',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitEmptyPasswords no',
      'PermitRootLogin prohibit-password',
      'AllowTcpForwarding local',
      'PermitOpen 127.0.0.1:* localhost:* [::1]:*',
      'GatewayPorts no',
      'AllowUsers root',
      'SetEnv PATH=/opt/venv/bin:/usr/bin',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(sshdConfig({ port: 22, folder: '/run/x', path: '/x\nPermitRootLogin yes' }, 'root')).not.toContain('yes\n#');
    expect(sshdConfig({ port: 22, folder: '/run/x', path: '/x\nPermitRootLogin yes' }, 'root')).not.toContain('SetEnv');
  });

  it('without an SSH server in the image the reason is told', async () => {
    const options = {
      publicKeys: [mine.public],
      port: 1,
      folder: '/nowhere',
      logger: silent,
      program: '/nowhere/sshd',
    };
    await expect(startSshServer(options, soon())).rejects.toMatchObject({ code: 'SSH_FAILED' });
  });
});

describe.skipIf(!canServe)('an SSH server (needs sshd and root)', () => {
  it('lets the key in, runs a command, and keeps nothing of the worker in its environment', async () => {
    const { port } = await start();
    const client = await session(port);
    const text = await new Promise<string>((resolve, reject) => {
      client.exec('env', (error, channel) => {
        if (error) return reject(error);
        let output = '';
        channel.on('data', (data: Buffer) => {
          output += data.toString();
        });
        channel.on('close', () => resolve(output));
        return undefined;
      });
    });
    expect(text).toContain('USER=root');
    expect(text).not.toContain('VITEST');
  });

  it.each<[string, ConnectConfig]>([
    ['another key', { privateKey: others.private }],
    ['a password', { password: '' }],
    ['a password that is asked for', { tryKeyboard: true, password: 'root' }],
    ['nothing', {}],
    ['another user', { username: 'nobody', privateKey: mine.private }],
  ])('refuses %s', async (_what, config) => {
    const { port } = await start();
    expect(await connect(port, config)).toMatch(/authentication methods failed/i);
  });

  it('carries a tunnel to a port of this machine, and none in the other direction', async () => {
    const inner = createServer((_request, response) => response.end('ComfyUI answers'));
    afterThisTest(() => new Promise((resolve) => inner.close(() => resolve())));
    const to = await listen(inner);
    const { port } = await start();
    const client = await session(port);
    const answer = await new Promise<string>((resolve, reject) => {
      client.forwardOut('127.0.0.1', 1, '127.0.0.1', to, (error, channel) => {
        if (error) return reject(error);
        let text = '';
        channel.on('data', (data: Buffer) => {
          text += data.toString();
        });
        channel.on('close', () => resolve(text));
        channel.end('GET / HTTP/1.0\r\n\r\n');
        return undefined;
      });
    });
    expect(answer).toContain('ComfyUI answers');
    const refused = await new Promise((resolve) => client.forwardIn('127.0.0.1', 0, (error) => resolve(error)));
    expect(refused).toBeInstanceOf(Error);
  });

  it('keeps its host key from one start to the next, readable for its user only', async () => {
    const { server, folder, again } = await start();
    expect(server.fingerprint).toMatch(/^SHA256:/);
    await server.close();
    expect((await again()).fingerprint).toBe(server.fingerprint);
    expect((await stat(path.join(folder, 'host_ed25519'))).mode & 0o077).toBe(0);
  });

  it('ends with its sessions when the worker ends', async () => {
    const { server, port } = await start();
    const client = await session(port);
    const closed = new Promise((resolve) => client.on('close', () => resolve(undefined)));
    await server.close();
    await closed;
    expect(await connect(port, { privateKey: mine.private })).toMatch(/ECONNREFUSED/);
  });
});
