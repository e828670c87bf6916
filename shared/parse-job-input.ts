/** Parses a job input and turns schema issues into one coded error that never repeats a value. */
import { closest } from 'fastest-levenshtein';
import type * as z from 'zod';
import { ComfyRunpodError, type ErrorIssue } from './error.ts';
import { type ErrorCode, isErrorCode } from './error-codes.ts';
import { type JobInput, jobInputSchema } from './job-input.ts';
import { detectWorkflowFormat } from './workflow.ts';

/** Keys that other workers' callers use, and what they are called here. */
const foreignKeys: Readonly<Record<string, string>> = {
  images: 'files',
  image: 'files',
  prompt: 'workflow',
  graph: 'workflow',
  workflow_json: 'workflow',
  timeout: 'limits.executionMs',
  params: 'injections',
  overrides: 'injections',
  comfy_org_api_key: 'comfyOrgApiKey',
  api_key_comfy_org: 'comfyOrgApiKey',
};

/** Keys that an object of the contract may have, by the path of the object with array indexes as `*`. */
function knownKeys(path: string): readonly string[] {
  const byPath: Readonly<Record<string, readonly string[]>> = {
    '': Object.keys(jobInputSchema.shape),
    'files.*': ['name', 'data', 'url', 'sha256', 'held'],
    hold: ['seconds'],
    'injections.*': ['node', 'input', 'file', 'value'],
    destination: ['kind', 'urls', 'template'],
    output: ['format', 'quality', 'lossless'],
    limits: ['executionMs', 'stallMs'],
    outputs: ['temp', 'nodes'],
  };
  return byPath[path] ?? [];
}

/** Nearest known key, when it is near enough to be what was meant. */
function suggestKey(key: string, path: string): string | undefined {
  const foreign = path === '' ? foreignKeys[key] : undefined;
  if (foreign !== undefined) return foreign;
  const known = knownKeys(path);
  return known.length === 0 ? undefined : closest(key, [...known]);
}

/** Keys of which an object of the contract has one. */
const oneOf: Readonly<Record<string, readonly string[]>> = {
  'files.*': ['data', 'url', 'held'],
  'injections.*': ['file', 'value'],
};

/** The keys to choose from, when what is called unknown is only too much: a union names the keys of its other members so. */
function alternatives(keys: readonly string[], path: string): readonly string[] | undefined {
  const known = oneOf[path] ?? [];
  return keys.every((key) => known.includes(key)) ? known : undefined;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

function normalisedPath(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'number' ? '*' : String(part))).join('.');
}

/** Flattens the issues of unions: the branch with the fewest issues is what the caller most likely meant. */
function flatten(issues: readonly z.core.$ZodIssue[], base: readonly PropertyKey[] = []): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [{ ...issue, path }];
    const best = issue.errors.toSorted((a, b) => a.length - b.length)[0] ?? [];
    return flatten(best, path);
  });
}

function codeOf(issue: z.core.$ZodIssue): ErrorCode {
  const params = issue.code === 'custom' ? (issue.params as { errorCode?: unknown } | undefined) : undefined;
  return isErrorCode(params?.errorCode) ? params.errorCode : 'INPUT_INVALID';
}

/** Turns schema issues into one error: unknown keys first, then specific codes, then `INPUT_INVALID` with every path. */
export function inputErrorFromIssues(raw: readonly z.core.$ZodIssue[]): ComfyRunpodError {
  const all = flatten(raw);
  const unknown = all.find((issue) => issue.code === 'unrecognized_keys');
  if (unknown?.code === 'unrecognized_keys') {
    const at = pathText(unknown.path);
    const beside = alternatives(unknown.keys, normalisedPath(unknown.path));
    if (beside !== undefined) {
      const message = `give only one of ${beside.join(', ')}`;
      return new ComfyRunpodError('INPUT_INVALID', `${at}: ${message}.`, { issues: [{ field: at, message }] });
    }
    const notes = unknown.keys.map((key) => {
      const shown = JSON.stringify(key.slice(0, 60));
      const suggestion = suggestKey(key, normalisedPath(unknown.path));
      return suggestion === undefined ? shown : `${shown} (did you mean ${JSON.stringify(suggestion)}?)`;
    });
    const where = at === '' ? 'the job input' : at;
    return new ComfyRunpodError(
      'INPUT_UNKNOWN_KEY',
      `Unknown ${notes.length > 1 ? 'keys' : 'key'} in ${where}: ${notes.join(', ')}.`,
      {
        issues: unknown.keys.map((key) => ({ field: at === '' ? key : `${at}.${key}`, message: 'unknown key' })),
      },
    );
  }
  const issues: ErrorIssue[] = all.map((issue) => ({ field: pathText(issue.path), message: issue.message }));
  const first = all[0];
  const code = all.map(codeOf).find((candidate) => candidate !== 'INPUT_INVALID') ?? 'INPUT_INVALID';
  const inWorkflow = code === 'INPUT_INVALID' && first?.path[0] === 'workflow';
  const listed = issues.slice(0, 5).map((issue) => `${issue.field || 'input'}: ${issue.message}`);
  const more = issues.length > 5 ? ` (and ${issues.length - 5} more)` : '';
  return new ComfyRunpodError(inWorkflow ? 'WORKFLOW_INVALID' : code, `${listed.join('; ')}${more}.`, { issues });
}

/**
 * Parses what RunPod delivered as `input`. A missing or `null` input counts as `{}` (RunPod protocol notes §1.3: the platform drops
 * empty inputs). Throws a coded error: `WORKFLOW_EDITOR_FORMAT`, `INPUT_UNKNOWN_KEY`, `FILE_*`, `WORKFLOW_INVALID` or `INPUT_INVALID`.
 */
export function parseJobInput(input: unknown): JobInput {
  const candidate = input ?? {};
  if (
    typeof candidate === 'object' &&
    'workflow' in candidate &&
    detectWorkflowFormat(candidate.workflow) === 'editor'
  ) {
    throw new ComfyRunpodError(
      'WORKFLOW_EDITOR_FORMAT',
      "The workflow is in the editor's save format; the API format is needed.",
    );
  }
  const parsed = jobInputSchema.safeParse(candidate);
  if (!parsed.success) throw inputErrorFromIssues(parsed.error.issues);
  assertUniqueNames(parsed.data);
  return parsed.data;
}

function assertUniqueNames(job: JobInput): void {
  const seen = new Set<string>();
  for (const file of job.files ?? []) {
    if (seen.has(file.name))
      throw new ComfyRunpodError('INPUT_INVALID', 'Two files of the job have the same name; give each its own.');
    seen.add(file.name);
  }
  for (const injection of job.injections ?? []) {
    if (!Object.hasOwn(job.workflow, injection.node)) {
      throw new ComfyRunpodError(
        'INJECTION_TARGET_MISSING',
        `The workflow has no node ${JSON.stringify(injection.node.slice(0, 60))}.`,
      );
    }
    if ('file' in injection && !seen.has(injection.file)) {
      throw new ComfyRunpodError(
        'INPUT_INVALID',
        `An injection into node ${JSON.stringify(injection.node.slice(0, 60))} names a file that the job does not send.`,
      );
    }
  }
}
