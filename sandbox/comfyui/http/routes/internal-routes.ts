// `/internal/*` (ComfyUI protocol notes §1.12): logs, folders, files. Only without `/api`.
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_FOLDER_TYPES, modelFolders } from '../../model-folders.ts';
import { NodeError } from '../../node-definition.ts';
import { folderOf } from '../../paths.ts';
import { pyTruth } from '../../python-repr.ts';
import type { ServerContext } from '../../server-context.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

const TERMINAL = { cols: 80, rows: 24 };

function logs(_request: RouteRequest, context: ServerContext): Answer {
  return jsonAnswer(
    context.log
      .entries()
      .map((entry) => `${entry.t} - ${entry.m}`)
      .join(''),
  );
}

function rawLogs(_request: RouteRequest, context: ServerContext): Answer {
  return jsonAnswer({ entries: context.log.entries(), size: TERMINAL });
}

/** Subscriptions end with the server. */
class LogSubscriptions {
  private readonly stops = new Map<string, () => void>();

  change(clientId: string, enabled: boolean, context: ServerContext): void {
    this.stops.get(clientId)?.();
    this.stops.delete(clientId);
    if (!enabled) return;
    const stop = context.log.listen((entries) => {
      const data = { entries, size: null };
      context.hub.enqueue({ kind: 'json', event: 'logs', data, to: clientId, promptId: undefined });
    });
    this.stops.set(clientId, stop);
  }
}

function subscribe(subscriptions: LogSubscriptions) {
  return async (request: RouteRequest, context: ServerContext): Promise<Answer> => {
    const body = await request.json();
    if (!(body instanceof Map) || !body.has('clientId') || !body.has('enabled')) {
      throw new NodeError('KeyError', "'clientId'");
    }
    subscriptions.change(String(body.get('clientId')), pyTruth(body.get('enabled')), context);
    return empty(context, 200);
  };
}

function folderPaths(_request: RouteRequest, context: ServerContext): Answer {
  const { folders } = context.settings;
  return jsonAnswer(Object.fromEntries(MODEL_FOLDER_TYPES.map((type) => [type, modelFolders(type, folders)])));
}

async function files(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const folder = folderOf(context.settings.folders, request.params['type'] ?? '');
  if (folder === undefined) return jsonAnswer({ error: 'Invalid directory type' }, 400);
  const found: { name: string; modified: number }[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isFile()) found.push({ name: entry.name, modified: (await stat(path.join(folder, entry.name))).mtimeMs });
  }
  found.sort((a, b) => b.modified - a.modified);
  return jsonAnswer(found.map((entry) => entry.name));
}

/** The routes. */
export function internalRoutes(): Route[] {
  const subscriptions = new LogSubscriptions();
  return [
    { method: 'GET', path: '/internal/logs', handler: logs, unprefixed: true },
    { method: 'GET', path: '/internal/logs/raw', handler: rawLogs, unprefixed: true },
    { method: 'PATCH', path: '/internal/logs/subscribe', handler: subscribe(subscriptions), unprefixed: true },
    { method: 'GET', path: '/internal/folder_paths', handler: folderPaths, unprefixed: true },
    { method: 'GET', path: '/internal/files/:type', handler: files, unprefixed: true },
  ];
}
