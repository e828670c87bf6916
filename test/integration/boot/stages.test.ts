/** A worker that starts its own ComfyUI: what happens side by side, what is told of it, and how it ends when a stage fails. */
import { existsSync, writeFileSync } from 'node:fs';
import { access, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { errorFromWire, readDescription, readResultEnvelope } from '../../../shared/index.ts';
import { bootWorker, stageOf } from '../../support/boot-bench.ts';
import { ModelServer, safetensors } from '../../support/model-server.ts';
import { until } from '../../support/runpod-emulator.ts';

const picture = {
  '1': { class_type: 'EmptyImage', inputs: { width: 16, height: 16, batch_size: 1, color: 255 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
};
const model = safetensors(30_000);

async function modelServer() {
  const server = await ModelServer.start();
  server.files.set('/maker/pack/resolve/main/a.safetensors', model);
  return server;
}

describe('the start of a worker', () => {
  it('brings the models that are named, tells ComfyUI where they are, and reports every stage with its time', async () => {
    const server = await modelServer();
    const worker = await bootWorker((root) => ({
      MODELS: 'maker/pack:a.safetensors:loras/flux',
      HF_ENDPOINT: server.url,
      MODELS_DIR: path.join(root, 'models'),
      WARM_MODELS: '1',
    }));
    await worker.up();
    const boot = await worker.boot();
    expect(boot.readyMs).toBeGreaterThan(0);
    expect(stageOf(boot, 'models')).toMatchObject({ state: 'done', note: '1 downloaded' });
    expect(stageOf(boot, 'gpu').note).toBeDefined();
    expect(stageOf(boot, 'comfyui')).toMatchObject({ state: 'done', note: 'version 0.3.64' });
    expect(stageOf(boot, 'ssh')).toMatchObject({ state: 'skipped' });
    for (const name of ['environment', 'jobs', 'workspace']) expect(stageOf(boot, name).state).toBe('done');
    // Jobs are asked for long before ComfyUI is there.
    expect(stageOf(boot, 'jobs').ms).toBeLessThan(stageOf(boot, 'comfyui').startedMs + stageOf(boot, 'comfyui').ms);
    const { output } = await worker.bench.ended(await worker.bench.run({ action: 'describe' }));
    expect(readDescription(output)?.models['loras']).toEqual([{ name: 'flux/a.safetensors', size: model.length }]);
  });

  it('is told in the receipt of the first result and in no other', async () => {
    const worker = await bootWorker();
    const receipts = [];
    for (let n = 0; n < 2; n++) {
      const { output } = await worker.bench.ended(await worker.bench.run({ contract: 1, workflow: picture }));
      receipts.push(readResultEnvelope(output)?.receipt);
    }
    expect(receipts[0]?.boot?.stages.map(({ name }) => name)).toContain('comfyui');
    expect(receipts[1]?.boot).toBeUndefined();
  });

  it('takes a job while a model is still on its way, and runs it when the model is there', async () => {
    const server = await modelServer();
    const gate = Promise.withResolvers<void>();
    server.misbehave = (request, response) => {
      if (request.headers.range === 'bytes=0-0') return false;
      void gate.promise.then(() => server.send(request, response));
      return true;
    };
    const worker = await bootWorker(() => ({ MODELS: 'maker/pack:a.safetensors:loras', HF_ENDPOINT: server.url }));
    const id = await worker.bench.run({ contract: 1, workflow: picture });
    await until(() => worker.log.some(({ message }) => message === 'ComfyUI is ready'));
    expect(worker.bench.emulator.inspect.job(id)?.status).toBe('IN_PROGRESS');
    gate.resolve();
    expect((await worker.bench.ended(id)).status).toBe('COMPLETED');
  });

  it('runs a warm-up workflow before the first job, and nobody gets its result', async () => {
    const worker = await bootWorker((root) => ({ WARMUP_WORKFLOW: path.join(root, 'warm.json') }));
    // The file is there before ComfyUI is.
    await writeFile(path.join(worker.root, 'warm.json'), JSON.stringify(picture));
    await until(() => worker.log.some(({ message, stage }) => message === 'Boot stage done' && stage === 'warmup'));
    const { output } = await worker.bench.ended(await worker.bench.run({ contract: 1, workflow: picture }));
    const receipt = readResultEnvelope(output)?.receipt;
    expect(receipt?.boot?.stages.map(({ name }) => name)).toContain('warmup');
    expect(receipt?.wipe.files).toBe(1);
  });

  it('puts links and downloads into MODELS_DIR, which need not be there', async () => {
    const server = await modelServer();
    const worker = await bootWorker((root) => ({
      MODELS: 'maker/pack:a.safetensors:loras',
      HF_ENDPOINT: server.url,
      MODELS_DIR: path.join(root, 'elsewhere'),
    }));
    await worker.up();
    await access(path.join(worker.root, 'elsewhere/loras/a.safetensors'));
  });
});

describe('a start that fails', () => {
  it('for a required model ends with exit code 22, the reason in the last line, and the job at hand told why', async () => {
    const server = await modelServer();
    const gate = Promise.withResolvers<void>();
    server.misbehave = (_request, response) => {
      void gate.promise.then(() => response.writeHead(404).end());
      return true;
    };
    const worker = await bootWorker(() => ({ MODELS: 'maker/pack:b.safetensors:loras', HF_ENDPOINT: server.url }));
    const id = await worker.bench.run({ contract: 1, workflow: picture });
    await until(() => worker.bench.emulator.inspect.job(id)?.status === 'IN_PROGRESS');
    gate.resolve();
    expect(await worker.ended).toBe(22);
    expect(errorFromWire((await worker.bench.ended(id)).error ?? '')).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    expect(worker.log.at(-1)).toMatchObject({ level: 'ERROR', code: 'MODEL_UNAVAILABLE' });
    expect(worker.log.at(-1)?.message).toContain('loras/b.safetensors');
  });

  it('for a model that is not required goes on, says so, and fails the jobs that name it with the reason', async () => {
    const server = await modelServer();
    const worker = await bootWorker(() => ({
      MODELS: 'maker/pack:b.safetensors:loras/flux,maker/pack:a.safetensors:vae',
      MODELS_REQUIRED: '0',
      HF_ENDPOINT: server.url,
    }));
    await worker.up();
    expect((await worker.boot()).missing).toMatchObject([{ name: 'flux/b.safetensors', code: 'MODEL_UNAVAILABLE' }]);
    const naming = { ...picture, '3': { class_type: 'LoraLoader', inputs: { lora_name: 'flux/b.safetensors' } } };
    const failed = await worker.bench.ended(await worker.bench.run({ contract: 1, workflow: naming }));
    const error = errorFromWire(failed.error ?? '');
    expect(error).toMatchObject({ code: 'MODEL_MISSING', details: { model: 'flux/b.safetensors' } });
    expect(error.issues).toMatchObject([{ node: '3', classType: 'LoraLoader', field: 'lora_name' }]);
    expect((await worker.bench.ended(await worker.bench.run({ contract: 1, workflow: picture }))).status).toBe(
      'COMPLETED',
    );
  });

  it.skipIf(existsSync('/proc/driver/nvidia'))(
    'for want of a GPU (on a machine without one) ends with exit code 20',
    async () => {
      const worker = await bootWorker(() => ({ ALLOW_CPU: undefined }));
      expect(await worker.ended).toBe(20);
      expect(worker.log.at(-1)).toMatchObject({ level: 'ERROR', code: 'GPU_MISSING' });
    },
  );

  it('for a ComfyUI that does not start ends with exit code 23 and its last words', async () => {
    const worker = await bootWorker(() => ({ COMFY_ARGS: '--no-such-flag' }));
    expect(await worker.ended).toBe(23);
    expect(worker.log.at(-1)).toMatchObject({ level: 'ERROR', code: 'COMFY_START_FAILED' });
    expect(worker.log.at(-1)?.message).toContain('unrecognized arguments: --no-such-flag');
  });

  it('for a manifest with mistakes ends with exit code 22 and names the line', async () => {
    const worker = await bootWorker((root) => {
      writeFileSync(path.join(root, 'models.yaml'), 'version: 1\nmodels:\n  - folder: vae\n    nam: a.safetensors\n');
      return { MODELS_MANIFEST: path.join(root, 'models.yaml') };
    });
    expect(await worker.ended).toBe(22);
    expect(worker.log.at(-1)?.message).toContain('line 3: models[0]: unknown key "nam"');
  });

  it.each([
    ['MODELS', 'maker/pack'],
    ['MODE', 'interacive'],
    ['PUBLIC_KEY', 'ssh-ed25519'],
    ['SSH_PORT', '70000'],
    ['HF_TOKEN', 'not-one'],
    ['MODELS_SPACE_LIMIT', 'a lot'],
    ['MODELS_DIR', 'relative/folder'],
  ])('for a wrong %s ends with exit code 2 and names it, not its value', async (name, value) => {
    const worker = await bootWorker(() => ({ [name]: value }));
    expect(await worker.ended).toBe(2);
    expect(worker.log.at(-1)?.message).toContain(name);
    expect(worker.log.at(-1)?.message).not.toContain(value);
  });

  it('for an interactive mode without a key is refused', async () => {
    const worker = await bootWorker(() => ({ MODE: 'interactive', RUNPOD_WEBHOOK_GET_JOB: undefined }));
    expect(await worker.ended).toBe(2);
    expect(worker.log.at(-1)?.message).toContain('PUBLIC_KEY');
  });

  it('leaves nothing of it behind when it is told to stop in the middle', async () => {
    const server = await modelServer();
    server.misbehave = (request) => request.headers.range !== 'bytes=0-0';
    const worker = await bootWorker(() => ({ MODELS: 'maker/pack:a.safetensors:loras', HF_ENDPOINT: server.url }));
    await until(() => server.seen.length > 1);
    expect(await worker.stop()).toBe(0);
    expect(worker.log.filter(({ level }) => level === 'ERROR')).toEqual([]);
    await mkdir(path.join(worker.root, 'still-writable'));
  });
});
