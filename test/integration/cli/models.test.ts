// `models plan` and `models pull`, as a person runs them, against a hub on loopback.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../shared/models/manifest-text.ts';
import { runCommandLine, useFolder } from '../../support/client-bench.ts';
import { ModelServer, safetensors, sha256 } from '../../support/model-server.ts';

const model = safetensors(40_000);
const workflow = {
  '1': { class_type: 'LoraLoaderModelOnly', inputs: { lora_name: 'flux/a.safetensors', strength_model: 1 } },
  '2': { class_type: 'VAELoader', inputs: { vae_name: 'v.safetensors' } },
};

async function useHub() {
  const folder = await useFolder();
  const server = await ModelServer.start();
  server.files.set('/maker/pack/resolve/main/sub/a.safetensors', model);
  await writeFile(join(folder, 'workflow.json'), JSON.stringify(workflow));
  return { folder, server, environment: { HF_ENDPOINT: server.url } };
}

describe('models plan', () => {
  it('lists what a workflow needs and writes a lock file that pull and a worker read', async () => {
    const { folder, environment } = await useHub();
    const from = ['--from', 'maker/pack:sub/a.safetensors:loras/flux'];
    const outcome = await runCommandLine(['models', 'plan', 'workflow.json', ...from], { folder });
    expect(outcome).toMatchObject({
      exitCode: 0,
      stdout: 'loras/flux/a.safetensors  maker/pack@main\nvae/v.safetensors  no source\n',
    });
    expect(outcome.stderr).toContain('1 of them have no source');
    const specs = parseManifest(await readFile(join(folder, 'models.lock.yaml'), 'utf8'), 'lock');
    expect(specs.map(({ folder: type, name }) => [type, name])).toEqual([
      ['loras', 'flux/a.safetensors'],
      ['vae', 'v.safetensors'],
    ]);
    const again = await runCommandLine(['models', 'plan', 'workflow.json'], { folder });
    expect(again.exitCode).toBe(2);
    expect(again.stderr).toContain('exists already');
    const pulled = await runCommandLine(['models', 'pull', 'models.lock.yaml', '--into', 'm'], { folder, environment });
    expect(pulled.exitCode).not.toBe(0);
    expect(pulled.stderr).toContain('vae/v.safetensors is not there, and nothing says where it comes from');
    expect(await readFile(join(folder, 'm/loras/flux/a.safetensors'))).toEqual(model);
  });

  it('pins size and hash of every file of the hub, which the worker then checks', async () => {
    const { folder, environment } = await useHub();
    const from = ['--from', 'maker/pack:sub/a.safetensors:loras/flux', '--pin'];
    const outcome = await runCommandLine(['models', 'plan', 'workflow.json', ...from], { folder, environment });
    expect(outcome.exitCode).toBe(0);
    const [lora] = parseManifest(await readFile(join(folder, 'models.lock.yaml'), 'utf8'), 'lock');
    expect(lora).toMatchObject({ size: model.length, sha256: sha256(model) });
  });

  it('names the line of a mistake in a manifest', async () => {
    const { folder } = await useHub();
    await writeFile(
      join(folder, 'bad.yaml'),
      'version: 1\nmodels:\n  - folder: vae\n    sha265: x\n    name: v.safetensors\n',
    );
    const outcome = await runCommandLine(['models', 'plan', 'workflow.json', '--from', 'bad.yaml'], { folder });
    expect(outcome.exitCode).toBe(2);
    expect(outcome.stderr).toContain('line 3: models[0]: unknown key "sha265"');
  });
});

describe('models pull', () => {
  it('fetches into a models folder, tells how far it is, and does nothing twice', async () => {
    const { folder, server, environment } = await useHub();
    const argv = ['models', 'pull', 'maker/pack:sub/a.safetensors:loras', '--into', 'm', '--json'];
    const outcome = await runCommandLine(argv, { folder, environment });
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      ok: true,
      models: [{ where: 'downloaded', bytes: model.length }],
    });
    expect(outcome.stderr).toContain('Downloading a model');
    expect(sha256(await readFile(join(folder, 'm/loras/a.safetensors')))).toBe(sha256(model));
    const before = server.seen.length;
    expect(JSON.parse((await runCommandLine(argv, { folder, environment })).stdout)).toMatchObject({
      models: [{ where: 'present' }],
    });
    expect(server.seen.length).toBe(before);
  });

  it('refuses pickles, wrong lists and folders that are none, each with what to do', async () => {
    const { folder, environment } = await useHub();
    const pull = (list: string, ...more: string[]) =>
      runCommandLine(['models', 'pull', list, ...more], { folder, environment });
    expect((await pull('maker/pack:a.ckpt:loras')).stderr).toContain('MODELS_ALLOW_PICKLE');
    expect((await pull('maker/pack:../a.safetensors:loras')).stderr).toContain('can\'t be used: it contains ".."');
    expect((await pull('nothing.yaml')).stderr).toContain('no such manifest');
    expect((await pull('maker/pack:b.safetensors:loras', '--into', 'workflow.json')).exitCode).toBe(2);
    expect((await pull('maker/pack:b.safetensors:loras')).stderr).toContain('has no such file');
  });

  it('explains itself when an argument is missing', async () => {
    const outcome = await runCommandLine(['models', 'pull'], { folder: await useFolder() });
    expect(outcome).toMatchObject({ exitCode: 2, stdout: '' });
    expect(outcome.stderr).toContain("Missing required argument 'list'");
  });
});
