/** Takes the caller's words out of a text of ComfyUI's before it goes into an error: libraries quote what they were given. Pure. */

const mark = '[redacted]';
/** Quotes are often cut: a run of this many characters that stands in a secret is taken out wherever it stands. */
const gramChars = 12;
/** Longest text told. */
const maxChars = 2_000;
/** Of a longer text only this much is looked at. */
const lookedAtChars = 4 * maxChars;

/** What to take out and what to put instead. */
export interface Redaction {
  /** Texts that must not show. */
  readonly secrets: readonly string[];
  /** Names on the worker and what the caller calls them. */
  readonly renames: ReadonlyMap<string, string>;
}

/** A function that redacts. It prepares on the first call: most jobs don't fail. */
export function createRedactor(redaction: () => Redaction): (text: string) => string {
  let prepared: { readonly renames: Redaction['renames']; readonly spellings: readonly string[] } | undefined;
  return (text) => {
    if (!prepared) {
      const { secrets, renames } = redaction();
      prepared = { renames, spellings: spell(secrets) };
    }
    const { renames, spellings } = prepared;
    let safe = text;
    for (const [from, to] of renames) safe = safe.replaceAll(from, to);
    for (const short of spellings.filter((spelled) => spelled.length < gramChars)) safe = safe.replaceAll(short, mark);
    const { length } = safe;
    // Where the text is cut a quote may begin that is too short by now to be known as one.
    const told = length <= lookedAtChars ? length : lookedAtChars - gramChars;
    safe = withoutGrams(safe.slice(0, lookedAtChars), spellings, told);
    return told === length && safe.length <= maxChars ? safe : `${safe.slice(0, maxChars)} [cut: ${length} characters]`;
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

/** The first `told` characters of the text, with every run that stands in one of `spellings` replaced. */
function withoutGrams(text: string, spellings: readonly string[], told: number): string {
  const grams = sharedGrams(text, spellings);
  if (grams.size === 0) return text.slice(0, told);
  let safe = '';
  let coveredTo = 0;
  for (let i = 0; i < text.length; i++) {
    if (grams.has(text.slice(i, i + gramChars))) {
      if (i >= coveredTo) safe += mark;
      coveredTo = i + gramChars;
    }
    if (i >= coveredTo && i < told) safe += text[i];
  }
  return safe;
}

/**
 * Runs of the text that stand in a secret. It is the runs of the text that are kept and the secrets that are walked through: a secret may be a
 * picture of many megabytes. Most places of it are passed over by their first three characters.
 */
function sharedGrams(text: string, spellings: readonly string[]): ReadonlySet<string> {
  const wanted = new Set<string>();
  const begins = new Uint8Array(65_536);
  for (let i = 0; i + gramChars <= text.length; i++) {
    wanted.add(text.slice(i, i + gramChars));
    begins[beginAt(text, i)] = 1;
  }
  const shared = new Set<string>();
  for (const spelled of spellings) {
    for (let i = 0; i + gramChars <= spelled.length; i++) {
      if (begins[beginAt(spelled, i)] !== 1) continue;
      const gram = spelled.slice(i, i + gramChars);
      if (wanted.has(gram)) shared.add(gram);
    }
  }
  return shared;
}

/** A number below 65 536 made of three characters. */
function beginAt(text: string, at: number): number {
  return ((text.charCodeAt(at) * 31 + text.charCodeAt(at + 1)) * 31 + text.charCodeAt(at + 2)) & 0xff_ff;
}
