/**
 * Where a JSON text stops being JSON. V8's own messages leave the position out for short texts and quote the text, which is the user's
 * prompt: this names the place and the kind of fault only.
 */

/** The first place that is not JSON; line and column from 1. */
export interface JsonFault {
  readonly line: number;
  readonly column: number;
  readonly expected: string;
}

const whitespace = /[ \t\r\n]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these characters in a text
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const scalarToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

class Fault extends Error {
  readonly offset: number;
  constructor(offset: number, expected: string) {
    super(expected);
    this.offset = offset;
  }
}

/** Finds the first fault, or undefined when `text` is JSON. Not recursive: deep nesting can't exhaust the stack. */
export function findJsonFault(text: string): JsonFault | undefined {
  try {
    scan(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const before = text.slice(0, error.offset).split('\n');
    return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, expected: error.message };
  }
}

function scan(text: string): void {
  let at = 0;
  const open: ('{' | '[')[] = [];
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const need = (character: string, expected: string) => {
    skip(whitespace);
    if (text[at] !== character) throw new Fault(at, expected);
    at += 1;
    skip(whitespace);
  };
  const key = () => {
    skip(whitespace);
    if (!skip(stringToken))
      throw new Fault(at, text[at] === '"' ? 'a text that is closed and escaped' : 'a key in double quotes');
    need(':', 'a colon');
  };
  for (;;) {
    skip(whitespace);
    const next = text[at];
    if (next === '{' || next === '[') {
      at += 1;
      skip(whitespace);
      if (text[at] !== (next === '{' ? '}' : ']')) {
        open.push(next);
        if (next === '{') key();
        continue;
      }
      at += 1;
    } else if (!skip(stringToken) && !skip(scalarToken)) {
      throw new Fault(
        at,
        next === '"' ? 'a text that is closed and escaped' : at >= text.length ? 'more text' : 'a value',
      );
    }
    // A value is complete: close what ends here, or go on to the next element.
    for (;;) {
      skip(whitespace);
      const frame = open.at(-1);
      if (frame === undefined) {
        if (at < text.length) throw new Fault(at, 'nothing after the end');
        return;
      }
      const close = frame === '{' ? '}' : ']';
      if (text[at] === close) {
        at += 1;
        open.pop();
        continue;
      }
      if (text[at] !== ',') throw new Fault(at, `a comma or ${close}`);
      at += 1;
      if (frame === '{') key();
      break;
    }
  }
}
