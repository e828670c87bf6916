// Nothing is paid for what ComfyUI would refuse: the check before a submit, and the command that makes it alone.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { endpointKey } from '../../../client/cli/declarations.ts';
import { createClient, describeCached, userCacheFolder } from '../../../client/index.ts';
import { startComfyStandIn } from '../../../sandbox/index.ts';
import { exitCodes } from '../../../shared/index.ts';
import { runCommandLine, startClientBench, useFolder } from '../../support/client-bench.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';
import { startWholeStack } from '../../support/whole-stack.ts';

const blank = {
  class_type: 'EmptyImage',
  inputs: { width: 0, height: 8, batch_size: 1, color: 0 },
  _meta: { title: 'Canvas' },
};
const save = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } };
const lora = {
  class_type: 'LoraLoaderModelOnly',
  inputs: { model: ['4', 0], lora_name: 'style/inc.safetensors', strength_model: 1 },
};
const broken = { '1': blank, '2': save, '3': { class_type: 'ImageInvrt', inputs: { image: ['1', 0] } } };

async function useWorkflow(workflow: object): Promise<string> {
  const folder = await useFolder();
  await writeFile(join(folder, 'w.json'), JSON.stringify(workflow));
  return folder;
}

describe('validate', () => {
  it('by the classes that ship names what is wrong in every version, and advises on the rest', async () => {
    const folder = await useWorkflow(broken);
    const outcome = await runCommandLine(['validate', 'w.json'], { folder });
    expect(outcome.exitCode).toBe(exitCodes.input);
    expect(outcome.stdout.split('\n')).toEqual([
      'error   node 1 (Canvas, EmptyImage): width is 0, below 1',
      expect.stringMatching(/^advice {2}node 3 \(ImageInvrt\): the class .* near: ImageInvert/),
      'refused by the classes of ComfyUI 0.3.64 that ship with comfy-runpod, which may not be those that run it',
      '',
    ]);
  });

  it("by a ComfyUI's own classes is exact, and gives programs the refusal in ComfyUI's shape", async () => {
    const comfy = await startComfyStandIn({});
    afterThisTest(() => comfy.close());
    const folder = await useWorkflow(broken);
    const outcome = await runCommandLine(['validate', 'w.json', '--comfy-url', comfy.url, '--json'], { folder });
    expect(outcome.exitCode).toBe(exitCodes.input);
    const document = JSON.parse(outcome.stdout);
    expect(document).toMatchObject({ ok: false, checkedBy: { exact: true } });
    expect(document.refusal.error).toMatchObject({ type: 'invalid_prompt', details: "Node ID '#3'" });
    const repaired = { '1': { ...blank, inputs: { ...blank.inputs, width: 8 } }, '2': save };
    await writeFile(join(folder, 'w.json'), JSON.stringify(repaired));
    const good = await runCommandLine(['validate', 'w.json', '--comfy-url', comfy.url], { folder });
    expect(good).toMatchObject({ exitCode: 0, stdout: `valid  by the ComfyUI at ${new URL(comfy.url).host}\n` });
  });
});

describe('before a submit', () => {
  it('a workflow that would be refused is not sent, and --no-validate sends it', async () => {
    const { bench, environment } = await startClientBench();
    const folder = await useWorkflow({ '1': blank, '2': save });
    const world = { folder, environment: { ...environment, XDG_CACHE_HOME: folder, XDG_DATA_HOME: folder } };
    const refused = await runCommandLine(['submit', 'w.json'], world);
    expect(refused).toMatchObject({ exitCode: exitCodes.input, stdout: '' });
    expect(refused.stderr).toContain('error WORKFLOW_REJECTED: Not sent, ');
    expect(refused.stderr).toContain('width is 0, below 1');
    expect(bench.emulator.inspect.requestsSeen('run')).toHaveLength(0);
    const sent = await runCommandLine(['submit', 'w.json', '--no-validate'], world);
    expect(sent.exitCode).toBe(0);
    expect(bench.emulator.inspect.requestsSeen('run')).toHaveLength(1);
  });

  it('what the endpoint told when it was last asked counts: its classes and its models, without waking a worker', async () => {
    const stack = await startWholeStack({ workers: 1, quiet: true });
    afterThisTest(() => stack.close());
    const folder = await useWorkflow({
      '1': { ...blank, inputs: { ...blank.inputs, width: 8 } },
      '2': save,
      '3': lora,
      '4': lora,
    });
    const environment = {
      ...stack.emulator.clientEnvironment({ endpointId: 'ep1' }),
      XDG_CACHE_HOME: join(folder, 'cache'),
      XDG_DATA_HOME: join(folder, 'data'),
    };
    const { RUNPOD_API_KEY: apiKey = '', RUNPOD_BASE_URL: baseUrl = '' } = environment as Record<string, string>;
    const options = { apiKey, baseUrl, endpointId: 'ep1' };
    await using client = createClient(options);
    await mkdir(join(folder, 'cache'));
    await describeCached(client, { folder: userCacheFolder(environment), endpoint: endpointKey(options) });
    const seen = () =>
      stack.emulator.inspect.requestsSeen('run').length + stack.emulator.inspect.requestsSeen('runsync').length;
    const before = seen();
    const outcome = await runCommandLine(['run', 'w.json'], { folder, environment });
    expect(outcome).toMatchObject({ exitCode: exitCodes.input, stdout: '' });
    expect(outcome.stderr).toContain('error WORKFLOW_UNKNOWN_NODE: Not sent, by endpoint ep1 as it was last described');
    expect(outcome.stderr).toContain('LoraLoaderModelOnly');
    expect(outcome.stderr).toContain('describe --fresh');
    expect(seen()).toBe(before);
  });
});
