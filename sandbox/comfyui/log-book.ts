// The server's log: the last 300 writes are readable at `/internal/logs` and streamed to subscribers (ComfyUI protocol notes
// §1.12). Invariant: nothing is printed here; a sink may (main.ts writes to stderr).

/** Python's levels that ComfyUI uses. */
export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR' | 'CRITICAL';

/** One write to the console. */
export interface LogEntry {
  /** Local time, ISO without zone. */
  readonly t: string;
  readonly m: string;
}

const RANK: Readonly<Record<LogLevel, number>> = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 };
const CAPACITY = 300;

/** The ring of log writes. */
export class LogBook {
  private readonly ring: LogEntry[] = [];
  private readonly level: LogLevel;
  private readonly now: () => number;
  private readonly sink: (text: string, level: LogLevel) => void;
  private readonly listeners = new Set<(entries: readonly LogEntry[]) => void>();

  constructor(level: LogLevel, now: () => number, sink: (text: string, level: LogLevel) => void) {
    this.level = level;
    this.now = now;
    this.sink = sink;
  }

  /** Logs a message, if its level is loud enough. */
  write(level: LogLevel, text: string): void {
    if (RANK[level] < RANK[this.level]) return;
    const t = new Date(this.now()).toISOString().replace('Z', '000');
    const entry = { t, m: `${text}\n` };
    this.ring.push(entry);
    if (this.ring.length > CAPACITY) this.ring.shift();
    this.sink(`${text}\n`, level);
    for (const listener of this.listeners) listener([entry]);
  }

  entries(): readonly LogEntry[] {
    return this.ring;
  }

  /** Calls back with every new write until the returned function is called. */
  listen(listener: (entries: readonly LogEntry[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
