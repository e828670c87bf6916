/** Text for a terminal. Titles, names and messages come from elsewhere: nothing in them may steer the terminal. Pure. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** `text` without control characters; line breaks and tabs stay. */
export function plainText(text: string): string {
  return text.replace(controls, '');
}

/** `text` on one line of at most `max` characters. */
export function oneLine(text: string, max: number): string {
  const line = plainText(text).replace(/\s+/g, ' ').trim();
  return line.length <= max ? line : `${line.slice(0, Math.max(0, max - 1))}…`;
}

/** Colours, or their absence. */
export interface Palette {
  readonly red: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
}

/** Colours on a terminal, unless NO_COLOR is set to anything (no-color.org). */
export function palette(interactive: boolean, environment: Readonly<Record<string, string | undefined>>): Palette {
  const noColor = environment['NO_COLOR'];
  const on = interactive && (noColor === undefined || noColor === '') && environment['TERM'] !== 'dumb';
  const paint = (code: number) => (text: string) => (on ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { red: paint(31), dim: paint(2), bold: paint(1) };
}
