// `/interrupt` and `/free`: requests, not confirmations (ComfyUI protocol notes §1.6, §1.7).
import { setTimeout as wait } from 'node:timers/promises';
import { NodeError } from '../../node-definition.ts';
import { PyJsonError, type PyValue } from '../../python-json.ts';
import { pyTruth, pyTypeName } from '../../python-repr.ts';
import type { ServerContext } from '../../server-context.ts';
import type { Answer } from '../answers.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

async function readTarget(request: RouteRequest): Promise<PyValue> {
  let body: PyValue;
  try {
    body = await request.json();
  } catch (error) {
    if (!(error instanceof PyJsonError)) throw error;
    return null;
  }
  if (!(body instanceof Map)) {
    throw new NodeError('AttributeError', `'${pyTypeName(body)}' object has no attribute 'get'`);
  }
  return body.get('prompt_id') ?? null;
}

async function raiseLater(context: ServerContext, delayMs: number): Promise<void> {
  try {
    await wait(delayMs, undefined, { signal: context.closing });
  } catch {
    return;
  }
  context.interrupt.raise();
}

async function interrupt(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const target = await readTarget(request);
  const running = context.queue.runningItems();
  if (pyTruth(target) && !running.some((item) => item.promptId === target)) {
    context.log.write('INFO', `Prompt ${String(target)} is not currently running, skipping interrupt`);
    return empty(context, 200);
  }
  context.log.write(
    'INFO',
    pyTruth(target) ? `Interrupting prompt ${String(target)}` : 'Global interrupt (no prompt_id specified)',
  );
  const ignored = context.faults.strike('interrupt-ignored', { promptId: running[0]?.promptId });
  if (ignored === undefined) context.interrupt.raise();
  else if (ignored.actAfterMs !== null) void raiseLater(context, ignored.actAfterMs);
  return empty(context, 200);
}

async function free(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const body = await request.json();
  if (!(body instanceof Map)) {
    throw new NodeError('AttributeError', `'${pyTypeName(body)}' object has no attribute 'get'`);
  }
  const unloadModels = pyTruth(body.get('unload_models'));
  const freeMemory = pyTruth(body.get('free_memory'));
  if (context.faults.strike('free-ignored', { endpoint: request.endpoint }) !== undefined) return empty(context, 200);
  if (unloadModels) context.queue.requestFree({ unloadModels });
  if (freeMemory) context.queue.requestFree({ freeMemory });
  return empty(context, 200);
}

/** The routes. */
export function controlRoutes(): Route[] {
  return [
    { method: 'POST', path: '/interrupt', handler: interrupt },
    { method: 'POST', path: '/free', handler: free },
  ];
}
