/** What is in the image, what is not, and how big it is. */
import { resolve } from 'node:path';
import { execa } from 'execa';
import { describe, expect, it } from 'vitest';
import { image, noEngine, runImage, startEndpoint } from './support/container-bench.ts';

const megabyte = 1_000_000;

/** Loads every module of the worker and of the sandbox, and every production dependency by name. */
const loadEverything = `
  import { readdirSync, readFileSync } from 'node:fs';
  const names = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).dependencies).filter((name) => !name.startsWith('@fontsource/'));
  const files = readdirSync('dist', { recursive: true }).filter((name) => name.endsWith('.js') && !/(-thread|bin)\\.js$/.test(name));
  const broken = [];
  for (const name of [...names, ...files.map((name) => '/opt/comfy-runpod/dist/' + name)]) {
    await import(name).catch((error) => broken.push(name + ': ' + error.message));
  }
  console.log(JSON.stringify({ files: files.length, broken }));
`;

/** Layers above the base, newest first: size in bytes and what made them. */
async function layers(): Promise<{ size: number; by: string }[]> {
  const { stdout } = await execa('docker', [
    'history',
    '--no-trunc',
    '--human=false',
    '--format',
    '{{.Size}}\t{{.CreatedBy}}',
    image,
  ]);
  const all = stdout.split('\n').map((line) => ({ size: Number(line.split('\t')[0]), by: line.split('\t')[1] ?? '' }));
  // The first layer of ours is the one that copies the package installer; what lies below came with the base.
  const first = all.findIndex(({ by }) => by.includes('docker/install-packages.sh'));
  return all.slice(0, first + 1);
}

describe.skipIf(noEngine)('the contents of the image', () => {
  it('has under 150 MB in its own layers: everything above the base and ComfyUI', async () => {
    const own = (await layers()).filter(({ by }) => !/\/opt\/(ComfyUI|venv|python)\b/.test(by) || by.includes('apt'));
    const total = own.reduce((sum, { size }) => sum + size, 0);
    const listed = own
      .filter(({ size }) => size > megabyte / 10)
      .map(({ size, by }) => `${(size / megabyte).toFixed(1)} MB  ${by.slice(0, 90)}`);
    process.stdout.write(`Own layers of the image: ${(total / megabyte).toFixed(1)} MB\n  ${listed.join('\n  ')}\n`);
    expect(own.length).toBeGreaterThan(5);
    expect(total).toBeLessThan(150 * megabyte);
  });

  it('can load every module of the worker and every production dependency, although what nobody reads was taken out', async () => {
    const container = await runImage({ command: ['sleep', '120'] });
    const result = await container.exec('node', '--input-type=module', '-e', loadEverything);
    const answer = JSON.parse(result.stdout.trim()) as { files: number; broken: string[] };
    expect(answer.broken).toEqual([]);
    expect(answer.files).toBeGreaterThan(200);
  });

  it('has no compiler, no package cache, no development dependency, no host key and no source map', async () => {
    const container = await runImage({ command: ['sleep', '120'] });
    const there = (
      await container.shell('for name in cc gcc g++ make npm uv pip tsc ssh; do command -v $name || true; done')
    ).trim();
    expect(there).toBe('');
    const left = await container.shell(
      'ls -d /opt/comfy-runpod/node_modules/typescript /opt/comfy-runpod/node_modules/vitest /root/.npm /root/.cache /etc/ssh/ssh_host_* /var/lib/apt/lists/* /var/cache/apt/* 2>/dev/null || true; find /opt/comfy-runpod -name "*.map" -o -name "*.d.ts" | head',
    );
    expect(left).toBe('');
  });

  it.each([
    ['imports everything', ' 0.1 seconds: /opt/ComfyUI/custom_nodes/pack', 0, 0],
    ['has a pack that fails to import', ' 0.1 seconds (IMPORT FAILED): /opt/ComfyUI/custom_nodes/pack', 0, 1],
    ['has a pack that fails to prepare itself', ' 0.1 seconds (PRESTARTUP FAILED): custom_nodes/pack', 0, 1],
    ['does not start', 'Traceback (most recent call last):', 3, 1],
  ])('is built with a ComfyUI that %s: ends with a message and code', async (_what, line, code, expected) => {
    const container = await runImage({
      command: ['sleep', '120'],
      mounts: [{ source: resolve('docker/check-start.sh'), target: '/check-start.sh', mode: 'ro' }],
    });
    await container.shell(`echo 'console.log("${line}"); process.exit(${code})' >/opt/ComfyUI/main.py`);
    const result = await container.exec('sh', '/check-start.sh');
    expect(result.exitCode).toBe(expected);
    if (expected !== 0) expect(result.output).toContain(line);
  });

  it('tells what it is in its labels, and starts under an init that reaps', async () => {
    const { stdout } = await execa('docker', ['image', 'inspect', '--format', '{{json .Config}}', image]);
    const config = JSON.parse(stdout) as {
      Labels: Record<string, string>;
      Entrypoint: string[];
      Healthcheck?: object;
      Env: string[];
    };
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'comfy-runpod',
      'org.opencontainers.image.licenses': 'MIT',
      'comfy-runpod.comfyui.kind': 'stand-in',
    });
    expect(config.Entrypoint[0]).toBe('tini');
    expect(config.Healthcheck).toBeDefined();
    expect(config.Env.join('\n')).not.toMatch(/KEY|TOKEN|SECRET/);
  });

  it('asks for its first job while ComfyUI still boots; the time by stage is printed', async () => {
    const endpoint = await startEndpoint();
    const worker = await runImage({ environment: endpoint.workerEnvironment() });
    const firstTake = () => endpoint.emulator.inspect.requestsSeen('job-take')[0]?.at;
    await expect.poll(firstTake, { timeout: 30_000, interval: 5 }).toBeDefined();
    const { stdout } = await execa('docker', ['inspect', '--format', '{{.State.StartedAt}}', worker.container.getId()]);
    const started = Date.parse(stdout.trim());
    const up = () => /"message":"The worker is up\."/.test(worker.log());
    await expect.poll(up, { timeout: 30_000 }).toBe(true);
    const stages = worker
      .log()
      .split('\n')
      .filter((line) => line.includes('"message":"Boot stage done"'))
      .map((line) => JSON.parse(line) as { stage: string; ms: number; startedMs: number; note?: string })
      .map(({ stage, ms, startedMs, note }) => `${stage}: ${startedMs} + ${ms} ms${note ? ` (${note})` : ''}`);
    process.stdout.write(
      `Container start -> first job asked for: ${Math.round((firstTake() ?? 0) - started)} ms\nStages, since the start of the process:\n  ${stages.join('\n  ')}\n`,
    );
    expect(stages.map((line) => line.split(':')[0])).toEqual(
      expect.arrayContaining(['environment', 'jobs', 'workspace', 'comfyui']),
    );
    expect((firstTake() ?? 0) - started).toBeGreaterThan(0);
  });
});
