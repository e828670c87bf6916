// Jobs of every kind, good and bad, each with the one truthful way it may end.
import sharp from 'sharp';
import type { Client, JobResult } from '../../client/index.ts';
import type { RunpodEmulator } from '../../sandbox/runpod/index.ts';
import {
  type Artifact,
  delay,
  type ErrorCode,
  isComfyRunpodError,
  type JobInputWire,
  packageVersion,
} from '../../shared/index.ts';
import { lostDelivery } from './faults-everywhere.ts';

/** One job and what must become of it. */
export interface MixedJob {
  readonly kind: string;
  readonly input: JobInputWire;
  /** Cancelled by the client once it runs. */
  readonly cancel?: true;
  /** Says why the result is not the truth, or undefined when it is. */
  readonly untruth: (result: JobResult) => Promise<string | undefined>;
}

const image = (node: string) => [node, 0];
const side = 16;

/** A flat colour that only this job has. */
function colourOf(index: number): { r: number; g: number; b: number } {
  return { r: (index * 37) % 256, g: (index * 91) % 256, b: (index * 17) % 256 };
}

async function pictureOf(index: number): Promise<string> {
  const picture = sharp({ create: { width: side, height: side, channels: 3, background: colourOf(index) } });
  return (await picture.png().toBuffer()).toString('base64');
}

async function pixelOf(artifact: Artifact | undefined): Promise<readonly number[]> {
  if (artifact?.delivery.via !== 'inline') return [];
  const raw = await sharp(Buffer.from(artifact.delivery.data, 'base64')).raw().toBuffer();
  return [...raw.subarray(0, 3)];
}

function endOf(result: JobResult): string {
  return 'error' in result ? `${result.kind} ${result.error.code}: ${result.error.message}` : result.kind;
}

function success(check: (artifacts: readonly Artifact[], result: JobResult) => Promise<string | undefined>) {
  return async (result: JobResult) => {
    if (result.kind !== 'succeeded') return `ended as ${endOf(result)}`;
    if (result.envelope.receipt.workerVersion !== packageVersion) return 'has no receipt of this worker';
    return check(result.envelope.artifacts, result);
  };
}

function failure(...codes: readonly ErrorCode[]) {
  return async (result: JobResult) =>
    result.kind === 'failed' && codes.includes(result.error.code)
      ? undefined
      : `ended as ${endOf(result)} instead of ${codes.join(' or ')}`;
}

