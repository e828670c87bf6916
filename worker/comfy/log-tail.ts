/**
 * The last lines of ComfyUI's output, for error messages. Before the first prompt all of it may be shown; after it only lines that can't
 * hold what a job sent: ComfyUI prints input values in validation errors and exception texts (ComfyUI protocol notes §5.4 row 9).
 */

const keptLines = 25;
const keptChars = 300;

/** Lines that hold no user content even after a prompt: where Python was, and the words of a dying process. */
const harmless = [
  /^Traceback \(most recent call last\):$/,
  /^ {2}File "[^"]+", line \d+, in [\w.<>]+$/,
  /^Exception in thread [\w() -]+:$/,
  /^(Fatal Python error|Segmentation fault|Aborted|Killed|Bus error|terminate called|free\(\)|malloc\(\)|double free)/,
  /^(Starting server|Stopped server|Prompt executed in|got prompt|Set vram state|Device:|Total VRAM|pytorch version)/,
];
/** An exception line: its class is kept, its text is not. */
const exceptionLine =
  /^(?:!!! Exception during processing !!! )?((?:[\w]+\.)*\w*(?:Error|Exception|Interrupt|Exit|Warning))\b/;

/** What of a line may be shown once prompts have run. */
export function harmlessPart(line: string): string | undefined {
  if (harmless.some((pattern) => pattern.test(line))) return line;
  return exceptionLine.exec(line)?.[1];
}

/** Keeps the last lines. Takes text in whatever pieces it comes. */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #partial: Record<string, string> = {};
  #promptsRan = false;

  /** From now on only harmless lines are kept; call it before the first prompt is posted. */
  promptsBegin(): void {
    this.#promptsRan = true;
  }

  /** Takes output of one of the streams in. */
  add(stream: 'stdout' | 'stderr', text: string): void {
    const parts = ((this.#partial[stream] ?? '') + text).split(/\r\n|\n|\r/);
    this.#partial[stream] = (parts.pop() ?? '').slice(-10_000);
    for (const line of parts) this.#keep(line);
  }

  /** The last lines, joined; empty when there are none. */
  text(): string {
    return [...this.#lines, ...this.#rest()].slice(-keptLines).join('\n');
  }

  #rest(): string[] {
    return Object.values(this.#partial).flatMap((line) => this.#shown(line));
  }

  #keep(line: string): void {
    this.#lines.push(...this.#shown(line));
    if (this.#lines.length > keptLines) this.#lines.splice(0, this.#lines.length - keptLines);
  }

  #shown(line: string): string[] {
    const part = this.#promptsRan ? harmlessPart(line) : line;
    return part === undefined || part.trim() === '' ? [] : [part.slice(0, keptChars)];
  }
}
