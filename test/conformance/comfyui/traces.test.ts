// The stand-in against 21 recorded sessions of a real ComfyUI 0.3.64 (E60). All sessions run against one stand-in in the
// recorded order, because cache, files, history and the queue counter flow from one to the next.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { Translation } from './support/normalise.ts';
import { RECORDING_NAMES, type Recording, readRecording, recordedOutputOrders } from './support/recording.ts';
import { replay } from './support/replay.ts';

/**
 * Sessions that post while a prompt runs: where a queue change falls among the messages of that prompt depends on timing,
 * so `status` messages and all others are compared as two sequences, each in order.
 */
const CONCURRENT = new Set(['two-queued', 'delete-queued']);

function split(messages: unknown): { status: unknown[]; others: unknown[] } {
  const list = messages as { type: string }[];
  return {
    status: list.filter((message) => message.type === 'status'),
    others: list.filter((message) => message.type !== 'status'),
  };
}

describe('a recorded session replays identically (E60)', () => {
  const recordings = new Map<string, Recording>();
  let standIn: ComfyStandIn;
  let translation: Translation;

  beforeAll(async () => {
    for (const name of RECORDING_NAMES) recordings.set(name, await readRecording(name));
    const orders = recordedOutputOrders([...recordings.values()]);
    standIn = await startComfyStandIn({
      // The recorded order of Python's sets of output ids.
      orderOutputs: (ids) => orders.find((order) => [...order].sort().join() === [...ids].sort().join()) ?? ids,
    });
    translation = new Translation(standIn.directories.input);
    await writeFile(path.join(standIn.directories.input, 'broken.png'), 'this is not a picture');
    await writeFile(path.join(standIn.directories.input, 'zero.png'), '');
  });

  afterAll(async () => {
    await standIn.close();
  });

  for (const name of RECORDING_NAMES) {
    it(`E60 ${name}`, { timeout: 120_000 }, async () => {
      const recording = recordings.get(name);
      expect(recording).toBeDefined();
      if (recording === undefined) return;
      const comparisons = await replay(standIn, recording, translation);
      const answers = recording.events.filter((event) => event.kind === 'response').length;
      expect(comparisons.length).toBeGreaterThan(answers);
      for (const { what, recorded, actual } of comparisons) {
        if (CONCURRENT.has(name) && what.startsWith('messages')) {
          expect(split(actual), what).toEqual(split(recorded));
        } else expect(actual, what).toEqual(recorded);
      }
    });
  }
});
