// `/upload/image` and `/upload/mask` (ComfyUI protocol notes §1.8).
// Invariants: 1. bytes are not checked to be an image. 2. Same name and same bytes: the existing name, nothing written. Same
// name, other bytes: ` (1)`, ` (2)` … before the extension. 3. A bad or missing original of a mask still answers 200.
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { NodeError } from '../../node-definition.ts';
import { encodePng, readChunks } from '../../nodes/picture-files/png-chunks.ts';
import { folderOf, isForbiddenName, joinInside, splitAnnotation } from '../../paths.ts';
import { decodePyJson, type PyDict } from '../../python-json.ts';
import type { ServerContext } from '../../server-context.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import type { FormField, UploadedFile } from '../multipart.ts';
import { empty, type Route, type RouteRequest } from '../route.ts';

type SaveFunction = (file: UploadedFile, target: string) => Promise<void>;

function textField(form: ReadonlyMap<string, FormField>, name: string): string | undefined {
  const value = form.get(name);
  if (value === undefined || typeof value === 'string') return value;
  throw new NodeError('TypeError', `field ${name} is a file`);
}

async function exists(file: string): Promise<boolean> {
  return await stat(file).then(
    () => true,
    () => false,
  );
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function splitExtension(name: string): [string, string] {
  const extension = path.extname(name);
  return [name.slice(0, name.length - extension.length), extension];
}

interface Placement {
  readonly filename: string;
  readonly target: string;
  readonly duplicate: boolean;
}

/** Finds the name to write under; a name whose bytes are already there is a duplicate. */
async function place(folder: string, file: UploadedFile, target: string, overwrite: boolean): Promise<Placement> {
  const [stem, extension] = splitExtension(file.filename);
  const wanted = digest(file.bytes);
  let placement: Placement = { filename: file.filename, target, duplicate: false };
  if (overwrite) return placement;
  for (let index = 1; await exists(placement.target); index += 1) {
    if (digest(await readFile(placement.target)) === wanted) return { ...placement, duplicate: true };
    const filename = `${stem} (${index})${extension}`;
    placement = { filename, target: path.join(folder, filename), duplicate: false };
  }
  return placement;
}

async function upload(request: RouteRequest, context: ServerContext, save?: SaveFunction): Promise<Answer> {
  const form = await request.form();
  const type = textField(form, 'type') ?? 'input';
  const base = folderOf(context.settings.folders, type);
  if (base === undefined) throw new NodeError('UnboundLocalError', "cannot access local variable 'type_dir'");
  const image = form.get('image');
  if (image === undefined || image === '') return empty(context, 400);
  if (typeof image === 'string') throw new NodeError('AttributeError', "'str' object has no attribute 'file'");
  const subfolder = textField(form, 'subfolder') ?? '';
  const renamed = context.faults.strike('upload-renamed', { endpoint: request.endpoint });
  const file = renamed === undefined ? image : { ...image, filename: renamed.name };
  const folder = path.resolve(base, path.normalize(subfolder === '' ? '.' : subfolder));
  const target = joinInside(base, path.normalize(subfolder === '' ? '.' : subfolder), file.filename);
  if (target === undefined || target === base) return empty(context, 400);
  await mkdir(folder, { recursive: true });
  const overwrite = ['true', '1'].includes(textField(form, 'overwrite') ?? '');
  const placement = await place(folder, file, target, overwrite);
  if (!placement.duplicate) {
    const cut = context.faults.strike('upload-truncated', { endpoint: request.endpoint });
    if (save === undefined) await writeFile(placement.target, file.bytes.subarray(0, cut?.keepBytes));
    else await save(file, placement.target);
  }
  return jsonAnswer({ name: placement.filename, subfolder, type });
}

function readReference(text: string | undefined): PyDict {
  if (text === undefined)
    throw new NodeError('TypeError', 'the JSON object must be str, bytes or bytearray, not NoneType');
  const value = decodePyJson(text);
  if (!(value instanceof Map)) throw new NodeError('TypeError', 'original_ref is not an object');
  return value;
}

function originalPath(reference: PyDict, context: ServerContext): string | undefined {
  const name = reference.get('filename');
  if (typeof name !== 'string') throw new NodeError('KeyError', "'filename'");
  const annotated = splitAnnotation(name, context.settings.folders);
  if (annotated.name === '' || isForbiddenName(annotated.name)) return undefined;
  const type = reference.get('type') ?? 'output';
  const base = annotated.folder ?? folderOf(context.settings.folders, String(type));
  if (base === undefined) return undefined;
  const folder = joinInside(base, String(reference.get('subfolder') ?? ''));
  return folder === undefined ? undefined : path.join(folder, annotated.name);
}

async function saveMasked(file: UploadedFile, original: string, target: string): Promise<void> {
  const source = await readFile(original);
  const { data, info } = await sharp(source)
    .ensureAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const mask = await sharp(file.bytes).ensureAlpha().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  if (mask.info.width !== info.width || mask.info.height !== info.height) {
    throw new NodeError('ValueError', 'images do not match');
  }
  for (let at = 3; at < data.length; at += 4) data[at] = mask.data[at] ?? 255;
  const raw = { width: info.width, height: info.height, channels: 4 as const };
  const png = await sharp(data, { raw }).png({ compressionLevel: 4 }).toBuffer();
  const texts = [...readChunks(source)].filter((chunk) => /^(tEXt|iTXt|zTXt)$/.test(chunk.type));
  const [header, ...others] = [...readChunks(png)].filter((chunk) => chunk.type !== 'IEND');
  if (header !== undefined) await writeFile(target, encodePng([header, ...texts, ...others]));
}

async function uploadMask(request: RouteRequest, context: ServerContext): Promise<Answer> {
  const form = await request.form();
  const again: RouteRequest = { ...request, form: () => Promise.resolve(form) };
  return await upload(again, context, async (file, target) => {
    const original = originalPath(readReference(textField(form, 'original_ref')), context);
    if (original !== undefined && (await exists(original))) await saveMasked(file, original, target);
  });
}

/** The routes. */
export function uploadRoutes(): Route[] {
  return [
    { method: 'POST', path: '/upload/image', handler: (request, context) => upload(request, context) },
    { method: 'POST', path: '/upload/mask', handler: uploadMask },
  ];
}
