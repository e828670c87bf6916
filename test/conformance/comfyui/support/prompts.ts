// Small graphs and the round trips conformance tests make with them.
import { setTimeout as wait } from 'node:timers/promises';
import type { ComfyStandIn } from '../../../../sandbox/comfyui/index.ts';
import { call, type HttpAnswer } from './http-client.ts';

/** An API-format graph. */
export type Graph = Record<string, unknown>;

/** A history entry as tests read it. */
export interface Entry {
  readonly prompt: [number, string, Graph, Record<string, unknown>, string[]];
  readonly outputs: Record<string, Record<string, unknown[]>>;
  readonly status: { status_str: string; completed: boolean; messages: [string, Record<string, unknown>][] };
  readonly meta: Record<string, Record<string, unknown>>;
}

/** An EmptyImage saved under a prefix. */
export function saveGraph(prefix: string, color = 0): Graph {
  return {
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color } },
    '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: prefix } },
  };
}

/** A text shown by an output node. */
export function textGraph(text: string): Graph {
  return { '1': { class_type: 'SandboxSaveAs', inputs: { kind: 'text', filename_prefix: 'x', content: text } } };
}

/** Sleeps in steps before a silent output. */
export function sleepGraph(steps: number, stepMs: number, extra: Record<string, unknown> = {}): Graph {
  return {
    '1': { class_type: 'SandboxSleep', inputs: { steps, step_ms: stepMs, label: `${steps}x${stepMs}`, ...extra } },
    '2': { class_type: 'SandboxSilentOutput', inputs: { value: ['1', 0] } },
  };
}

/** Posts a graph. */
export function post(standIn: ComfyStandIn, prompt: unknown, more: Record<string, unknown> = {}): Promise<HttpAnswer> {
  return call(standIn.url, '/prompt', { body: { prompt, ...more } });
}

/** Posts a graph that must be accepted; its id. */
export async function submit(
  standIn: ComfyStandIn,
  prompt: Graph,
  more: Record<string, unknown> = {},
): Promise<string> {
  const answer = await post(standIn, prompt, more);
  if (answer.status !== 200) throw new Error(`not accepted: ${answer.text}`);
  return (answer.json as { prompt_id: string }).prompt_id;
}

/** Polls until the condition holds. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 15_000,
): Promise<void> {
  const until = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`waited ${withinMs} ms for ${what}`);
    await wait(3);
  }
}

/** Waits for a prompt's entry. */
export async function finished(standIn: ComfyStandIn, id: string): Promise<Entry> {
  await eventually(() => standIn.inspect.history().includes(id), `${id} in history`);
  const answer = await call(standIn.url, `/history/${encodeURIComponent(id)}`);
  const entry = (answer.json as Record<string, Entry>)[id];
  if (entry === undefined) throw new Error(`no entry: ${answer.text}`);
  return entry;
}

/** Posts a graph and waits for its entry. */
export async function run(standIn: ComfyStandIn, prompt: Graph, more: Record<string, unknown> = {}): Promise<Entry> {
  return await finished(standIn, await submit(standIn, prompt, more));
}

/** The nodes a run found cached. */
export function cachedNodes(entry: Entry): unknown {
  return entry.status.messages.find(([name]) => name === 'execution_cached')?.[1]['nodes'];
}

/** Waits until a prompt runs. */
export async function running(standIn: ComfyStandIn, id: string): Promise<void> {
  await eventually(() => standIn.inspect.queue().running.includes(id), `${id} running`);
}

/** The errors of one node in a refusal. */
export function nodeErrors(answer: HttpAnswer, node: string) {
  const all = (answer.json as { node_errors: Record<string, { errors: Record<string, unknown>[] }> }).node_errors;
  return all[node]?.errors ?? [];
}
