/** Measures a submit body before it travels: RunPod's limit can't be raised and its own answer names no field. */
import { ComfyRunpodError, limits } from '../../shared/index.ts';
import type { SubmitRoute } from '../transport/transport.ts';

/** A body ready to be sent. */
export interface MeasuredBody {
  readonly bytes: Buffer;
}

interface FieldSize {
  readonly path: string;
  readonly bytes: number;
}

/** Fields named in the error. */
const shownFields = 5;

/**
 * Serialises `body`. Throws `BODY_TOO_LARGE` with the largest fields and their sizes when it is over `limitBytes`. Names of files are shown,
 * values never.
 */
export function measureBody(body: object, limitBytes: number, route: SubmitRoute): MeasuredBody {
  const bytes = Buffer.from(JSON.stringify(body));
  if (bytes.byteLength <= limitBytes) return { bytes };
  const largest = largestFields(body);
  const listed = largest.map((field) => `${field.path} ${megabytes(field.bytes)}`).join(', ');
  throw new ComfyRunpodError(
    'BODY_TOO_LARGE',
    `The job is ${megabytes(bytes.byteLength)}; RunPod takes ${megabytes(limitBytes)} on /${route}. Largest: ${listed}.`,
    {
      details: { bytes: bytes.byteLength, limitBytes, route },
      issues: largest.map((field) => ({ field: field.path, message: megabytes(field.bytes) })),
      ...(route === 'run' &&
        bytes.byteLength <= limits.runsyncBodyBytes && {
          nextStep: `Send smaller pictures (scale or re-encode them), or submit with --runsync, which takes ${megabytes(limits.runsyncBodyBytes)}.`,
        }),
    },
  );
}

/** Bytes as people read them; base64 makes a picture a third larger than its file. */
export function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / (1024 * 1024)).toFixed(1)} MB`;
}

function sizeOf(value: unknown): number {
  return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}

/** The largest leaves: files one by one, workflow node by node, other keys whole. Paths start below `input`. */
function largestFields(body: object): FieldSize[] {
  const input = (body as { input?: unknown }).input;
  if (typeof input !== 'object' || input === null) return [{ path: 'input', bytes: sizeOf(input) }];
  const fields = Object.entries(input).flatMap(([key, value]): FieldSize[] => {
    if (key === 'files' && Array.isArray(value)) {
      return value.map((file: unknown, index) => ({ path: `files.${index}${nameOf(file)}`, bytes: sizeOf(file) }));
    }
    if (key === 'workflow' && typeof value === 'object' && value !== null) {
      return Object.entries(value).map(([node, entry]) => ({
        path: `workflow.${node.slice(0, 60)}`,
        bytes: sizeOf(entry),
      }));
    }
    return [{ path: key.slice(0, 60), bytes: sizeOf(value) }];
  });
  return fields.toSorted((a, b) => b.bytes - a.bytes).slice(0, shownFields);
}

function nameOf(file: unknown): string {
  if (typeof file !== 'object' || file === null || !('name' in file) || typeof file.name !== 'string') return '';
  return ` (${file.name.slice(0, 60)})`;
}
