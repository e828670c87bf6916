/**
 * Reads what nodes put out into files and values (ComfyUI protocol notes §3.3). Every entry with a `filename` is a file, whatever its key
 * is called; everything else is a value. Pure; paths are judged where they are used.
 */

/** A file that a node named. */
export interface OutputFile {
  readonly node: string;
  readonly key: string;
  /** Position under the key, from 0. */
  readonly index: number;
  readonly filename: string;
  readonly subfolder: string;
  readonly type: 'input' | 'output' | 'temp';
  /** Where it lies nowhere but in memory. */
  readonly bytes?: Buffer;
}

/** What a node put out under one key that is not a file. */
export interface OutputValue {
  readonly node: string;
  readonly key: string;
  readonly value: unknown;
}

/** Everything that the nodes of a run put out. */
export interface ListedOutputs {
  readonly files: readonly OutputFile[];
  readonly values: readonly OutputValue[];
}

/** Keys that only tell the editor how to show files. */
const displayKeys = new Set(['animated']);

/** Lists files and values in the order of nodes, keys and positions. A file that is named twice is listed once. */
export function listOutputs(
  outputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  order: (a: string, b: string) => number,
): ListedOutputs {
  const files: OutputFile[] = [];
  const values: OutputValue[] = [];
  const seen = new Set<string>();
  for (const node of Object.keys(outputs).toSorted(order)) {
    for (const [key, raw] of Object.entries(outputs[node] ?? {})) {
      const entries = Array.isArray(raw) ? raw : [raw];
      const rest: unknown[] = [];
      for (const [index, entry] of entries.entries()) {
        const file = readFileEntry(entry);
        if (!file) rest.push(entry);
        else if (!seen.has(identity(file))) {
          seen.add(identity(file));
          files.push({ node, key, index, ...file });
        }
      }
      const told = rest.filter((value) => value !== null && value !== undefined);
      if (told.length > 0 && !displayKeys.has(key)) values.push({ node, key, value: told });
    }
  }
  return { files, values };
}

type FileEntry = Pick<OutputFile, 'filename' | 'subfolder' | 'type'>;

function readFileEntry(entry: unknown): FileEntry | undefined {
  if (typeof entry !== 'object' || entry === null || !('filename' in entry)) return undefined;
  const { filename } = entry;
  if (typeof filename !== 'string') return undefined;
  const subfolder = 'subfolder' in entry && typeof entry.subfolder === 'string' ? entry.subfolder : '';
  const type = 'type' in entry ? entry.type : undefined;
  return { filename, subfolder, type: type === 'temp' || type === 'input' ? type : 'output' };
}

function identity(file: FileEntry): string {
  return JSON.stringify([file.type, file.subfolder.replace(/^\/+|\/+$/g, ''), file.filename]);
}
