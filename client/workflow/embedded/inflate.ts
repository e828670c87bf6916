/** Inflates zlib data with a ceiling, so that a small file can't become a large one. */

/** The inflated bytes; undefined when the data is damaged or would exceed `limit` bytes. */
export async function inflate(bytes: Uint8Array, limit: number): Promise<Uint8Array | undefined> {
  const reader = new Blob([bytes.slice()]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > limit) {
        await reader.cancel();
        return undefined;
      }
      parts.push(part.value);
    }
  } catch {
    // Damaged data: what it holds can't be known.
    return undefined;
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
