// `/view` and `/view_metadata` (ComfyUI protocol notes §1.9).
// Invariants: 1. only the base name of `filename` is used; folders go into `subfolder`. 2. Conversions of something that is
// not an image throw, hence 500. 3. Late 2026 sends nosniff and serves active content as a download.

import type { Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { NodeError } from '../../node-definition.ts';
import { folderOf, isForbiddenName, joinInside, splitAnnotation } from '../../paths.ts';
import { decodePyJson } from '../../python-json.ts';
import type { ServerContext } from '../../server-context.ts';
import { type Answer, bytesAnswer, jsonAnswer } from '../answers.ts';
import { guessContentType, isActiveContent } from '../content-type.ts';
import { sendFile } from '../file-answer.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

const HEADER_LIMIT_BYTES = 1024 * 1024;

interface Located {
  readonly file: string;
  readonly name: string;
  readonly stats: Stats;
}

async function fileStats(file: string): Promise<Stats | undefined> {
  try {
    const stats = await stat(file);
    return stats.isFile() ? stats : undefined;
  } catch {
    return undefined;
  }
}

/** The file a query names, or the status that refuses it. */
async function locate(query: URLSearchParams, context: ServerContext): Promise<Located | number> {
  const { folders } = context.settings;
  const given = query.get('filename');
  if (given === null) return 404;
  const annotated = splitAnnotation(given, folders);
  if (annotated.name === '' || isForbiddenName(annotated.name)) return 400;
  const base = annotated.folder ?? folderOf(folders, query.get('type') ?? 'output');
  if (base === undefined) return 400;
  const folder = joinInside(base, query.get('subfolder') ?? '');
  if (folder === undefined) return 403;
  const name = path.basename(annotated.name);
  const file = path.join(folder, name);
  const stats = await fileStats(file);
  return stats === undefined ? 404 : { file, name, stats };
}

function disposition(name: string): Record<string, string> {
  // Header values are latin-1; aiohttp writes UTF-8 bytes.
  return { 'Content-Disposition': Buffer.from(`filename="${name}"`, 'utf8').toString('latin1') };
}

async function preview(located: Located, query: URLSearchParams): Promise<Answer> {
  const parts = (query.get('preview') ?? '').split(';');
  const channel = query.get('channel') ?? '';
  const wanted = parts[0] ?? '';
  const format = (wanted === 'webp' || wanted === 'jpeg') && !channel.includes('a') ? wanted : 'webp';
  const last = parts.at(-1) ?? '';
  const quality = /^\d+$/.test(last) ? Math.min(100, Math.max(1, Number(last))) : 90;
  let image = sharp(located.file);
  if (format === 'jpeg' || channel === 'rgb') image = image.removeAlpha();
  const bytes = await (format === 'jpeg' ? image.jpeg({ quality }) : image.webp({ quality })).toBuffer();
  return bytesAnswer(bytes, `image/${format}`, disposition(located.name));
}

async function rgbOnly(located: Located): Promise<Answer> {
  const bytes = await sharp(located.file).removeAlpha().toColourspace('srgb').png().toBuffer();
  return bytesAnswer(bytes, 'image/png', disposition(located.name));
}

/** A black picture whose alpha is that of the file; opaque when it has none. */
async function alphaOnly(located: Located): Promise<Answer> {
  const metadata = await sharp(located.file).metadata();
  const alpha = await sharp(located.file).ensureAlpha().extractChannel('alpha').raw().toBuffer();
  const { width, height } = metadata;
  const data = Buffer.alloc(width * height * 4);
  for (let at = 0; at < width * height; at += 1) data[at * 4 + 3] = alpha[at] ?? 255;
  const bytes = await sharp(data, { raw: { width, height, channels: 4 } })
    .png()
    .toBuffer();
  return bytesAnswer(bytes, 'image/png', disposition(located.name));
}

async function convert(work: Promise<Answer>, file: string): Promise<Answer> {
  try {
    return await work;
  } catch (error) {
    throw new NodeError('PIL.UnidentifiedImageError', `cannot identify image file '${file}'`, { cause: error });
  }
}

async function view(request: RouteRequest, context: ServerContext): Promise<Answer | 'sent'> {
  const fault = context.faults.strike('bad-view', { endpoint: request.endpoint });
  if (fault?.status !== undefined) return empty(context, fault.status);
  const located = await locate(request.query, context);
  if (typeof located === 'number') return empty(context, located);
  if (request.query.has('preview')) return await convert(preview(located, request.query), located.file);
  const channel = request.query.get('channel');
  if (channel === 'rgb') return await convert(rgbOnly(located), located.file);
  if (channel === 'a') return await convert(alphaOnly(located), located.file);
  const modern = context.settings.profile === 'late-2026';
  const guessed = guessContentType(located.name);
  const active = isActiveContent(guessed, modern);
  const type = fault?.contentType ?? (active ? 'application/octet-stream' : guessed);
  const shown = disposition(located.name)['Content-Disposition'] ?? '';
  const headers = {
    'Content-Disposition': modern && active ? `attachment; ${shown}` : shown,
    'Content-Type': type,
    ...(modern ? { 'X-Content-Type-Options': 'nosniff' } : {}),
  };
  const damage = { slowMs: fault?.slowMs, cutAfterBytes: fault?.cutAfterBytes };
  const file = { path: located.file, stats: located.stats, headers, damage };
  await sendFile(request.raw, request.response, file, context.settings.dialect);
  return 'sent';
}

/** The JSON header of a safetensors file, up to 1 MiB. */
async function safetensorsMetadata(file: string): Promise<unknown> {
  const handle = await open(file);
  try {
    const lengthBytes = Buffer.alloc(8);
    await handle.read(lengthBytes, 0, 8, 0);
    const length = lengthBytes.readBigUInt64LE();
    if (length > BigInt(HEADER_LIMIT_BYTES)) return undefined;
    const header = Buffer.alloc(Number(length));
    await handle.read(header, 0, header.length, 8);
    const parsed = decodePyJson(header.toString('utf8'));
    return parsed instanceof Map ? parsed.get('__metadata__') : undefined;
  } finally {
    await handle.close();
  }
}

async function viewMetadata(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const name = request.query.get('filename') ?? '';
  const folder = path.join(context.settings.folders.models, request.params['folder'] ?? '');
  const file = name.endsWith('.safetensors') ? joinInside(folder, name) : undefined;
  if (file === undefined || (await fileStats(file)) === undefined) return empty(context, 404);
  const metadata = await safetensorsMetadata(file);
  return metadata === undefined ? empty(context, 404) : jsonAnswer(metadata);
}

/** The routes. */
export function viewRoutes(): Route[] {
  return [
    { method: 'GET', path: '/view', handler: view },
    { method: 'GET', path: '/view_metadata/:folder', handler: viewMetadata },
  ];
}
