/**
 * What the editor does to texts at the moment of queueing: comments go, one option of every `{a|b}` is drawn, escapes are
 * resolved. The server knows none of it. Source: ComfyUI protocol notes §3.10 step 6.
 */

/** Deeper nesting than this stays as it is written. */
const deepestNesting = 64;

interface Reader {
  readonly text: string;
  readonly random: () => number;
  at: number;
}

/** Reads up to the end of the text, or of the group that is open. Options of an outer level that is not chosen are read too, as they may nest. */
function readOptions(reader: Reader, depth: number): string[] {
  const options: string[] = [];
  let current = '';
  while (reader.at < reader.text.length) {
    const character = reader.text[reader.at++] ?? '';
    if (character === '\\') {
      const escaped = reader.text[reader.at++] ?? '';
      current += /[{}|]/.test(escaped) ? escaped : character + escaped;
    } else if (character === '{' && depth < deepestNesting) {
      const inner = readOptions(reader, depth + 1);
      current += inner[Math.min(inner.length - 1, Math.floor(reader.random() * inner.length))] ?? '';
    } else if (character === '}' && depth > 0) {
      options.push(current);
      return options;
    } else if (character === '|' && depth > 0) {
      options.push(current);
      current = '';
    } else {
      current += character;
    }
  }
  options.push(current);
  return options;
}

/** Removes block comments and the rest of every line behind two slashes. Linear, also for texts made to be slow. */
function stripComments(text: string): string {
  const lastClose = text.lastIndexOf('*/');
  let kept = '';
  let from = 0;
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at)) {
    const next = text[at + 1];
    if (next === '/') {
      kept += text.slice(from, at);
      lineEnd.lastIndex = at;
      from = at = lineEnd.exec(text)?.index ?? text.length;
    } else if (next === '*' && lastClose >= at + 2) {
      kept += text.slice(from, at);
      from = at = text.indexOf('*/', at + 2) + 2;
    } else at += 1;
  }
  return kept + text.slice(from);
}

const lineEnd = /[\n\r\u2028\u2029]/g;

/** Resolves a text with dynamic prompts. `random` gives numbers from 0 up to but without 1. */
export function resolveDynamicPrompt(text: string, random: () => number = Math.random): string {
  return readOptions({ text: stripComments(text), random, at: 0 }, 0).join('');
}
