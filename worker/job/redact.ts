/** Takes the caller's words out of a text of ComfyUI's before it goes into an error: libraries quote what they were given. Pure. */

const mark = '[redacted]';
/** Long texts are also looked for in pieces of this length, because quotes are often cut. */
const pieceChars = 16;
/** Longest text told. */
const maxChars = 2_000;

/** What to take out and what to put instead. */
export interface Redaction {
  /** Texts that must not show. */
  readonly secrets: readonly string[];
  /** Names on the worker and what the caller calls them. */
  readonly renames: ReadonlyMap<string, string>;
}

/** A function that redacts. Its work is done on the first call: most jobs don't fail. */
export function createRedactor(redaction: () => Redaction): (text: string) => string {
  return (text) => {
    const { secrets, renames } = redaction();
    let safe = text;
    for (const [from, to] of renames) safe = safe.replaceAll(from, to);
    for (const needle of needles(secrets)) safe = safe.replaceAll(needle, mark);
    safe = safe.replace(/(\[redacted\][\s,'"\\n]{0,3}){2,}/g, mark);
    return safe.length <= maxChars ? safe : `${safe.slice(0, maxChars)} [cut: ${safe.length} characters]`;
  };
}

/** Secrets in every spelling, the longest first, so that a short one doesn't break a long one. */
function needles(secrets: readonly string[]): string[] {
  const found = new Set<string>();
  for (const secret of secrets) {
    for (const spelled of [secret, secret.trim(), JSON.stringify(secret).slice(1, -1), secret.replaceAll("'", "\\'")]) {
      found.add(spelled);
      if (spelled.length < 2 * pieceChars) continue;
      for (let start = 0; start + pieceChars <= spelled.length; start += pieceChars) {
        found.add(spelled.slice(start, start + pieceChars));
      }
    }
  }
  return [...found].filter((needle) => needle.trim().length >= 4).toSorted((a, b) => b.length - a.length);
}
