/** Hashes of what a job renders: the same job has the same hashes, whatever the order of keys. */
import { createHash } from 'node:crypto';
import type { JobInputWire } from '../../shared/index.ts';

/** sha256 of a value as JSON with sorted keys. */
export function contentHash(value: unknown): string {
  return createHash('sha256').update(sortedJson(value)).digest('hex');
}

function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${sortedJson(member)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** Options of a job that do not change what comes out of it. */
const withoutEffect = new Set([
  'workflow',
  'files',
  'contract',
  'key',
  'hold',
  'previews',
  'refresh',
  'limits',
  'debug',
]);

/** The hash of the workflow, and that of everything else that the result depends on. */
export function jobHashes(input: JobInputWire): { readonly workflowHash: string; readonly inputHash: string } {
  const files = (input.files ?? []).map((file) => [file.name, fileIdentity(file)]);
  const options = Object.entries(input).filter(([key]) => !withoutEffect.has(key));
  return {
    workflowHash: contentHash(input.workflow),
    inputHash: contentHash([files.toSorted(), Object.fromEntries(options)]),
  };
}

/** An address is hashed, so that its signature is in no file. */
function fileIdentity(file: NonNullable<JobInputWire['files']>[number]): string {
  if ('sha256' in file && file.sha256 !== undefined) return file.sha256;
  if ('data' in file) return createHash('sha256').update(Buffer.from(file.data, 'base64')).digest('hex');
  return contentHash('url' in file ? file.url : file.name);
}
