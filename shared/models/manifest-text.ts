/**
 * Manifests and lock files as YAML text, both ways. Mistakes are told with their line. Loaded only where a file is read or written: it brings
 * the YAML parser. Pure.
 */
import { isNode, LineCounter, parseDocument, stringify } from 'yaml';
import { ComfyRunpodError, type ErrorIssue } from '../error.ts';
import { type ModelEntry, type ModelSpec, modelManifestSchema, specOf } from './model-entry.ts';

/** Largest manifest that is read, characters. */
const maxChars = 4 * 1024 * 1024;

/** Reads a manifest. `shown` names it in errors. Throws `CONFIG_INVALID` with the line of every mistake. */
export function parseManifest(text: string, shown: string): ModelSpec[] {
  if (text.length > maxChars) throw invalid(shown, [{ message: `longer than ${maxChars} characters` }]);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const lineOf = (offset: number) => `line ${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    throw invalid(
      shown,
      document.errors.map((error) => ({ field: lineOf(error.pos[0]), message: yamlMistake(error.code) })),
    );
  }
  const value = toValue(document, shown);
  const parsed = modelManifestSchema.safeParse(value);
  if (!parsed.success) {
    throw invalid(
      shown,
      parsed.error.issues.map((issue) => {
        const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
        return { field: lineOf(offsetOf(document, path)), message: `${describePath(path)}${messageOf(issue)}` };
      }),
    );
  }
  const specs = parsed.data.models.map(specOf);
  const repeated = firstRepeated(specs);
  if (repeated !== undefined) {
    const line = lineOf(offsetOf(document, ['models', repeated]));
    throw invalid(shown, [{ field: line, message: `models[${repeated}]: another entry has the same folder and name` }]);
  }
  return specs;
}

/** Writes a manifest that {@link parseManifest} reads as these. `comment` goes on top. */
export function writeManifest(specs: readonly ModelSpec[], comment = ''): string {
  const body = stringify({ version: 1, models: specs.map(entryOf) }, { lineWidth: 0 });
  const lines = comment === '' ? [] : comment.split('\n').map((line) => `# ${line}`.trimEnd());
  return [...lines, body].join('\n');
}

/** Aliases may not blow a small text up. */
function toValue(document: ReturnType<typeof parseDocument>, shown: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw invalid(shown, [{ message: 'its aliases lead nowhere, or to too much' }], error);
  }
}

function entryOf(spec: ModelSpec): ModelEntry {
  const { folder, name, source, sha256, size, licence, required } = spec;
  return {
    folder,
    name,
    ...(source.kind === 'url' && { url: source.url }),
    ...(source.kind === 'huggingface' && { repo: source.repo, revision: source.revision, file: source.file }),
    ...(sha256 !== undefined && { sha256 }),
    ...(size !== undefined && { size }),
    ...(licence !== undefined && { licence }),
    ...(required !== undefined && { required }),
  };
}

function firstRepeated(specs: readonly ModelSpec[]): number | undefined {
  const seen = new Set<string>();
  for (const [index, { folder, name }] of specs.entries()) {
    const key = `${folder}/${name}`;
    if (seen.has(key)) return index;
    seen.add(key);
  }
  return undefined;
}

/** Where the value at `path` stands in the text, or the nearest thing around it that does. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length--) {
    const node: unknown = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

function describePath(path: readonly (string | number)[]): string {
  if (path.length === 0) return '';
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
  return `${text.replace(/^\./, '')}: `;
}

function messageOf(issue: { readonly code?: string | undefined; readonly message: string }): string {
  if (issue.code === 'unrecognized_keys' && 'keys' in issue) {
    return `unknown key ${(issue.keys as string[]).map((key) => JSON.stringify(key.slice(0, 60))).join(', ')}`;
  }
  return issue.message;
}

function yamlMistake(code: string): string {
  return code === 'DUPLICATE_KEY' ? 'a key stands twice' : `not YAML (${code.toLowerCase().replaceAll('_', ' ')})`;
}

function invalid(shown: string, issues: readonly ErrorIssue[], cause?: unknown): ComfyRunpodError {
  const listed = issues
    .slice(0, 10)
    .map(({ field, message }) => (field === undefined ? message : `${field}: ${message}`));
  const more = issues.length > 10 ? ` (and ${issues.length - 10} more)` : '';
  return new ComfyRunpodError('CONFIG_INVALID', `${shown} has mistakes: ${listed.join('; ')}${more}.`, {
    cause,
    issues,
    nextStep: 'Correct the named lines; docs/models.md describes the format.',
  });
}
