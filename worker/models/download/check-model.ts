/**
 * Looks whether a file can be the model that it is called, where no hash says so: servers answer 200 with an error page, and transfers end
 * early without a word. Only the first bytes are read.
 */

/** Why the bytes can't be a model of that name, or undefined. `size`: bytes of the whole file. */
export function implausibleModel(name: string, head: Uint8Array, size: number): string | undefined {
  if (size === 0) return 'it is empty';
  const start = Buffer.from(head.subarray(0, 256)).toString('latin1').trimStart().toLowerCase();
  if (start.startsWith('version https://git-lfs')) return 'it is a Git LFS pointer and not the file itself';
  if (/\.(json|ya?ml|txt)$/i.test(name)) return undefined;
  if (start.startsWith('<!doctype html') || start.startsWith('<html')) return 'it is a web page';
  if (/\.(safetensors|sft)$/i.test(name)) return implausibleSafetensors(head, size);
  if (/\.gguf$/i.test(name) && !start.startsWith('gguf')) return 'it has no GGUF header';
  return undefined;
}

/** Longest header that the safetensors library accepts. */
const maxHeaderBytes = 100_000_000;

/** Eight bytes of header length, a JSON header, then the tensors. */
function implausibleSafetensors(head: Uint8Array, size: number): string | undefined {
  if (head.byteLength < 9) return 'it is too short for a safetensors file';
  const length = Buffer.from(head).readBigUInt64LE(0);
  if (length > maxHeaderBytes || Number(length) + 8 > size || head[8] !== 0x7b) return 'it has no safetensors header';
  if (Number(length) + 8 > head.byteLength) return undefined;
  return endOfTensors(head, Number(length)) === undefined
    ? 'its safetensors header is broken'
    : endOfTensors(head, Number(length)) === size
      ? undefined
      : 'its size is not the one that its safetensors header tells';
}

/** Where the last tensor ends in the file, or undefined when the header can't be read. */
function endOfTensors(head: Uint8Array, length: number): number | undefined {
  try {
    const header: unknown = JSON.parse(Buffer.from(head.subarray(8, 8 + length)).toString('utf8'));
    if (typeof header !== 'object' || header === null) return undefined;
    const ends = Object.entries(header).map(([name, tensor]: [string, unknown]) => {
      if (name === '__metadata__') return 0;
      const offsets = (tensor as { data_offsets?: unknown } | null)?.data_offsets;
      return Array.isArray(offsets) && typeof offsets[1] === 'number' ? offsets[1] : Number.NaN;
    });
    const end = 8 + length + Math.max(0, ...ends);
    return Number.isFinite(end) ? end : undefined;
  } catch {
    return undefined;
  }
}
