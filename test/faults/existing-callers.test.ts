// Requests as callers of other workers send them, recorded, through emulator, worker and ComfyUI stand-in; read as those callers read.
import sharp from 'sharp';
import { request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { delay, isTerminalStatus, type JobView } from '../../shared/index.ts';
import { dialectFixture, testFernetKey } from '../support/dialects.ts';
import { FileServers, pngBytes } from '../support/file-servers.ts';
import { filesBelow, startWholeStack, type WholeStack } from '../support/whole-stack.ts';

let stack: WholeStack;

beforeEach(async () => {
  stack = await startWholeStack({ workers: 1, workerEnvironment: { ENCRYPTION_KEY: testFernetKey } });
});
afterEach(() => stack.close());

type Json = Record<string, unknown>;

/** Posts an input as it is and polls like an old client: every output seen on the way, then the end. */
async function send(input: unknown): Promise<{ view: JobView; seen: unknown[] }> {
  const { emulator } = stack;
  const key = emulator.clientEnvironment({ endpointId: 'ep1' })['RUNPOD_API_KEY'] ?? '';
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const post = await request(`${emulator.baseUrl}/ep1/run`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ input }),
  });
  const { id } = (await post.body.json()) as { id: string };
  const seen: unknown[] = [];
  for (;;) {
    const view = await stack.client.job(id).status();
    if (isTerminalStatus(view.status)) return { view, seen };
    if (view.output !== undefined) seen.push(view.output);
    await delay(10);
  }
}

async function recorded(name: string, changes: Json = {}): Promise<Json> {
  return { ...((await dialectFixture(name)) as Json), ...changes };
}

async function expectPicture(base64: unknown): Promise<void> {
  const { format, width } = await sharp(Buffer.from(String(base64), 'base64')).metadata();
  expect({ format, width }).toEqual({ format: 'png', width: 1 });
}

const fromLoader = {
  '1': { class_type: 'LoadImage', inputs: { image: 'input.png' } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'out' } },
};
const drawn = {
  '1': { class_type: 'EmptyImage', inputs: { width: 1, height: 1, batch_size: 1, color: 0 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'out' } },
};

async function filesLeft(): Promise<string[]> {
  const { input = '', output = '', temp = '' } = { ...stack.comfy[0]?.directories };
  return (await Promise.all([input, output, temp].map(filesBelow))).flat();
}

