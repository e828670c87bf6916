/**
 * One model that a worker shall have: what it is called in ComfyUI, where it comes from, and how it is told from another file. Manifests and
 * lock files are lists of these; the variable MODELS is a short form. Strict: a misspelt key is a mistake, not a wish. Pure.
 */
import * as z from 'zod';
import { unsafeNameReason } from '../file-names.ts';
import { hasModelEnding } from './model-folders.ts';

const safePath = (what: string) =>
  z.string().superRefine((value, context) => {
    const reason = unsafeNameReason(value);
    if (reason !== undefined) context.addIssue({ code: 'custom', message: `${what} can't be used: ${reason}` });
  });

/** `owner/name`, or a name of the hub's early days without an owner. */
const repoId = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;

const repoSchema = z.string().refine((value) => repoId.test(value) && !value.includes('..') && !value.includes('--'), {
  error: 'not the id of a Hugging Face repository (owner/name)',
});

const revisionSchema = z
  .string()
  .refine((value) => /^[\w][\w./-]{0,199}$/.test(value) && !value.split('/').includes('..'), {
    error: 'not a branch, tag or commit',
  });

const urlSchema = z.url({ protocol: /^https?$/, error: 'not an http or https address' }).refine(
  (value) => {
    const url = URL.parse(value);
    return url !== null && url.username === '' && url.password === '';
  },
  { error: 'must not hold a user name or password' },
);

/** One model. Exactly one of `url` and `repo` says where it comes from; neither means that it must be there already. */
export const modelEntrySchema = z
  .strictObject({
    /** Folder type of ComfyUI, such as `loras`, with sub-folders if need be: `loras/flux`. */
    folder: safePath('the folder'),
    /** File name in that folder. Default: the last part of `file` or of the address. */
    name: safePath('the name').optional(),
    url: urlSchema.optional(),
    repo: repoSchema.optional(),
    /** Branch, tag or commit. Default: `main`. */
    revision: revisionSchema.optional(),
    /** Path in the repository. */
    file: safePath('the path in the repository').optional(),
    /** SHA-256 of the file, hex. */
    sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'not 64 hexadecimal digits')
      .transform((value) => value.toLowerCase())
      .optional(),
    /** Bytes. */
    size: z.int().min(1).optional(),
    /** A word on the licence, for people. */
    licence: z.string().max(500).optional(),
    /** `false`: the worker starts without it. Default: MODELS_REQUIRED. */
    required: z.boolean().optional(),
  })
  .superRefine((entry, context) => {
    const issue = (message: string, path: string) => context.addIssue({ code: 'custom', message, path: [path] });
    if (entry.url !== undefined && entry.repo !== undefined) issue('either url or repo, not both', 'url');
    if (entry.repo !== undefined && entry.file === undefined) issue('needed with repo', 'file');
    if (entry.repo === undefined && entry.file !== undefined) issue('only with repo', 'file');
    if (entry.repo === undefined && entry.revision !== undefined) issue('only with repo', 'revision');
    if (entry.repo === undefined && entry.url === undefined && entry.name === undefined) {
      issue('needed where neither url nor repo is given', 'name');
    }
    if (entry.folder.split('/')[0] === 'custom_nodes') issue('custom_nodes holds code, not models', 'folder');
    const base = nameFromSource(entry);
    if (entry.name === undefined && entry.url !== undefined && (base === undefined || !hasModelEnding(base))) {
      issue('needed, because the address does not end in the name of a model file', 'name');
    }
  });

/** A manifest or lock file. */
export const modelManifestSchema = z.strictObject({
  version: z.literal(1),
  models: z.array(modelEntrySchema).max(10_000),
});

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: 'huggingface'; readonly repo: string; readonly revision: string; readonly file: string }
  | { readonly kind: 'url'; readonly url: string }
  /** Nothing is known: it is there already or it is missing. */
  | { readonly kind: 'none' };

/** A model with nothing left to default. */
export interface ModelSpec {
  /** As given: `loras/flux`. */
  readonly folder: string;
  /** Name below the folder. */
  readonly name: string;
  readonly source: ModelSource;
  readonly sha256?: string;
  readonly size?: number;
  readonly licence?: string;
  /** Undefined: as MODELS_REQUIRED says. */
  readonly required?: boolean;
}

/** An entry as people write it. */
export type ModelEntry = z.output<typeof modelEntrySchema>;

/** Fills in what an entry leaves open. */
export function specOf(entry: ModelEntry): ModelSpec {
  const { folder, sha256, size, licence, required } = entry;
  return {
    folder,
    name: entry.name ?? nameFromSource(entry) ?? '',
    source: sourceOf(entry),
    ...(sha256 !== undefined && { sha256 }),
    ...(size !== undefined && { size }),
    ...(licence !== undefined && { licence }),
    ...(required !== undefined && { required }),
  };
}

function sourceOf({ repo, file, revision, url }: ModelEntry): ModelSource {
  if (repo !== undefined && file !== undefined)
    return { kind: 'huggingface', repo, revision: revision ?? 'main', file };
  return url === undefined ? { kind: 'none' } : hubSource({ kind: 'url', url });
}

const hubFile = /^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)\/(?:resolve|blob)\/([^/]+)\/([^?#]+)/;

/** An address on the hub as repository and file: only so can RunPod's host cache have it. */
function hubSource(source: ModelSource): ModelSource {
  const match = source.kind === 'url' ? hubFile.exec(source.url) : null;
  if (match === null) return source;
  const [, repo = '', revision = '', file = ''] = match;
  try {
    const decoded = { repo, revision: decodeURIComponent(revision), file: decodeURIComponent(file) };
    const safe = unsafeNameReason(decoded.file) === undefined && revisionSchema.safeParse(decoded.revision).success;
    return safe && repoSchema.safeParse(repo).success ? { kind: 'huggingface', ...decoded } : source;
  } catch {
    return source;
  }
}

function nameFromSource({ file, url }: Pick<ModelEntry, 'file' | 'url'>): string | undefined {
  if (file !== undefined) return file.split('/').at(-1);
  if (url === undefined) return undefined;
  try {
    const base = decodeURIComponent(URL.parse(url)?.pathname.split('/').at(-1) ?? '');
    return unsafeNameReason(base) === undefined ? base : undefined;
  } catch {
    return undefined;
  }
}

/** How a model is called in messages: `loras/flux/a.safetensors`. */
export function modelLabel(spec: Pick<ModelSpec, 'folder' | 'name'>): string {
  return `${spec.folder}/${spec.name}`;
}

/** The words for where a model comes from, without anything secret: an address is told by its host. */
export function sourceLabel(source: ModelSource): string {
  switch (source.kind) {
    case 'huggingface':
      return `${source.repo}@${source.revision}`;
    case 'url':
      return URL.parse(source.url)?.host ?? 'an address';
    case 'none':
      return 'no source';
  }
}
