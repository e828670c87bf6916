// The small read routes (ComfyUI protocol notes §1.11): system, features, models, embeddings, extensions, front end.
import { stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { isModelFolderType, listModels, MODEL_FOLDER_TYPES, modelFolders } from '../../model-folders.ts';
import type { ServerContext } from '../../server-context.ts';
import { serverFeatures } from '../../server-features.ts';
import { type Answer, jsonAnswer, textAnswer } from '../answers.ts';
import { empty, type Route, type RouteHandler, type RouteRequest } from '../route.ts';

const PYTHON_VERSION = '3.13.5 (main, Aug 10 2026, 12:06:59) [GCC 14.2.0]';
const FRONT_END_PAGE =
  '<!doctype html><title>ComfyUI stand-in</title><p>This is a stand-in for the ComfyUI server; it has no front end.</p>\n';

function systemStats(_request: RouteRequest, context: ServerContext): Answer {
  const { settings } = context;
  const modern = settings.profile === 'late-2026';
  const [total, free] = [os.totalmem(), os.freemem()];
  const system = {
    os: modern ? 'linux' : 'posix',
    ram_total: total,
    ram_free: free,
    comfyui_version: settings.version,
    required_frontend_version: '1.27.10',
    installed_templates_version: null,
    required_templates_version: '0.1.95',
    python_version: PYTHON_VERSION,
    pytorch_version: '2.6.0+debian',
    embedded_python: false,
    argv: settings.argv,
    ...(modern ? { comfy_package_versions: {}, deploy_environment: 'local' } : {}),
  };
  const device = {
    name: 'cpu',
    type: 'cpu',
    index: null,
    vram_total: total,
    vram_free: free,
    torch_vram_total: total,
    torch_vram_free: free,
  };
  return jsonAnswer({ system, devices: [device] });
}

function json(value: (context: ServerContext) => unknown): RouteHandler {
  return async (_request, context) => jsonAnswer(await value(context));
}

function models(type: string, context: ServerContext): Promise<string[]> {
  const { folders } = context.settings;
  return listModels(type, folders);
}

async function embeddings(context: ServerContext): Promise<string[]> {
  return (await models('embeddings', context)).map((name) => name.slice(0, name.length - path.extname(name).length));
}

async function modelFolder(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const type = request.params['folder'] ?? '';
  return isModelFolderType(type) ? jsonAnswer(await models(type, context)) : empty(context, 404);
}

function experimentTypes(context: ServerContext): unknown[] {
  const { folders } = context.settings;
  return MODEL_FOLDER_TYPES.filter((type) => type !== 'configs' && type !== 'custom_nodes').map((name) => ({
    name,
    folders: modelFolders(name, folders),
  }));
}

async function experimentFolder(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const type = request.params['folder'] ?? '';
  if (!isModelFolderType(type)) return empty(context, 404);
  const { folders } = context.settings;
  const bases = modelFolders(type, folders);
  const out: unknown[] = [];
  for (const name of await models(type, context)) {
    for (const [pathIndex, base] of bases.entries()) {
      const stats = await stat(path.join(base, name)).catch(() => undefined);
      if (stats === undefined) continue;
      out.push({ name, pathIndex, modified: stats.mtimeMs / 1000, created: stats.ctimeMs / 1000, size: stats.size });
      break;
    }
  }
  return jsonAnswer(out);
}

function frontEnd(): Answer {
  return {
    status: 200,
    headers: { 'Content-Type': 'text/html', 'Cache-Control': 'no-cache', Pragma: 'no-cache', Expires: '0' },
    body: FRONT_END_PAGE,
  };
}

function plainWebSocketRequest(): Answer {
  return textAnswer('No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".', 400);
}

/** The routes. */
export function systemRoutes(): Route[] {
  return [
    { method: 'GET', path: '/', handler: frontEnd },
    { method: 'GET', path: '/ws', handler: plainWebSocketRequest },
    { method: 'GET', path: '/system_stats', handler: systemStats },
    { method: 'GET', path: '/features', handler: json((context) => serverFeatures(context.settings)) },
    { method: 'GET', path: '/embeddings', handler: json(embeddings) },
    { method: 'GET', path: '/models', handler: json(() => MODEL_FOLDER_TYPES) },
    { method: 'GET', path: '/models/:folder', handler: modelFolder },
    { method: 'GET', path: '/extensions', handler: json(() => []) },
    { method: 'GET', path: '/experiment/models', handler: json(experimentTypes) },
    { method: 'GET', path: '/experiment/models/:folder', handler: experimentFolder },
    { method: 'GET', path: '/i18n', handler: json(() => ({})) },
    { method: 'GET', path: '/workflow_templates', handler: json(() => ({})) },
  ];
}
