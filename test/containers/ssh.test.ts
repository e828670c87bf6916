/** SSH into the container: the key gets in, nothing else does, and the tunnel reaches ComfyUI. */
import { Client, type ConnectConfig, utils } from 'ssh2';
import { describe, expect, it } from 'vitest';
import { afterThisTest, noEngine, type RunningContainer, runImage, startEndpoint } from './support/container-bench.ts';

const mine = utils.generateKeyPairSync('ed25519');
const others = utils.generateKeyPairSync('ed25519');

/** A session, or the message with which it was refused. */
function connect(host: string, config: ConnectConfig): Promise<Client | string> {
  const client = new Client();
  afterThisTest(async () => void client.end());
  return new Promise((resolve) => {
    client.once('ready', () => resolve(client)).once('error', (error) => resolve(error.message));
    client.connect({ host, port: 22, username: 'root', readyTimeout: 20_000, ...config });
  });
}

async function session(host: string): Promise<Client> {
  const client = await connect(host, { privateKey: mine.private });
  if (typeof client === 'string') throw new Error(client);
  return client;
}

/** Runs a command in a session and answers what it printed. */
function run(client: Client, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) return reject(error);
      let text = '';
      channel.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      channel.stderr.on('data', () => undefined);
      channel.on('close', () => resolve(text));
    });
  });
}

/** Sends an HTTP request through a tunnel to a port that the container reaches; answers the status line, or why there is no tunnel. */
function throughTunnel(client: Client, host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
      if (error) return resolve(error.message);
      channel.once('data', (chunk: Buffer) => resolve(chunk.toString().split('\r\n')[0] ?? ''));
      channel.write('GET /system_stats HTTP/1.1\r\nhost: 127.0.0.1:8188\r\nconnection: close\r\n\r\n');
    });
  });
}

async function listening(worker: RunningContainer): Promise<string> {
  await expect.poll(() => worker.log(), { timeout: 40_000 }).toMatch(/port 22, host key SHA256:/);
  return worker.address();
}

describe.skipIf(noEngine)('SSH into the container', () => {
  it('lets the key in, and refuses every other key, password and user', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: { ...endpoint.workerEnvironment(), PUBLIC_KEY: mine.public } });
    const host = await listening(worker);
    const client = await session(host);
    expect((await run(client, 'id -un; comfy-runpod --version')).split('\n')[0]).toBe('root');
    const refused = 'All configured authentication methods failed';
    expect(await connect(host, { privateKey: others.private })).toBe(refused);
    expect(await connect(host, { password: '' })).toBe(refused);
    expect(await connect(host, { password: 'root', tryKeyboard: true })).toBe(refused);
    expect(await connect(host, { username: 'sshd', privateKey: mine.private })).toBe(refused);
    expect(await connect(host, { username: 'root' })).toBe(refused);
  });

  it('carries a tunnel to ComfyUI, which nobody reaches without it', async () => {
    const environment = { MODE: 'interactive', ALLOW_CPU: '1', PUBLIC_KEY: mine.public };
    const worker = await runImage({ environment });
    const client = await session(await listening(worker));
    await expect.poll(() => throughTunnel(client, '127.0.0.1', 8188), { timeout: 30_000 }).toBe('HTTP/1.1 200 OK');
    // Not a way from the container to other machines.
    expect(await throughTunnel(client, await worker.address(), 22)).toMatch(/open failed/);
  });

  it('makes host keys of its own in every container', async () => {
    const environment = { MODE: 'interactive', ALLOW_CPU: '1', PUBLIC_KEY: mine.public };
    const workers = await Promise.all([runImage({ environment }), runImage({ environment })]);
    await Promise.all(workers.map(listening));
    const keys = workers.map((worker) => /SHA256:[\w+/]+/.exec(worker.log())?.[0]);
    expect(keys[0]).toBeDefined();
    expect(keys[0]).not.toBe(keys[1]);
  });

  it('is not there without a key: nothing listens on its port, and an interactive container refuses to start', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    await expect.poll(() => worker.log(), { timeout: 40_000 }).toContain('The worker is up.');
    expect(await connect(await worker.address(), { privateKey: mine.private })).toMatch(/ECONNREFUSED/);
    const interactive = await runImage({ environment: { MODE: 'interactive', ALLOW_CPU: '1' } });
    expect(await interactive.exitCode()).toBeGreaterThan(0);
    expect(interactive.log()).toContain('PUBLIC_KEY');
  });
});
