// The stand-in as a child process: what a supervisor of `python main.py` sees (ComfyUI protocol notes §4.1).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCommandLine, UsageError } from '../../../sandbox/comfyui/command-line.ts';
import { call } from './support/http-client.ts';
import { eventually, textGraph } from './support/prompts.ts';

const MAIN = fileURLToPath(new URL('../../../sandbox/comfyui/main.ts', import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

describe('the ComfyUI stand-in as a process', () => {
  let base = '';
  let child: ChildProcess | undefined;
  let stderr = '';
  beforeEach(async () => {
    base = await mkdtemp(path.join(os.tmpdir(), 'comfy-process-'));
    stderr = '';
  });
  afterEach(async () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(base, { recursive: true, force: true });
  });

  function start(flags: readonly string[], env: Record<string, string> = {}): ChildProcess {
    child = spawn(process.execPath, [MAIN, '--base-directory', base, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    child.stderr?.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    return child;
  }

  async function startAndWait(flags: readonly string[] = []): Promise<{ running: ChildProcess; url: string }> {
    const port = await freePort();
    const running = start(['--port', String(port), ...flags]);
    const url = `http://127.0.0.1:${port}`;
    await eventually(
      () =>
        call(url, '/prompt')
          .then(() => true)
          .catch(() => false),
      'the open port',
      25_000,
    );
    return { running, url };
  }

  it('serves on its port, logs like ComfyUI, wipes the temp folder at start and on SIGINT, then exits 0', async () => {
    const temp = path.join(base, 'scratch');
    await mkdir(path.join(temp, 'temp'), { recursive: true });
    await writeFile(path.join(temp, 'temp/left-over'), '');
    const flags = ['--temp-directory', temp, '--cpu', '--disable-auto-launch', '--preview-method', 'auto'];
    const { running, url } = await startAndWait(flags);
    expect(await exists(path.join(temp, 'temp/left-over'))).toBe(false);
    const stats = (await call(url, '/system_stats')).json as { system: { argv: string[]; comfyui_version: string } };
    expect(stats.system.argv).toContain('--preview-method');
    expect(stats.system.comfyui_version).toBe('0.3.64');
    await call(url, '/prompt', { body: { prompt: textGraph('x') } });
    await eventually(() => /got prompt[\s\S]*Prompt executed in/.test(stderr), 'the log lines');
    expect(stderr).toContain('To see the GUI go to: ');
    running.kill('SIGINT');
    expect(await once(running, 'exit')).toEqual([0, null]);
    expect(stderr).toContain('Stopped server');
    expect(await exists(path.join(temp, 'temp'))).toBe(false);
  });

  it('dies at once on SIGTERM and leaves the temp folder behind', async () => {
    const { running } = await startAndWait();
    running.kill('SIGTERM');
    expect(await once(running, 'exit')).toEqual([null, 'SIGTERM']);
    expect(await exists(path.join(base, 'temp'))).toBe(true);
  });

  it('refuses unknown flags with usage on stderr and exit code 2', async () => {
    const running = start(['--no-such-flag']);
    expect(await once(running, 'exit')).toEqual([2, null]);
    expect(stderr).toMatch(/^usage: main\.py .*\nmain\.py: error: unrecognized arguments: --no-such-flag\n$/s);
  });

  it('dies as scripted: at start, or in the middle of a prompt', async () => {
    const early = start([], { SANDBOX_COMFYUI_STARTUP_EXIT: '3' });
    expect(await once(early, 'exit')).toEqual([3, null]);
    const port = await freePort();
    const faults = JSON.stringify([{ kind: 'crash', at: 'executing' }]);
    const running = start(['--port', String(port)], { SANDBOX_COMFYUI_FAULTS: faults });
    const url = `http://127.0.0.1:${port}`;
    await eventually(
      () =>
        call(url, '/prompt')
          .then(() => true)
          .catch(() => false),
      'the open port',
      25_000,
    );
    const socket = await import('./support/socket-client.ts');
    await using client = await socket.SocketClient.open(url, 'me');
    await client.until(() => client.messages.length === 1, 'status');
    const ended = once(running, 'exit');
    await call(url, '/prompt', { body: { prompt: textGraph('x'), client_id: 'me' } });
    expect(await ended).toEqual([1, null]);
  });

  it('understands flags as argparse does', () => {
    const parse = (...argv: string[]) => parseCommandLine(argv, '/base', 'baseline');
    expect(parse('--temp-directory', 't', '--port=1', '--listen')).toMatchObject({
      temp: '/base/t/temp',
      port: 1,
      host: '0.0.0.0',
    });
    expect(parse('--cache-lru', '5').cache).toEqual({ kind: 'lru', size: 5 });
    expect(parse('--verbose').verbose).toBe('DEBUG');
    for (const bad of [
      ['--port', 'x'],
      ['--cpu', '--lowvram'],
      ['--cache-none', '--cache-classic'],
      ['--preview-method', 'x'],
      ['--disable-assets'],
      ['--port'],
    ]) {
      expect(() => parse(...bad), bad.join(' ')).toThrow(UsageError);
    }
    expect(parseCommandLine(['--disable-assets'], '/base', 'late-2026').port).toBe(8188);
  });
});
