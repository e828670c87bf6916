// A worker whose folders are not those of its ComfyUI says so in its first job and names the variable. On the stand-in, and on a real
// ComfyUI when COMFY_URL, COMFY_INPUT_DIR, COMFY_OUTPUT_DIR and COMFY_TEMP_DIR name one on this disk.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { type ComfyStandInOptions, startComfyStandIn } from '../../sandbox/comfyui/index.ts';
import { createRunner } from '../../worker/compose.ts';
import { readWorkerConfig } from '../../worker/config.ts';
import { emptyPicture, recordingLogger } from '../support/driver-bench.ts';
import { afterThisTest } from '../support/runpod-emulator.ts';

const names = ['COMFY_INPUT_DIR', 'COMFY_OUTPUT_DIR', 'COMFY_TEMP_DIR'] as const;
type Place = Readonly<Record<(typeof names)[number] | 'COMFY_URL', string>>;

async function standIn(options: ComfyStandInOptions = {}): Promise<Place> {
  const comfy = await startComfyStandIn(options);
  afterThisTest(() => comfy.close());
  const { input, output, temp } = comfy.directories;
  return { COMFY_URL: comfy.url, COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp };
}

const { COMFY_URL: url = '', COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp } = process.env;
const real =
  input === undefined || output === undefined || temp === undefined
    ? undefined
    : { COMFY_URL: url, COMFY_INPUT_DIR: input, COMFY_OUTPUT_DIR: output, COMFY_TEMP_DIR: temp };
const places: (readonly [string, () => Promise<Place>])[] = [
  ['the stand-in', standIn],
  ...(real ? [['a real ComfyUI', () => Promise.resolve(real)] as const] : []),
];

async function elsewhere(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cr-elsewhere-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function work(environment: Place) {
  const logger = recordingLogger();
  const composed = await createRunner(readWorkerConfig(environment), logger, new AbortController().signal);
  afterThisTest(() => composed.close());
  const run = () =>
    composed.runner.run(
      { id: 'job-1', input: { contract: 1, workflow: emptyPicture() } },
      { signal: AbortSignal.timeout(20_000), resultLimitBytes: 10_000_000, onProgress: () => undefined },
    );
  return { run, logger };
}

/** Files of the question in a folder; a real ComfyUI may have folders of other workers beside. */
async function ours(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.startsWith('cr-')).map(({ name }) => name);
}

it.each(places)('folders that are those of %s are found right, and nothing of the question stays', async (_, find) => {
  const place = await find();
  const { run, logger } = await work(place);
  expect(await run()).toMatchObject({ kind: 'completed' });
  expect(logger.lines.join('\n')).not.toContain('would not tell');
  for (const name of names) expect(await ours(place[name])).toEqual([]);
});

it.each(places.flatMap(([title, find]) => names.map((name) => [name, title, find] as const)))(
  '%s that is not the one of %s fails the job before it runs, by its name and with what to do',
  async (name, _, find) => {
    const folder = await elsewhere();
    const { run } = await work({ ...(await find()), [name]: folder });
    const outcome = await run();
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: {
        code: 'CONFIG_INVALID',
        issues: [{ field: name, message: expect.stringContaining('is not the') as string }],
        nextStep: expect.stringContaining(`${name}: It must be the folder that`) as string,
      },
    });
    expect(await ours(folder)).toEqual([]);
    // The next job asks anew: it may be ComfyUI that was started wrongly.
    expect(await run()).toMatchObject({ kind: 'failed', error: { code: 'CONFIG_INVALID' } });
  },
);

it('a ComfyUI that will not tell whether it has a file is believed, with a line in the log', async () => {
  const place = await standIn({ faults: [{ kind: 'bad-status', endpoint: '/view', status: 403, times: 3 }] });
  const { run, logger } = await work(place);
  expect(await run()).toMatchObject({ kind: 'completed' });
  expect(logger.lines.join('\n')).toContain('would not tell');
});
