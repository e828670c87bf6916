/**
 * The variable MODELS: `repo:file:folder[:name]`, separated by commas. `repo` may be `owner/name@revision`, or an http(s) address together
 * with its path. Colons may stand in file names, so an item is read from its end: a last part that ends like a model file is the name, the part
 * before it is the folder, and all between the repository and the folder is the file. `\,` and `\\` stand for a comma and a backslash. Pure.
 */
import { ComfyRunpodError, type ErrorIssue } from '../error.ts';
import { type ModelEntry, type ModelSpec, modelEntrySchema, specOf } from './model-entry.ts';
import { hasModelEnding } from './model-folders.ts';

const shape = 'expected repo:file:folder or repo:file:folder:name';
const nameShape = 'a name behind the folder must end like a model file, such as .safetensors';

/** Reads the text of MODELS. Throws `CONFIG_INVALID` that names every wrong item by its number. */
export function parseModels(text: string): ModelSpec[] {
  const issues: ErrorIssue[] = [];
  const specs: ModelSpec[] = [];
  splitItems(text).forEach((item, index) => {
    const read = readItem(item);
    if (typeof read === 'string') issues.push({ field: 'MODELS', message: `item ${index + 1}: ${read}` });
    else specs.push(read);
  });
  if (issues.length > 0) {
    throw new ComfyRunpodError('CONFIG_INVALID', `Wrong environment: ${listed(issues)}.`, {
      issues,
      nextStep: 'Correct MODELS; docs/models.md shows its form.',
    });
  }
  return specs;
}

/** The inverse: text that {@link parseModels} reads as these. Throws `TypeError` for what the short form can't say. */
export function formatModels(specs: readonly ModelSpec[]): string {
  return specs.map(formatItem).join(',');
}

function formatItem({ source, folder, name }: ModelSpec): string {
  if (source.kind === 'none' || `${folder}${name}`.includes(':') || !hasModelEnding(name)) {
    throw new TypeError('the model has no short form');
  }
  const head =
    source.kind === 'url'
      ? source.url
      : `${source.repo}${source.revision === 'main' ? '' : `@${source.revision}`}:${source.file}`;
  return `${head}:${folder}:${name}`.replace(/[\\,]/g, (sign) => `\\${sign}`);
}

function listed(issues: readonly ErrorIssue[]): string {
  return issues.map(({ field, message }) => `${field}: ${message}`).join('; ');
}

/** Items without the white space around them; empty ones are left out, so that a trailing comma or a line break does no harm. */
function splitItems(text: string): string[] {
  const items: string[] = [];
  let item = '';
  for (let at = 0; at < text.length; at++) {
    const sign = text[at] ?? '';
    const next = text[at + 1];
    if (sign === '\\' && (next === ',' || next === '\\')) {
      item += next;
      at++;
    } else if (sign === ',') {
      items.push(item);
      item = '';
    } else item += sign;
  }
  return [...items, item].map((text) => text.trim()).filter((text) => text !== '');
}

/** One item, or what is wrong with it. The item itself is not repeated: an address may be signed. */
function readItem(item: string): ModelSpec | string {
  const entry = /^https?:\/\//i.test(item) ? readAddress(item) : readRepository(item);
  if (entry === undefined) return shape;
  // Read from its end, `a.safetensors:loras:mine` is a file called `a.safetensors:loras` for the folder `mine`: nobody means that.
  const file = entry.file ?? entry.url;
  if (entry.name === undefined && file !== undefined && /\.\w+:[^./]*$/.test(file) && !hasModelEnding(file))
    return nameShape;
  const parsed = modelEntrySchema.safeParse(entry);
  if (parsed.success) return specOf(parsed.data);
  const issue = parsed.error.issues[0];
  return issue === undefined ? shape : `${issue.path.join('.') || 'entry'}: ${issue.message}`;
}

type Tail = { readonly file: string; readonly folder: string; readonly name?: string };

/** Splits `file:folder[:name]` from the end. */
function readTail(parts: readonly string[]): Tail | undefined {
  const last = parts.at(-1);
  if (last === undefined) return undefined;
  const named = parts.length >= 3 && hasModelEnding(last);
  const folder = parts.at(named ? -2 : -1);
  const file = parts.slice(0, named ? -2 : -1).join(':');
  if (folder === undefined || file === '') return undefined;
  return { file, folder: folder.replace(/^models\//, '').replace(/\/+$/, ''), ...(named && { name: last }) };
}

function readRepository(item: string): Partial<ModelEntry> | undefined {
  const [head = '', ...rest] = item.split(':');
  const tail = readTail(rest);
  if (tail === undefined) return undefined;
  const at = head.indexOf('@');
  return at < 0 ? { repo: head, ...tail } : { repo: head.slice(0, at), revision: head.slice(at + 1), ...tail };
}

function readAddress(item: string): Partial<ModelEntry> | undefined {
  const scheme = item.slice(0, item.indexOf('://') + 3);
  const tail = readTail(item.slice(scheme.length).split(':'));
  if (tail === undefined) return undefined;
  const { file, ...rest } = tail;
  return { url: `${scheme}${file}`, ...rest };
}
