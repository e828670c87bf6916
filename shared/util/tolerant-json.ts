/**
 * JSON as Python's encoder writes it: the bare tokens NaN, Infinity and -Infinity may stand where a number may
 * (ComfyUI protocol notes §1.1). They become null here. Everything else is plain JSON.
 */

const bareTokens = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;

/** Parses JSON that may hold bare NaN and Infinity tokens. Throws SyntaxError like JSON.parse; the text is not in the message. */
export function parseTolerantJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Strings are matched first and kept, so that a prompt which says "NaN" stays as it is.
    const repaired = text.replace(bareTokens, (token) => (token.startsWith('"') ? token : 'null'));
    try {
      return JSON.parse(repaired);
    } catch {
      throw new SyntaxError('not valid JSON');
    }
  }
}
