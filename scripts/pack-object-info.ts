/**
 * Packs the answer of a ComfyUI's `/object_info` into the module that the package carries: `node scripts/pack-object-info.ts FILE VERSION`.
 * What the conversion of workflows does not read (descriptions, tooltips) and the files of that one machine are left out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { isObject, type JsonObject } from '../client/workflow/convert/json-values.ts';

const droppedOfClass = new Set(['description', 'output_tooltips', 'category', 'python_module']);
const uploads = ['image_upload', 'video_upload', 'audio_upload', 'file_upload'];

function without(object: JsonObject, keys: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.has(key)));
}

/** `[type, options]` without the tooltip and without the files of that machine. */
function leanInput(declaration: unknown): unknown {
  if (!Array.isArray(declaration)) return declaration;
  const [type, options, ...rest] = declaration as unknown[];
  if (!isObject(options)) return declaration;
  const picksFile = Array.isArray(type) && uploads.some((name) => options[name] === true);
  return [picksFile ? [] : type, without(options, new Set(['tooltip'])), ...rest];
}

function leanClass(declaration: unknown): unknown {
  if (!isObject(declaration) || !isObject(declaration['input'])) return declaration;
  const input = Object.entries(declaration['input']).map(([section, inputs]) => [
    section,
    isObject(inputs)
      ? Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, leanInput(spec)]))
      : inputs,
  ]);
  return { ...without(declaration, droppedOfClass), input: Object.fromEntries(input) as JsonObject };
}

const [file, version] = process.argv.slice(2);
if (file === undefined || version === undefined || !/^[\d.]+$/.test(version))
  throw new Error('Usage: pack-object-info FILE VERSION');
const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
if (!isObject(parsed)) throw new Error('The file is no answer of /object_info.');
const classes = Object.fromEntries(Object.entries(parsed).map(([name, declaration]) => [name, leanClass(declaration)]));
const packed = gzipSync(JSON.stringify(classes), { level: 9 }).toString('base64');
writeFileSync(
  new URL('../client/data/object-info-data.ts', import.meta.url),
  `/**
 * What ComfyUI ${version} declares about its node classes: \`/object_info\` without texts for people, gzip, base64.
 * Made by scripts/pack-object-info.ts. Text in a module, because the package is built by tsc alone, which copies no other files.
 */

/** The version of ComfyUI that the data is from. */
export const packedVersion = '${version}';

/** Compressed JSON. */
export const packedObjectInfo =
  '${packed}';
`,
);
