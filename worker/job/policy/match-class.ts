/** Patterns of node classes: `*` stands for any characters, `?` for one; upper and lower case differ, as they do in ComfyUI. */

/** True when the whole name fits one of the patterns. No pattern can make it slower than both lengths multiplied. */
export function matchesClass(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => fits(name, pattern));
}

function fits(name: string, pattern: string): boolean {
  let at = 0;
  let inPattern = 0;
  /** The last `*`, and how much of the name it has taken. */
  let star = -1;
  let taken = 0;
  while (at < name.length) {
    const wanted = pattern[inPattern];
    if (wanted === '*') {
      star = inPattern++;
      taken = at;
    } else if (wanted !== undefined && (wanted === '?' || wanted === name[at])) {
      inPattern++;
      at++;
    } else if (star >= 0) {
      inPattern = star + 1;
      at = ++taken;
    } else {
      return false;
    }
  }
  return pattern.slice(inPattern).replaceAll('*', '') === '';
}
