/**
 * Empties `__metadata__` of a safetensors file; latents that `SaveLatent` writes hold the prompt there (ComfyUI protocol notes §3.5). The
 * header keeps its length, because tensor data is aligned behind it. Layout: an 8-byte length, a JSON header, tensor data.
 */

import { overwriting, type Planning, readAt } from './edit-plan.ts';
import { isRecord } from './json-record.ts';

const maxHeaderBytes = 100_000_000;

/** Plans a safetensors file. Its tensors must fill the file exactly: that also tells it from other files without a signature. */
export function* planSafetensors(size: number): Planning {
  const head = yield* readAt(0, 9);
  if (head.length < 9 || head[8] !== 0x7b) return undefined;
  const length = Number(head.readBigUInt64LE(0));
  if (length > maxHeaderBytes || 8 + length > size) return undefined;
  const header = emptied((yield* readAt(8, length)).toString('utf8'), size - 8 - length);
  if (!header || header.length > length) return undefined;
  return [overwriting(8, Buffer.concat([header, Buffer.alloc(length - header.length, ' ')]))];
}

function emptied(text: string, dataBytes: number): Buffer | undefined {
  try {
    const header: unknown = JSON.parse(text);
    if (!isRecord(header)) return undefined;
    if ('__metadata__' in header) header['__metadata__'] = {};
    const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
    const ends = tensors.map(([, tensor]) => endOfTensor(tensor));
    if (ends.length === 0 || ends.some((end) => end === undefined)) return undefined;
    const last = ends.reduce<number>((most, end) => Math.max(most, end ?? 0), 0);
    return last === dataBytes ? Buffer.from(JSON.stringify(header)) : undefined;
  } catch {
    return undefined;
  }
}

function endOfTensor(tensor: unknown): number | undefined {
  if (!isRecord(tensor) || typeof tensor['dtype'] !== 'string') return undefined;
  const offsets: readonly unknown[] = Array.isArray(tensor['data_offsets']) ? tensor['data_offsets'] : [];
  const end = offsets[1];
  return typeof end === 'number' && Number.isSafeInteger(end) && end >= 0 ? end : undefined;
}