describe('a job that ends well', () => {
  it('worker-comfyui 5: a list of images with filename, type and data, and nothing but COMPLETED output on the way', async () => {
    const { view, seen } = await send(await recorded('worker-comfyui'));
    expect(view).toMatchObject({
      status: 'COMPLETED',
      output: { images: [{ filename: 'out_00001_.png', type: 'base64' }] },
    });
    const { images, ...rest } = view.output as { images: Json[]; meta: Json };
    await expectPicture(images[0]?.['data']);
    expect(Object.keys(rest)).toEqual(['meta']);
    expect(rest.meta).toMatchObject({ kind: 'comfy-runpod/result', status: 'success', receipt: { workerId: 'pod-0' } });
    // SillyTavern takes the first output it sees for the result.
    expect(seen).toEqual([]);
    expect(await filesLeft()).toEqual([]);
    expect(JSON.stringify(view.output)).not.toContain('not-a-real-key');
  });

  it('worker-comfyui before 5: status and message, by name', async () => {
    const { view } = await send(await recorded('worker-comfyui', { dialect: 'worker-comfyui-4' }));
    expect(view).toMatchObject({ status: 'COMPLETED', output: { status: 'success' } });
    await expectPicture((view.output as Json)['message']);
  });

  it("the seed's worker: images as a map, plain and out of an encrypted request", async () => {
    const plain = await send(await recorded('dimhara-plain', { debug: false }));
    const encrypted = await send(await recorded('dimhara-encrypted'));
    for (const { view } of [plain, encrypted]) {
      expect(view).toMatchObject({ status: 'COMPLETED', output: { status: 'success' } });
      const images = (view.output as { images: Json }).images;
      expect(Object.keys(images)).toEqual(['out_00001_.png']);
      await expectPicture(images['out_00001_.png']);
    }
    expect(await filesLeft()).toEqual([]);
  });

  it("the seed's worker: an answer that was asked to be encrypted holds no file and no name in clear", async () => {
    const { view } = await send(await recorded('dimhara-sealed'));
    expect(view.status).toBe('COMPLETED');
    const output = view.output as { encrypted_output: string; encrypted_files: string[] };
    expect(Object.keys(output).toSorted()).toEqual(['encrypted_files', 'encrypted_output', 'status']);
    expect(output.encrypted_files).toHaveLength(1);
    for (const token of [output.encrypted_output, ...output.encrypted_files]) expect(token).toMatch(/^gAAAAA[\w-]+=*$/);
    expect(JSON.stringify(view.output)).not.toMatch(/out_00001_|iVBORw0KGgo/);
  });

  it("the seed's worker: progress is told as Step v/max", async () => {
    const workflow = {
      ...drawn,
      '3': { class_type: 'SandboxSleep', inputs: { value: ['1', 0], steps: 8, step_ms: 150 } },
    };
    const { view, seen } = await send({ workflow: stepping(workflow), images: {} });
    expect(view).toMatchObject({ status: 'COMPLETED' });
    expect(seen.length).toBeGreaterThan(0);
    for (const output of seen) expect(output).toMatch(/^Step \d+\/\d+$/);
  });

  it('ComfyGen: ok and an address of the file', async () => {
    const { view } = await send(await recorded('comfygen', { workflow: drawn, file_inputs: {}, overrides: {} }));
    expect(view).toMatchObject({ status: 'COMPLETED', output: { ok: true } });
    const { url } = (view.output as { output: { url: string } }).output;
    expect(url).toMatch(/^data:image\/png;base64,/);
    await expectPicture(url.split(',')[1]);
  });

  it('cog-comfyui: a bare list of addresses', async () => {
    const { view } = await send(await recorded('cog', { workflow_json: JSON.stringify(fromLoader) }));
    expect(view.status).toBe('COMPLETED');
    expect(view.output).toEqual([expect.stringMatching(/^data:image\/png;base64,/)]);
  });

  it("ai-dock: the caller's id and a list of files with their nodes", async () => {
    const { view } = await send(await recorded('ai-dock', { workflow_json: drawn }));
    expect(view).toMatchObject({
      status: 'COMPLETED',
      output: {
        id: '123e4567-e89b-12d3-a456-426614174000',
        status: 'completed',
        output: [{ filename: 'out_00001_.png', node_id: '2', type: 'output' }],
      },
    });
  });

  it("Salad: pictures inside the prompt, images and filenames in the answer, beside the caller's id", async () => {
    const salad = await recorded('salad');
    const prompt = salad['prompt'] as Record<string, { inputs: { image: string } }>;
    // The recorded JPEG has a header and no picture: a real one in its place, in its form, bare base64.
    const [, picture = ''] = prompt['3']?.inputs.image.split(',') ?? [];
    if (prompt['1']) prompt['1'].inputs.image = picture;
    const { view } = await send(salad);
    expect(view).toMatchObject({ status: 'COMPLETED', output: { id: 'job-17', filenames: ['out_00001_.png'] } });
    await expectPicture((view.output as { images: unknown[] }).images[0]);
    expect(await filesLeft()).toEqual([]);
  });

  describe('whose files are given by address', () => {
    const picture = pngBytes();
    const servers = new FileServers();
    afterEach(() => servers.closeAll());

    async function served(): Promise<{ url: string; asked: string[] }> {
      const asked: string[] = [];
      const { port } = await servers.http((incoming, response) => {
        asked.push(incoming.url ?? '');
        if (incoming.url?.startsWith('/gone') === true) response.writeHead(404).end();
        else response.end(picture);
      });
      return { url: `http://127.0.0.1:${port}`, asked };
    }

    const loading = (image: string) => ({ ...fromLoader, '1': { class_type: 'LoadImage', inputs: { image } } });
    const callers: readonly (readonly [string, (url: string) => unknown, (output: Json) => unknown])[] = [
      [
        'ComfyGen',
        (url) => ({
          workflow: loading('unset.png'),
          file_inputs: { '1': { field: 'image', url, filename: 'start.png' } },
        }),
        (output) => (output['output'] as { url: string }).url.split(',')[1],
      ],
      ['Salad', (url) => ({ prompt: loading(url) }), (output) => (output['images'] as unknown[])[0]],
      [
        'cog-comfyui',
        (url) => ({ workflow_json: JSON.stringify(loading('input.png')), input_file: url }),
        (output) => String((output as unknown as unknown[])[0]).split(',')[1],
      ],
      [
        'ai-dock',
        (url) => ({ workflow_json: loading(url) }),
        (output) => (output['output'] as { data: string }[])[0]?.data,
      ],
    ];

    it.each(callers)('%s: they are fetched once and wiped like any other', async (_caller, input, pictureOf) => {
      const { url, asked } = await served();
      const { view } = await send(input(`${url}/a.png?sig=very-private`));
      expect(view).toMatchObject({ status: 'COMPLETED' });
      await expectPicture(pictureOf(view.output as Json));
      expect(asked).toEqual(['/a.png?sig=very-private']);
      expect(await filesLeft()).toEqual([]);
      expect(JSON.stringify(view) + stack.log.join('')).not.toContain('very-private');
    });

    it.each(callers)('%s: one that is not there fails the job, without its address', async (_caller, input) => {
      const { url } = await served();
      const { view } = await send(input(`${url}/gone.png?sig=very-private`));
      expect(view.status).toBe('FAILED');
      expect(String(view.error)).toContain('INPUT_UNAVAILABLE');
      expect(JSON.stringify(view) + stack.log.join('')).not.toContain('very-private');
    });

    it('worker-comfyui has no files by address: it is told what to send', async () => {
      const { url, asked } = await served();
      const { view } = await send({ workflow: fromLoader, images: [{ name: 'input.png', image: `${url}/a.png` }] });
      expect(view.status).toBe('FAILED');
      expect(String(view.error)).toContain('images.0.image');
      expect(asked).toEqual([]);
    });
  });

  it('a bare graph is a job, answered as worker-comfyui does', async () => {
    const { view } = await send(drawn);
    expect(view).toMatchObject({ status: 'COMPLETED', output: { images: [{ type: 'base64' }] } });
  });

  it('seed-style params set the seed of the graph', async () => {
    const workflow = {
      ...drawn,
      '1': { class_type: 'EmptyImage', inputs: { width: 2, height: 1, batch_size: 1, color: 0 } },
    };
    const { view } = await send({ workflow, params: { '1.width': 1 } });
    expect(view.status).toBe('COMPLETED');
    await expectPicture((view.output as { images: Json[] }).images[0]?.['data']);
  });
});