const makers: readonly ((index: number) => Promise<Omit<MixedJob, 'kind'>> | Omit<MixedJob, 'kind'>)[] = [
  async function inverted(index) {
    const { r, g, b } = colourOf(index);
    return {
      input: {
        workflow: {
          '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
          '2': { class_type: 'ImageInvert', inputs: { image: image('1') } },
          '3': { class_type: 'SaveImage', inputs: { images: image('2'), filename_prefix: 'inverted' } },
        },
        files: [{ name: 'in.png', data: await pictureOf(index) }],
      },
      untruth: success(async (artifacts) => {
        if (artifacts.length !== 1 || artifacts[0]?.name !== 'inverted_00001_.png') return 'wrong files';
        const pixel = await pixelOf(artifacts[0]);
        // Saving truncates, so a channel may be one below.
        const right = [255 - r, 255 - g, 255 - b].every(
          (value, channel) => Math.abs(value - (pixel[channel] ?? -9)) <= 1,
        );
        return right ? undefined : `is another job's picture: ${pixel}`;
      }),
    };
  },
  function batch(index) {
    return {
      input: {
        workflow: {
          a: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 3, color: index } },
          b: { class_type: 'SaveImage', inputs: { images: image('a'), filename_prefix: 'deep/er/batch' } },
        },
      },
      untruth: success(async (artifacts) =>
        artifacts.length === 3 && artifacts.every((artifact) => artifact.subfolder === 'deep/er')
          ? undefined
          : 'wrong files',
      ),
    };
  },
  function otherKinds(index) {
    const save = (kind: string) => ({
      class_type: 'SandboxSaveAs',
      inputs: { kind, filename_prefix: `kinds/${kind}`, content: `${kind} of ${index}` },
    });
    return {
      input: { workflow: { '1': save('gifs'), '2': save('audio'), '3': save('anything'), '4': save('text') } },
      untruth: success(async (artifacts, result) => {
        const keys = artifacts.map((artifact) => artifact.key).toSorted();
        if (`${keys}` !== 'anything,audio,gifs') return `wrong keys: ${keys}`;
        const values = result.kind === 'succeeded' ? result.envelope.values : [];
        return JSON.stringify(values).includes(`text of ${index}`) ? undefined : 'lost its text';
      }),
    };
  },
  function stepped(index) {
    return {
      input: {
        workflow: {
          '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: index } },
          '2': { class_type: 'SandboxSleep', inputs: { steps: 4, step_ms: 10, value: image('1'), label: `${index}` } },
          '3': { class_type: 'SaveImage', inputs: { images: image('2'), filename_prefix: 'stepped' } },
        },
      },
      untruth: success(async (artifacts) => (artifacts.length === 1 ? undefined : 'wrong files')),
    };
  },
  function failing(index) {
    return {
      input: {
        workflow: {
          '1': { class_type: 'SandboxFail', inputs: { message: `broken ${index}`, exception_type: 'ValueError' } },
          '2': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: image('1') } },
        },
      },
      untruth: failure('NODE_FAILED'),
    };
  },
  function outOfRange() {
    return {
      input: {
        workflow: {
          '1': { class_type: 'EmptyImage', inputs: { width: -5, height: 8, batch_size: 1, color: 0 } },
          '2': { class_type: 'SaveImage', inputs: { images: image('1'), filename_prefix: 'x' } },
        },
      },
      untruth: failure('WORKFLOW_REJECTED'),
    };
  },
  function unknownClass() {
    return {
      input: {
        workflow: {
          '1': { class_type: 'KSampler', inputs: {} },
          '2': { class_type: 'SaveImage', inputs: { images: image('1'), filename_prefix: 'x' } },
        },
      },
      untruth: failure('WORKFLOW_UNKNOWN_NODE'),
    };
  },
  function blocked() {
    return {
      input: {
        workflow: {
          '1': { class_type: 'SandboxBlock', inputs: { block: true, message: '', value: 'x' } },
          '2': { class_type: 'SandboxSaveAs', inputs: { kind: 'images', filename_prefix: 'x', value: image('1') } },
        },
      },
      untruth: failure('OUTPUT_NONE'),
    };
  },
  async function notAPicture(index) {
    return {
      input: {
        workflow: {
          '1': { class_type: 'LoadImage', inputs: { image: 'in.png' } },
          '2': { class_type: 'SaveImage', inputs: { images: image('1'), filename_prefix: 'x' } },
        },
        files: [{ name: 'in.png', data: Buffer.from(`no picture ${index}`).toString('base64') }],
      },
      untruth: failure('NODE_FAILED', 'FILE_NOT_A_PICTURE'),
    };
  },
  function cancelled(index) {
    return {
      input: {
        workflow: {
          '1': { class_type: 'SandboxSleep', inputs: { steps: 1_000, step_ms: 20, label: `${index}` } },
          '2': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', value: image('1') } },
        },
      },
      cancel: true,
      untruth: async (result) => (result.kind === 'cancelled' ? undefined : `ended as ${result.kind}`),
    };
  },
];

/** The job with this number; kinds take turns. */
export async function mixedJob(index: number): Promise<MixedJob> {
  const make = makers[index % makers.length];
  if (!make) throw new RangeError('no job maker');
  return { kind: make.name, ...(await make(index)) };
}

/** Submits a job, cancels it where that is its part, and waits for its end through whatever the network does. */
export async function runMixedJob(client: Client, job: MixedJob): Promise<JobResult> {
  const handle = await client.submit(job.input);
  if (job.cancel) {
    while ((await handle.status().catch(() => undefined))?.status === 'IN_QUEUE') await delay(20);
    await handle.cancel();
  }
  for (;;) {
    try {
      return await handle.wait();
    } catch (error) {
      // A wait may end for a reason of the network; the job goes on and can be waited for again. Nothing else may be thrown.
      if (!isComfyRunpodError(error) || error.policy.blame === 'caller') throw error;
    }
  }
}

/**
 * Why a result is not the truth, or undefined when it is. RunPod hands a job out twice at most: one whose deliveries were both lost on the way
 * is lost, whatever the worker does, and to say so is the truth.
 */
export async function untruthOf(
  emulator: RunpodEmulator,
  job: MixedJob,
  result: JobResult,
): Promise<string | undefined> {
  const lost = emulator.faults.hits(lostDelivery).filter((hit) => hit.subject.jobId === result.jobId).length;
  if (lost >= 2 && result.kind === 'failed' && result.error.code === 'WORKER_LOST') return undefined;
  return job.untruth(result);
}
