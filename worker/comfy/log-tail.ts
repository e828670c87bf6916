/**
 * ComfyUI's output, read for error messages: the last lines, and the custom-node packs that failed to import. Before the first prompt all
 * of it may be shown. After it only lines whose whole shape is known: ComfyUI prints input values in validation errors and exception
 * texts, and a node may print anything (ComfyUI protocol notes §5.4 row 9). Nothing of it is ever logged.
 */

const keptLines = 25;
const keptChars = 300;
const keptPacks = 100;

/**
 * Shapes that hold no user content even after a prompt: where Python was, and the words of a dying process. Each matches a whole line:
 * a text with line breaks could otherwise begin one of its lines like this.
 */
const harmless = [
  /^Traceback \(most recent call last\):$/,
  /^ {2}File "[\w./+@-]+\.py", line \d+, in [\w.<>]+$/,
  /^Exception in thread [\w-]+(?: \(\w+\))?:$/,
  /^Fatal Python error: (?:Segmentation fault|Aborted|Bus error|Illegal instruction|Floating-point exception)$/,
  /^(?:Segmentation fault|Aborted|Killed|Bus error)(?: \(core dumped\))?$/,
  /^(?:free|malloc)\(\): [a-z _-]{3,40}$/,
  /^double free or corruption \([a-z!]+\)$/,
  /^terminate called (?:without an active exception|after throwing an instance of '[\w:]+')$/,
  /^(?:Starting server|Stopped server|got prompt)$/,
  /^Prompt executed in [\d.:]+(?: seconds)?$/,
  /^(?:RuntimeError: )?CUDA error: (?:an illegal memory access was encountered|device-side assert triggered|unspecified launch failure)$/,
];
/** An exception line: its class is kept, its text is not. */
const exceptionLine = /^((?:\w{1,40}\.){0,6}[A-Z]\w{0,50}(?:Error|Exception|Interrupt|Exit|Warning))(?::|$)/;
/** Printed before the server starts, one line for each pack: its import time, the mark, its path. */
const failedImport = /^\s*[\d.]+ seconds \(IMPORT FAILED\): (.+?)[\\/]*\s*$/;

/** The first line of a prompt (ComfyUI protocol notes §1.12). */
const promptLine = /^got prompt$/;

/** The packs that failed to import by a log from its start on; what comes after the first prompt is not believed. */
export function failedPacksIn(log: string): string[] {
  const tail = new LogTail();
  const lines = log.split(/\r\n|\n|\r/);
  const end = lines.findIndex((line) => promptLine.test(line));
  tail.add('stdout', `${(end === -1 ? lines : lines.slice(0, end)).join('\n')}\n`);
  return [...tail.failedPacks];
}

/** What of a line may be shown once prompts have run. */
export function harmlessPart(line: string): string | undefined {
  if (harmless.some((pattern) => pattern.test(line))) return line;
  return exceptionLine.exec(line)?.[1];
}

/** Keeps the last lines. Takes text in whatever pieces it comes. */
export class LogTail {
  readonly #lines: string[] = [];
  readonly #partial: Record<string, string> = {};
  readonly #failedPacks = new Set<string>();
  #promptsRan = false;

  /** Folder names of the packs that failed to import. */
  get failedPacks(): readonly string[] {
    return [...this.#failedPacks];
  }

  /** From now on only harmless lines are kept, also of those that are here; call it before the first prompt is posted. */
  promptsBegin(): void {
    if (this.#promptsRan) return;
    this.#promptsRan = true;
    this.#lines.splice(0, keptLines, ...this.#lines.flatMap((line) => this.#shown(line)));
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
    // A prompt may print such a line too.
    const pack = this.#promptsRan ? undefined : failedImport.exec(line)?.[1]?.split(/[\\/]/).pop();
    if (pack && this.#failedPacks.size < keptPacks) this.#failedPacks.add(pack.slice(0, 100));
    this.#lines.push(...this.#shown(line));
    if (this.#lines.length > keptLines) this.#lines.splice(0, this.#lines.length - keptLines);
  }

  #shown(line: string): string[] {
    const part = this.#promptsRan ? harmlessPart(line) : line;
    return part === undefined || part.trim() === '' ? [] : [part.slice(0, keptChars)];
  }
}
