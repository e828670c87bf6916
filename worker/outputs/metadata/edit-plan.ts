/**
 * How metadata filters work: a planner reads the small parts of a file that it needs and answers with edits. One planner serves a file in
 * memory and a file on disk, and the length of the edited file is known before a byte of it is sent.
 *
 * 1. A planner never throws on any input and ends: every file may be hostile. What it doesn't understand it answers with undefined.
 * 2. Edits are sorted, don't overlap and stay inside the file.
 */

/** A part of a file, bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes `start` to `end` become `bytes`, followed by `zeros` zero bytes. */
export interface MetadataEdit extends ByteRange {
  readonly bytes: Buffer;
  readonly zeros: number;
}

/** Edits of one file. Undefined: its structure isn't understood, so nothing can be said about its metadata. */
export type EditPlan = readonly MetadataEdit[] | undefined;

/** Asks for parts of the file, gets their bytes (fewer at the end of the file), and answers with the plan. */
export type Planning<T = EditPlan> = Generator<ByteRange, T, Buffer>;

/** A metadata filter of one format. `size`: length of the file. */
export type Planner = (size: number) => Planning;

/** Parts read from one file, after which it counts as not understood: bounds the work that a hostile file can cause. */
const maxReads = 1_000_000;
/** Largest part read at once. */
const maxReadBytes = 256 * 1024 * 1024;
/** Parts of a file on disk are read at least this large, because neighbours are usually asked for next. */
const readAheadBytes = 64 * 1024;

const nothing = Buffer.alloc(0);

/** Reads a part inside a planner. The buffer is shorter than asked for when the file ends before. */
export function* readAt(start: number, length: number): Planning<Buffer> {
  return yield { start, end: start + length };
}

/** Edit that takes a part out; what follows moves up. */
export function removal(start: number, end: number): MetadataEdit {
  return { start, end, bytes: nothing, zeros: 0 };
}

/** Edit that puts zeros over a part. */
export function zeroing(start: number, end: number): MetadataEdit {
  return { start, end, bytes: nothing, zeros: end - start };
}

/** Edit that writes `bytes` over what is there and zeros from there to `end`. */
export function overwriting(start: number, bytes: Buffer, end = start + bytes.length): MetadataEdit {
  return { start, end, bytes, zeros: end - start - bytes.length };
}

/** A planner made of a function that needs the whole file: for formats of small files. */
export function wholeFilePlanner(strip: (bytes: Buffer) => Buffer | undefined): Planner {
  return function* planWhole(size) {
    if (size > maxReadBytes) return undefined;
    const bytes = yield* readAt(0, size);
    const stripped = strip(bytes);
    return stripped && [{ start: 0, end: size, bytes: stripped, zeros: 0 }];
  };
}

/** Runs a planner over a file in memory. */
export function planInMemory(bytes: Buffer, planner: Planner): EditPlan {
  const planning = planner(bytes.length);
  let step = planning.next();
  for (let reads = 0; !step.done; reads++) {
    if (reads >= maxReads) return undefined;
    step = planning.next(bytes.subarray(step.value.start, step.value.end));
  }
  return checked(step.value, bytes.length);
}

/** Reads a part of a file. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>;

/** Runs a planner over a file of `size` bytes that is read in parts. Rejects only when `readRange` does. */
export async function planFromRanges(readRange: ReadRange, size: number, planner: Planner): Promise<EditPlan> {
  const planning = planner(size);
  let held: { start: number; bytes: Buffer } = { start: 0, bytes: nothing };
  let step = planning.next();
  for (let reads = 0; !step.done; reads++) {
    const { start } = step.value;
    const end = Math.min(step.value.end, size);
    if (reads >= maxReads || end - start > maxReadBytes) return undefined;
    if (end > start && (start < held.start || end > held.start + held.bytes.length)) {
      held = { start, bytes: await readRange(start, Math.min(size, Math.max(end, start + readAheadBytes))) };
    }
    const offset = start - held.start;
    step = planning.next(end > start ? held.bytes.subarray(offset, offset + end - start) : nothing);
  }
  return checked(step.value, size);
}

/** A plan that holds what rule 2 promises, whatever the planner was fed. */
function checked(plan: EditPlan, size: number): EditPlan {
  if (plan === undefined) return undefined;
  const edits = plan.filter((edit) => edit.end > edit.start).toSorted((a, b) => a.start - b.start);
  let position = 0;
  for (const edit of edits) {
    if (edit.start < position || edit.end > size) return undefined;
    position = edit.end;
  }
  return edits;
}

/** Length of the edited file. */
export function editedLength(size: number, edits: readonly MetadataEdit[]): number {
  return edits.reduce((sum, { start, end, bytes, zeros }) => sum + bytes.length + zeros - (end - start), size);
}

/** The edited file. */
export function applyEdits(bytes: Buffer, edits: readonly MetadataEdit[]): Buffer {
  if (edits.length === 0) return bytes;
  const parts: Buffer[] = [];
  let position = 0;
  for (const edit of edits) {
    parts.push(bytes.subarray(position, edit.start), edit.bytes, Buffer.alloc(edit.zeros));
    position = edit.end;
  }
  parts.push(bytes.subarray(position));
  return Buffer.concat(parts);
}
