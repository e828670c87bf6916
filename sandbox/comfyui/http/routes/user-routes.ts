// User data: `/users`, `/settings`, `/userdata` (ComfyUI protocol notes §1.11). Single-user only; files below `<user>/default`.
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { joinInside } from '../../paths.ts';
import { decodePyJson, encodePyJson, type PyDict } from '../../python-json.ts';
import { PyFloat } from '../../python-number.ts';
import type { ServerContext } from '../../server-context.ts';
import { type Answer, jsonAnswer, textAnswer } from '../answers.ts';
import { guessContentType } from '../content-type.ts';
import { sendFile } from '../file-answer.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

function userFolder(context: ServerContext): string {
  return path.join(context.settings.folders.user, 'default');
}

async function statsOf(file: string) {
  return await stat(file).catch(() => undefined);
}

async function fileInfo(file: string, base: string): Promise<unknown> {
  const stats = await stat(file);
  return {
    path: path.relative(base, file),
    size: stats.size,
    modified: Math.trunc(stats.mtimeMs),
    created: Math.trunc(stats.ctimeMs),
  };
}

async function users(_request: RouteRequest, context: ServerContext): Promise<Answer> {
  return jsonAnswer({ storage: 'server', migrated: (await statsOf(userFolder(context))) !== undefined });
}

async function readSettings(context: ServerContext): Promise<PyDict> {
  const file = path.join(userFolder(context), 'comfy.settings.json');
  const text = await readFile(file, 'utf8').catch(() => '{}');
  const value = decodePyJson(text);
  return value instanceof Map ? value : new Map();
}

async function writeSettings(context: ServerContext, settings: PyDict): Promise<void> {
  await mkdir(userFolder(context), { recursive: true });
  await writeFile(path.join(userFolder(context), 'comfy.settings.json'), encodePyJson(settings));
}

async function changeSettings(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const body = await request.json();
  const settings = await readSettings(context);
  const id = request.params['id'];
  if (id !== undefined) settings.set(id, body);
  else if (body instanceof Map) for (const [key, value] of body) settings.set(key, value);
  await writeSettings(context, settings);
  return empty(context, 200);
}

async function listFiles(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const name = request.query.get('dir') ?? '';
  if (name === '') return textAnswer('Directory not provided', 400);
  const folder = joinInside(userFolder(context), name);
  if (folder === undefined) return textAnswer('Invalid directory', 403);
  if ((await statsOf(folder)) === undefined) return textAnswer('Directory not found', 404);
  const flag = (key: string): boolean => request.query.get(key)?.toLowerCase() === 'true';
  const out: unknown[] = [];
  for (const entry of await readdir(folder, { recursive: flag('recurse'), withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const full = path.join(entry.parentPath, entry.name);
    const relative = path.relative(folder, full);
    if (flag('full_info')) out.push(await fileInfo(full, folder));
    else out.push(flag('split') ? [relative, ...relative.split('/')] : relative);
  }
  return jsonAnswer(out);
}

async function listTree(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const base = userFolder(context);
  const wanted = request.query.get('path') ?? '';
  const folder = joinInside(base, decodeURIComponent(wanted));
  if (folder === undefined) return textAnswer('Invalid path requested', 400);
  const stats = await statsOf(folder);
  if (stats === undefined) return folder === base ? jsonAnswer([]) : textAnswer('Requested path not found', 404);
  if (!stats.isDirectory()) return textAnswer('Requested path is not a directory', 400);
  const out: { name: string; path: string; type: string; size?: number; modified?: PyFloat }[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const full = path.join(entry.parentPath, entry.name);
    const found = { name: entry.name, path: path.relative(base, full) };
    if (entry.isDirectory()) out.push({ ...found, type: 'directory' });
    else {
      const info = await stat(full);
      out.push({ ...found, type: 'file', size: info.size, modified: new PyFloat(info.mtimeMs / 1000) });
    }
  }
  const rank = (entry: { type: string; name: string }): string =>
    `${entry.type === 'directory' ? 0 : 1}${entry.name.toLowerCase()}`;
  out.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return jsonAnswer(out);
}

/** The file of a `/userdata/{file}` request, or the status that refuses it. */
async function target(request: RouteRequest, context: ServerContext, param: string, mustExist: boolean) {
  const name = request.params[param] ?? '';
  if (name === '') return 400;
  const file = joinInside(userFolder(context), name);
  if (file === undefined) return 403;
  return mustExist && (await statsOf(file)) === undefined ? 404 : file;
}

async function readUserFile(request: RouteRequest, context: ServerContext): Promise<Answer | 'sent'> {
  const file = await target(request, context, 'file', true);
  if (typeof file === 'number') return empty(context, file);
  const headers = { 'Content-Type': guessContentType(file) };
  const served = { path: file, stats: await stat(file), headers };
  await sendFile(request.raw, request.response, served, context.settings.dialect);
  return 'sent';
}

async function described(request: RouteRequest, context: ServerContext, file: string): Promise<Answer> {
  const base = userFolder(context);
  const full = request.query.get('full_info')?.toLowerCase() === 'true';
  return jsonAnswer(full ? await fileInfo(file, base) : path.relative(base, file));
}

async function refusesOverwrite(request: RouteRequest, file: string): Promise<boolean> {
  return request.query.get('overwrite') === 'false' && (await statsOf(file)) !== undefined;
}

async function writeUserFile(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const file = await target(request, context, 'file', false);
  if (typeof file === 'number') return empty(context, file);
  if (await refusesOverwrite(request, file)) return textAnswer('File already exists', 409);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, await request.bytes());
  return await described(request, context, file);
}

async function deleteUserFile(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const file = await target(request, context, 'file', true);
  if (typeof file === 'number') return empty(context, file);
  await rm(file);
  return empty(context, 204);
}

async function moveUserFile(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const source = await target(request, context, 'file', true);
  if (typeof source === 'number') return empty(context, source);
  const destination = await target(request, context, 'dest', false);
  if (typeof destination === 'number') return empty(context, destination);
  if (await refusesOverwrite(request, destination)) return textAnswer('File already exists', 409);
  await mkdir(path.dirname(destination), { recursive: true });
  await rename(source, destination);
  return await described(request, context, destination);
}

/** The routes. */
export function userRoutes(): Route[] {
  return [
    { method: 'GET', path: '/users', handler: users },
    { method: 'GET', path: '/settings', handler: async (_request, context) => jsonAnswer(await readSettings(context)) },
    {
      method: 'GET',
      path: '/settings/:id',
      handler: async (request, context) =>
        jsonAnswer((await readSettings(context)).get(request.params['id'] ?? '') ?? null),
    },
    { method: 'POST', path: '/settings', handler: changeSettings },
    { method: 'POST', path: '/settings/:id', handler: changeSettings },
    { method: 'GET', path: '/userdata', handler: listFiles },
    { method: 'GET', path: '/v2/userdata', handler: listTree },
    { method: 'GET', path: '/userdata/:file', handler: readUserFile },
    { method: 'POST', path: '/userdata/:file', handler: writeUserFile },
    { method: 'DELETE', path: '/userdata/:file', handler: deleteUserFile },
    { method: 'POST', path: '/userdata/:file/move/:dest', handler: moveUserFile },
  ];
}
