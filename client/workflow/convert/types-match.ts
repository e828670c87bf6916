/** Whether an output may be plugged into an input: the editor's rule, case-insensitive, with wildcards and comma lists. */

function isWildcard(type: string): boolean {
  return type === '*' || type === '' || type === '0';
}

/** True when a connection between the two types is allowed. */
export function typesMatch(a: string, b: string): boolean {
  if (isWildcard(a) || isWildcard(b) || a === b) return true;
  const left = a.toLowerCase().split(',');
  const right = new Set(
    b
      .toLowerCase()
      .split(',')
      .map((type) => type.trim()),
  );
  return left.some((type) => isWildcard(type.trim()) || right.has(type.trim())) || [...right].some(isWildcard);
}

/**
 * Which input of a bypassed node stands in for its output `slot` (ComfyUI protocol notes §3.10 step 3): the one at the same place when it fits, else
 * the first of exactly the wanted type, else the first that fits. Undefined when none does.
 */
export function bypassInput(
  inputTypes: readonly string[],
  outputType: string,
  slot: number,
  wanted: string,
): number | undefined {
  if (inputTypes.length === 0) return undefined;
  if (isWildcard(wanted)) return slot < inputTypes.length ? slot : 0;
  const fits = (type: string) => typesMatch(type, outputType) && typesMatch(type, wanted);
  const opposite = inputTypes[slot];
  if (opposite !== undefined && fits(opposite)) return slot;
  const exact = inputTypes.indexOf(wanted);
  const chosen = exact >= 0 ? exact : inputTypes.findIndex(fits);
  return chosen >= 0 ? chosen : undefined;
}
