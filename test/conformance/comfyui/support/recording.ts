// The recorded sessions and the order in which one server produced them (its queue numbers tell).
import { readFile } from 'node:fs/promises';

/** A WebSocket message as recorded. */
export interface WsMessage {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** One line of a recording. */
export type RecordedEvent =
  | { readonly at_ms: number; readonly kind: 'ws'; readonly client: string; readonly json: WsMessage }
  | {
      readonly at_ms: number;
      readonly kind: 'request';
      readonly method: 'GET' | 'POST';
      readonly path: string;
      readonly json: unknown;
      readonly note?: string;
    }
  | {
      readonly at_ms: number;
      readonly kind: 'response';
      readonly status: number;
      readonly content_type: string | null;
      readonly json: unknown;
    }
  | { readonly at_ms: number; readonly kind: 'history_visible'; readonly note: string }
  | { readonly at_ms: number; readonly kind: 'note'; readonly note: string };

/** A recorded session. */
export interface Recording {
  readonly name: string;
  readonly about: string;
  readonly events: readonly RecordedEvent[];
}

/** Sessions in the order of the server's queue numbers; state (cache, files, history) flows from one to the next. */
export const RECORDING_NAMES = [
  'feature-flags',
  'fresh-run',
  'fully-cached-run',
  'partly-cached-run',
  'input-overwritten',
  'uploads',
  'subfolders',
  'invalid-missing-file',
  'validation-errors',
  'node-error',
  'zero-byte-input',
  'interrupt',
  'interrupt-other-id',
  'two-queued',
  'delete-queued',
  'client-chosen-prompt-id',
  'many-output-kinds',
  'clear-history-and-free',
  'information-routes',
  'other-client',
  'reconnect-mid-run',
] as const;

/** Reads one recording. */
export async function readRecording(name: string): Promise<Recording> {
  const file = new URL(`../../../fixtures/comfyui/traces/${name}.json`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')) as Recording;
}

/** The order in which the recorded server ran each set of output nodes: the fifth element of history's tuple. */
export function recordedOutputOrders(recordings: readonly Recording[]): readonly (readonly string[])[] {
  const orders: string[][] = [];
  for (const { events } of recordings) {
    for (const event of events) {
      if (event.kind !== 'response' || typeof event.json !== 'object' || event.json === null) continue;
      for (const entry of Object.values(event.json)) {
        const prompt: unknown = (entry as { prompt?: unknown } | null)?.prompt;
        if (Array.isArray(prompt) && Array.isArray(prompt[4])) orders.push(prompt[4] as string[]);
      }
    }
  }
  return orders;
}
