/** The items of a batch as commands: read from a file and a grid, as flags of one job each, and with the key that tells a changed item. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ComfyRunpodError, isComfyRunpodError, limits } from '../../../shared/index.ts';
import { batchKey } from '../../batch/batch-state.ts';
import { gridCombinations, parseGridAxis } from '../../batch/grid.ts';
import { type BatchItem, combineItems, isKey, readItems } from '../../batch/read-items.ts';
import { readWorkflowBytes, stdinPath } from '../../files/read-workflow-bytes.ts';
import type { CommandContext } from '../command-context.ts';
import type { BatchFlags } from './batch.ts';
import { withInterrupt } from './convert.ts';
import type { SubmitFlags } from './submit-flags.ts';

/** The context with a workflow from standard input that can be read for every item. Throws `USAGE` and what reading it throws. */
export async function withKeptWorkflow(
  workflow: string,
  flags: BatchFlags,
  context: CommandContext,
): Promise<CommandContext> {
  if (workflow !== stdinPath) return context;
  if (flags.items === stdinPath) {
    throw new ComfyRunpodError('USAGE', 'Standard input can be the workflow or the items, not both.', {
      nextStep: 'Put one of them into a file.',
    });
  }
  const { folder, stdin } = context.io;
  const { bytes } = await withInterrupt(context, (signal) =>
    readWorkflowBytes({ path: workflow, folder, stdin, signal }),
  );
  return { ...context, io: { ...context.io, stdin: { [Symbol.asyncIterator]: () => once(bytes) } } };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Reads the items. Throws `USAGE` or `FILE_NOT_FOUND`. */
export async function itemsOf(flags: BatchFlags, context: CommandContext): Promise<BatchItem[]> {
  const axes = flags.grid.map(parseGridAxis);
  const strange = axes.find(({ key }) => !isKey(key));
  if (strange) {
    throw new ComfyRunpodError(
      'USAGE',
      `--grid ${strange.key.slice(0, 60)} is neither the name of a flag nor NODE.input.`,
    );
  }
  const { items } = flags;
  if (items === undefined && axes.length === 0) {
    throw new ComfyRunpodError('USAGE', 'A batch needs --items FILE, --grid NAME=VALUES, or both.');
  }
  const rows = items === undefined ? [new Map<string, readonly string[]>()] : readItems(await itemText(items, context));
  return combineItems(rows, gridCombinations(axes));
}

async function itemText(path: string, context: CommandContext): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  const source = path === stdinPath ? context.io.stdin : createReadStream(resolve(context.io.folder, path));
  if (source === undefined) throw new ComfyRunpodError('USAGE', 'There is nothing to read the items from.');
  try {
    for await (const piece of source) {
      const bytes = Buffer.from(piece);
      size += bytes.byteLength;
      if (size > limits.comfyAnswerBytes) throw new ComfyRunpodError('USAGE', 'The file of items is too large.');
      pieces.push(bytes);
    }
  } catch (error) {
    if (isComfyRunpodError(error)) throw error;
    throw new ComfyRunpodError('FILE_NOT_FOUND', 'The file of items can not be read.', { cause: error });
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** The flags of one item: those of the command, what the item says in their place, and the seeds that an earlier call chose. */
export function flagsOf(
  flags: BatchFlags,
  { values }: BatchItem,
  seeds?: Readonly<Record<string, number>>,
): SubmitFlags {
  const one = (key: string) => values.get(key)?.[0];
  const list = (key: 'image' | 'mask' | 'video' | 'audio') => values.get(key) ?? flags[key] ?? [];
  const set = [...values].filter(([key]) => key.includes('.')).map(([key, [value = '']]) => `${key}=${value}`);
  const kept = Object.entries(seeds ?? {}).map(([key, value]) => `${key}=${value}`);
  const prompt = one('prompt') ?? flags.prompt;
  const negative = one('negative') ?? flags.negative;
  const seed = kept.length > 0 ? undefined : (one('seed') ?? flags.seed);
  const { seed: _seed, ...rest } = flags;
  return {
    ...rest,
    image: list('image'),
    mask: list('mask'),
    video: list('video'),
    audio: list('audio'),
    set: [...(flags.set ?? []), ...set, ...kept],
    ...(prompt !== undefined && { prompt }),
    ...(negative !== undefined && { negative }),
    ...(seed !== undefined && { seed }),
  };
}

/**
 * Keys of items, by everything that decides what they render: the workflow, the flags, the values and the files of an item. Chosen seeds are not in
 * it. Texts go into it as a hash only.
 */
export async function itemKeys(
  workflow: string,
  flags: BatchFlags,
  { io: { folder, stdin } }: CommandContext,
): Promise<(item: BatchItem) => Promise<string>> {
  const { bytes } = await readWorkflowBytes({ path: workflow, folder, stdin });
  const source = createHash('sha256').update(bytes).digest('hex');
  const hashes = new Map<string, Promise<string>>();
  const hashOf = (argument: string) => {
    const known = hashes.get(argument) ?? fileHash(argument, folder);
    hashes.set(argument, known);
    return known;
  };
  return async (item) => {
    const { image, mask = [], video = [], audio = [], prompt, negative, seed, set, metadata } = flagsOf(flags, item);
    const files = [image, mask, video, audio];
    const contents = await Promise.all(files.flat().map(hashOf));
    return batchKey({ source, files, contents, prompt, negative, seed, set, metadata });
  };
}

/** Hash of the file of `FILE` or `NODE=FILE`: of the longest path that there is. One that is missing has none: preparing the item will say so. */
async function fileHash(argument: string, folder: string): Promise<string> {
  for (let at = 0; ; ) {
    const hash = createHash('sha256');
    try {
      await pipeline(createReadStream(resolve(folder, argument.slice(at))), hash);
      return hash.digest('hex');
    } catch {
      const next = argument.indexOf('=', at);
      if (next === -1) return '';
      at = next + 1;
    }
  }
}