describe('a job that fails', () => {
  const broken = { ...drawn, '2': { class_type: 'NoSuchNode', inputs: { images: ['1', 0] } } };

  it('is FAILED in every dialect, with the same coded error, and no words of success beside it', async () => {
    const inputs: Record<string, unknown> = {
      'worker-comfyui': { workflow: broken },
      'worker-comfyui-4': { workflow: broken, dialect: 'worker-comfyui-4' },
      dimhara: { workflow: broken, images: {} },
      comfygen: { workflow: broken, file_inputs: {} },
      cog: { workflow_json: JSON.stringify(broken) },
      'ai-dock': { workflow_json: broken },
      salad: { prompt: broken },
      raw: broken,
      canonical: { workflow: broken, contract: 1 },
    };
    for (const [dialect, input] of Object.entries(inputs)) {
      const { view } = await send(input);
      expect(view.status, dialect).toBe('FAILED');
      expect(String(view.error), dialect).toContain('NoSuchNode');
      expect(JSON.stringify(view.output ?? null), dialect).not.toMatch(/success|"ok":true|completed/);
    }
  });

  it('a wrong token is refused without a word about its content, and so is an address inside a request', async () => {
    const forged = await send(await recorded('dimhara-encrypted', { encrypted_input: `gAAAAA${'B'.repeat(120)}` }));
    expect(forged.view.status).toBe('FAILED');
    expect(forged.view.output).toMatchObject({ status: 'error' });
    const webhook = await send({ prompt: drawn, webhook: 'https://example.test/hook' });
    expect(webhook.view.status).toBe('FAILED');
    expect(String(webhook.view.error)).toContain('webhook');
    expect(String(webhook.view.error)).not.toContain('example.test');
    expect(stack.comfy[0]?.inspect.history()).toEqual([]);
  });
});

/** The picture goes through the steps before it is saved. */
function stepping(workflow: Json): Json {
  return { ...workflow, '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'out' } } };
}
