/** Takes the caller's words out of a text of ComfyUI's before it goes into an error: libraries quote what they were given. Pure. */

const mark = '[redacted]';
/** Quotes are often cut: a run of this many characters that stands in a secret is taken out wherever it stands. */
const gramChars = 12;
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
    const spellings = spell(secrets);
    for (const short of spellings.filter((text) => text.length < gramChars)) safe = safe.replaceAll(short, mark);
    safe = withoutGrams(safe, spellings);
    return safe.length <= maxChars ? safe : `${safe.slice(0, maxChars)} [cut: ${safe.length} characters]`;
  };
}

/** Secrets as they are, trimmed, and escaped as JSON and Python write them; the longest first, so that a short one doesn't break a long one. */
function spell(secrets: readonly string[]): string[] {
  const spellings = secrets.flatMap((secret) => [
    secret,
    secret.trim(),
    JSON.stringify(secret).slice(1, -1),
    secret.replaceAll("'", "\\'").replaceAll('\n', '\\n'),
  ]);
  return [...new Set(spellings)].filter((text) => text.trim().length >= 4).toSorted((a, b) => b.length - a.length);
}

/** The text with every run that stands in one of `spellings` replaced. */
function withoutGrams(text: string, spellings: readonly string[]): string {
  const grams = new Set<string>();
  for (const spelled of spellings) {
    for (let i = 0; i + gramChars <= spelled.length; i++) grams.add(spelled.slice(i, i + gramChars));
  }
  if (grams.size === 0) return text;
  let safe = '';
  let coveredTo = 0;
  for (let i = 0; i < text.length; i++) {
    if (grams.has(text.slice(i, i + gramChars))) {
      if (i >= coveredTo) safe += mark;
      coveredTo = i + gramChars;
    }
    if (i >= coveredTo) safe += text[i];
  }
  return safe;
}
