/**
 * Packs the answer of a ComfyUI's `/object_info` into the module that the package carries: `node scripts/pack-object-info.ts FILE VERSION`.
 * What the conversion of workflows does not read (descriptions, tooltips) and the files of that one machine are left out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { isObject } from '../client/workflow/convert/json-values.ts';

const dropped = new Set(['description', 'output_tooltips', 'category', 'python_module', 'hidden', 'tooltip']);
const uploads = ['image_upload', 'video_upload', 'audio_upload', 'file_upload'];

function lean(value: unknown): unknown {
  if (Array.isArray(value)) {
    const [type, options] = value as unknown[];
    const picksFile = Array.isArray(type) && isObject(options) && uploads.some((name) => options[name] === true);
    return (picksFile ? [[], options] : (value as unknown[])).map(lean);
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (dropped.has(key) ? [] : [[key, lean(inner)]])),
  );
}

const [file, version] = process.argv.slice(2);
if (file === undefined || version === undefined || !/^[\d.]+$/.test(version))
  throw new Error('Usage: pack-object-info FILE VERSION');
const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
if (!isObject(parsed)) throw new Error('The file is no answer of /object_info.');
// Class names are keys, too: only what is inside a class is thinned out.
const classes = Object.fromEntries(Object.entries(parsed).map(([name, declaration]) => [name, lean(declaration)]));
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
