// `/queue` and `/history` (ComfyUI protocol notes §1.4, §1.5). Answers to changes are always 200 and empty.
import { NodeError } from '../../node-definition.ts';
import type { PyValue } from '../../python-json.ts';
import { pyFloat } from '../../python-number.ts';
import { pyTruth, pyTypeName } from '../../python-repr.ts';
import { entryBody, type HistoryEntry } from '../../queue/history-store.ts';
import type { ServerContext } from '../../server-context.ts';
import { coerceConstant } from '../../validation/coerce.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

/** What Python gets when it iterates a value; throws for what cannot be iterated. */
function iterate(value: PyValue): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return [...value];
  if (value instanceof Map) return [...value.keys()];
  throw new NodeError('TypeError', `'${pyTypeName(value)}' object is not iterable`);
}

function changes(body: PyValue): { readonly clear: boolean; readonly ids: readonly unknown[] } {
  if (body instanceof Map) {
    const ids = body.has('delete') ? iterate(body.get('delete') ?? null) : [];
    return { clear: pyTruth(body.get('clear')), ids };
  }
  iterate(body);
  return { clear: false, ids: [] };
}

async function changeQueue(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const { clear, ids } = changes(await request.json());
  if (clear) context.queue.clear();
  for (const id of ids) context.queue.delete(id);
  return empty(context, 200);
}

async function changeHistory(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const { clear, ids } = changes(await request.json());
  if (clear) context.queue.history.clear();
  for (const id of ids) {
    if (Array.isArray(id) || id instanceof Map) throw new NodeError('TypeError', 'unhashable type');
    if (typeof id === 'string') context.queue.history.delete(id);
  }
  return empty(context, 200);
}

function historyBody(context: ServerContext, entries: readonly HistoryEntry[]): Answer {
  const out = new Map<string, unknown>();
  for (const entry of entries) {
    const { promptId } = entry.item;
    if (entry.unreadable) throw new TypeError('Object of type bytes is not JSON serializable');
    const body = entryBody(entry);
    if (context.faults.strike('nan', { promptId }, (fault) => fault.in === 'history') !== undefined) {
      body.set('score', pyFloat(Number.NaN));
    }
    out.set(promptId, body);
  }
  return jsonAnswer(out);
}

function readHistory(request: RouteRequest, context: ServerContext): Answer {
  const maxItems = request.query.get('max_items');
  const offset = request.query.get('offset');
  const max = maxItems === null ? null : coerceConstant(maxItems, 'INT');
  const from = offset === null ? -1 : coerceConstant(offset, 'INT');
  const entries = context.queue.history.page(max, typeof from === 'bigint' ? from : Number(from));
  return historyBody(context, entries);
}

function readEntry(request: RouteRequest, context: ServerContext): Answer {
  const entry = context.queue.history.get(request.params['prompt_id'] ?? '');
  return historyBody(context, entry === undefined ? [] : [entry]);
}

/** The routes. */
export function queueRoutes(): Route[] {
  return [
    { method: 'GET', path: '/queue', handler: (_request, context) => jsonAnswer(context.queue.snapshot()) },
    { method: 'POST', path: '/queue', handler: changeQueue },
    { method: 'GET', path: '/history', handler: readHistory },
    { method: 'GET', path: '/history/:prompt_id', handler: readEntry },
    { method: 'POST', path: '/history', handler: changeHistory },
  ];
}
