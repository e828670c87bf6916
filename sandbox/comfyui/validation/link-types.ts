// Whether an output may be plugged into an input (ComfyUI protocol notes §1.3.5 step 4).

function parts(type: string): string[] {
  return type.split(',').map((part) => part.trim());
}

/** Equal types, overlapping comma lists, or `*` on either side. Lists (V1 combos) must be equal item by item. */
export function typesMatch(received: unknown, wanted: unknown): boolean {
  if (typeof received !== 'string' || typeof wanted !== 'string') {
    return JSON.stringify(received) === JSON.stringify(wanted);
  }
  if (received === wanted || received === '*' || wanted === '*') return true;
  const accepted = new Set(parts(wanted));
  return parts(received).some((part) => accepted.has(part));
}
