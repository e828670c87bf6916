/**
 * The items of a batch: JSON lines, CSV, or nothing but a grid. An item says what differs from the flags of the command, by the same names:
 * `prompt`, `negative`, `seed`, `image`, `mask`, `video`, `audio`, `name`, and `NODE.input` for anything else. Pure.
 */
import { parse } from 'csv-parse/sync';
import { ComfyRunpodError } from '../../shared/index.ts';

/** Names that an item may use besides `NODE.input`. */
const plainKeys = ['prompt', 'negative', 'seed', 'image', 'mask', 'video', 'audio', 'name'] as const;
type PlainKey = (typeof plainKeys)[number];

/** Keys that may have several values. */
const listKeys: ReadonlySet<string> = new Set(['image', 'mask', 'video', 'audio']);

/** One item: texts by key, in the order of the file. */
export interface BatchItem {
  /** Unique in the batch: its `name`, or its number with leading zeros. */
  readonly name: string;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** Items that one file may have. */
export const itemLimit = 100_000;

/** Reads JSON lines or CSV, told apart by the first character. Throws `USAGE` with the line. */
export function readItems(text: string): ReadonlyMap<string, readonly string[]>[] {
  const body = text.replace(/^\uFEFF/, '');
  const rows = body.trimStart().startsWith('{') ? readJsonLines(body) : readCsv(body);
  if (rows.length === 0) throw new ComfyRunpodError('USAGE', 'The file of items has none.');
  if (rows.length > itemLimit) throw new ComfyRunpodError('USAGE', `The file of items has more than ${itemLimit}.`);
  return rows;
}

function wrong(line: number, why: string, cause?: unknown): ComfyRunpodError {
  return new ComfyRunpodError('USAGE', `Line ${line} of the items ${why}.`, {
    ...(cause !== undefined && { cause }),
    nextStep: `Items have the names of flags (${plainKeys.join(', ')}) or NODE.input.`,
  });
}

function readJsonLines(text: string): ReadonlyMap<string, readonly string[]>[] {
  const rows: ReadonlyMap<string, readonly string[]>[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw wrong(index + 1, 'is not JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(index + 1, 'is not an object');
    rows.push(toValues(Object.entries(value), index + 1));
  }
  return rows;
}

function readCsv(text: string): ReadonlyMap<string, readonly string[]>[] {
  let records: string[][];
  try {
    records = parse(text, { bom: true, skip_empty_lines: true, relax_column_count: false, delimiter: delimiter(text) });
  } catch (error) {
    const line = typeof error === 'object' && error !== null && 'lines' in error ? Number(error.lines) : 1;
    throw wrong(line, 'does not have the columns of the first line', error);
  }
  const [header = [], ...rows] = records;
  // A column left empty means: as the flags say.
  return rows.map((row, index) =>
    toValues(
      header
        .map((key, column): [string, string] => [key.trim(), row[column] ?? ''])
        .filter(([, value]) => value !== ''),
      index + 2,
    ),
  );
}

/** Spreadsheets of many countries write semicolons. */
function delimiter(text: string): string {
  const first = text.split(/\r?\n/, 1)[0] ?? '';
  return [';', '\t'].find((mark) => first.includes(mark) && !first.includes(',')) ?? ',';
}

function toValues(entries: readonly (readonly [string, unknown])[], line: number): Map<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (const [key, value] of entries) {
    if (!isKey(key)) throw wrong(line, `has ${JSON.stringify(key.slice(0, 60))}, which is not the name of a flag`);
    const list = Array.isArray(value) && listKeys.has(key) ? value : [value];
    if (!list.every((one) => ['string', 'number', 'boolean'].includes(typeof one))) {
      throw wrong(line, `has a value for ${key} that is neither text nor a number`);
    }
    values.set(key, list.map(String));
  }
  return values;
}

/** True for a name that an item or a grid may use. */
export function isKey(key: string): boolean {
  return plainKeys.includes(key as PlainKey) || /^.+\..+$/.test(key);
}

/** Every item of the file with every combination of the grid; names are unique. Throws `USAGE` for a name that is there twice. */
export function combineItems(
  rows: readonly ReadonlyMap<string, readonly string[]>[],
  combinations: readonly ReadonlyMap<string, string>[],
): BatchItem[] {
  const total = rows.length * combinations.length;
  if (total > itemLimit)
    throw new ComfyRunpodError('USAGE', `The batch has ${total} items; at most ${itemLimit} are run.`);
  const digits = Math.max(4, String(total).length);
  const seen = new Set<string>();
  return rows.flatMap((row, at) =>
    combinations.map((combination, within) => {
      const number = String(at * combinations.length + within + 1).padStart(digits, '0');
      const given = row.get('name')?.[0];
      const name = given === undefined ? number : combinations.length === 1 ? given : `${given}-${number}`;
      if (seen.has(name))
        throw new ComfyRunpodError('USAGE', `Two items have the name ${JSON.stringify(name.slice(0, 60))}.`);
      seen.add(name);
      const values = new Map([...row].filter(([key]) => key !== 'name'));
      for (const [key, value] of combination) values.set(key, [value]);
      return { name, values };
    }),
  );
}
