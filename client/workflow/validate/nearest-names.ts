/** Names that a person may have meant. Pure. */
import { distance } from 'fastest-levenshtein';

const most = 3;

/** Names longer than this are compared by their ends only; none that matter are. */
const longest = 200;

function lastPart(name: string): string {
  return name.split(/[\\/]/).at(-1) ?? name;
}

/**
 * Up to three of `names` that are near `wanted`, the nearest first: the same file in another folder or spelling before others. Empty when none is
 * near.
 */
export function nearestNames(wanted: string, names: Iterable<string>): string[] {
  const full = wanted.slice(-longest).toLowerCase();
  const last = lastPart(full);
  const found: { readonly name: string; readonly far: number }[] = [];
  for (const name of names) {
    const other = name.slice(-longest).toLowerCase();
    if (Math.abs(lastPart(other).length - last.length) > last.length / 2 + 2) continue;
    const far = lastPart(other) === last ? 0 : distance(lastPart(other), last);
    if (far <= Math.max(2, last.length * 0.25)) found.push({ name, far });
  }
  return found
    .toSorted((a, b) => a.far - b.far || a.name.length - b.name.length)
    .slice(0, most)
    .map(({ name }) => name);
}
