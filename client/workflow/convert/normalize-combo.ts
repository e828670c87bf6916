/** Saved combo values that differ from a declared one in case or in the direction of slashes only (files from Windows) take the declared spelling. */

function folded(value: string): string {
  return value.toLowerCase().replaceAll('\\', '/');
}

/** The declared spelling of `value`, or `value` when it is declared as it is, matches none, or matches more than one. */
export function normalizeCombo(value: unknown, choices: readonly unknown[] | undefined): unknown {
  if (typeof value !== 'string' || !choices || choices.includes(value)) return value;
  const wanted = folded(value);
  const matches = choices.filter((choice) => typeof choice === 'string' && folded(choice) === wanted);
  return matches.length === 1 ? matches[0] : value;
}
