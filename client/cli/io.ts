/** What the command line needs of the world, so that it runs inside a test as well as in a terminal. */
import type { Environment } from '../config.ts';

/** Where text goes. */
export interface TextSink {
  write(text: string): unknown;
}

/** The world of one run of the command line. */
export interface CliIo {
  /** Results only. */
  readonly stdout: TextSink;
  /** Progress, notes and errors. */
  readonly stderr: TextSink;
  /** What another program pipes in; read only where an argument says so (`-`). */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
  /** True when stderr is a terminal: progress is drawn in place. */
  readonly interactive: boolean;
  /** Opens a file with the program that the system has for it; for --open. Missing where there is no desktop. */
  readonly openFile?: (path: string) => Promise<void>;
  /** Columns of that terminal. */
  readonly columns?: number;
  readonly environment: Environment;
  /** Current folder: relative paths and `.env`. */
  readonly folder: string;
  /** Calls `listener` at every Ctrl-C (SIGINT) and SIGTERM until the returned function is called. */
  onInterrupt(listener: () => void): () => void;
}
