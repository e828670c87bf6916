/**
 * Shows what happens to a job: one line that is redrawn on a terminal, a line per change elsewhere. Writes to stderr only; stdout is for
 * results.
 */
import { isTerminalStatus, type ProgressEvent } from '../../../shared/index.ts';
import type { JobEvent } from '../../job-events.ts';
import type { CommandContext } from '../command-context.ts';
import type { CliIo } from '../io.ts';
import { oneLine } from '../terminal-text.ts';

/** Shows events until it is finished. */
export interface ProgressView {
  show(event: JobEvent): void;
  /** True where {@link queue} shows something: asking the endpoint is not worth it otherwise. */
  readonly wantsQueue: boolean;
  /** What the endpoint does while the job waits in its queue. */
  queue(text: string): void;
  /** Draws a picture above the progress, in the place of the one before it; `text` takes up `rows` rows. Nothing outside a terminal. */
  picture(text: string, rows: number): void;
  /** A line of its own between the progress. */
  note(text: string): void;
  /** Clears what was drawn. Idempotent. */
  finish(): void;
}

const statusTexts: Readonly<Record<string, string>> = {
  IN_QUEUE: 'waiting in the queue',
  IN_PROGRESS: 'taken by a worker',
};

const phaseTexts: Readonly<Record<ProgressEvent['phase'], string>> = {
  starting: 'ComfyUI is starting',
  staging: 'placing files',
  queued: "waiting in ComfyUI's queue",
  running: 'running',
  collecting: 'collecting results',
  delivering: 'sending results',
};

const barWidth = 20;

/** Creates the view that fits the terminal and the flags. */
export function createProgressView({ io, quiet }: Pick<CommandContext, 'io' | 'quiet'>): ProgressView {
  if (quiet) return silentView;
  return io.interactive ? drawnView(io) : lineView(io);
}

const silentView: ProgressView = {
  wantsQueue: false,
  show: () => undefined,
  queue: () => undefined,
  picture: () => undefined,
  note: () => undefined,
  finish: () => undefined,
};

function statusText(event: Extract<JobEvent, { type: 'status' }>): string {
  const text = statusTexts[event.status] ?? oneLine(event.status, 40).toLowerCase();
  return event.retries > 0 ? `${text} (attempt ${event.retries + 1})` : text;
}

/** ` - 1 min 5 s left`, or nothing while that is not known. */
function leftText(remainingMs: number | undefined): string {
  if (remainingMs === undefined) return '';
  const seconds = Math.ceil(remainingMs / 1000);
  if (seconds < 60) return ` - ${seconds} s left`;
  return ` - ${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
}

/** `running: Sharpen (node 3) 4/20 - 12 s left` */
function progressText(progress: ProgressEvent): string {
  const { phase, node, step } = progress;
  if (phase !== 'running' || node === undefined) return phaseTexts[phase];
  const steps = step === undefined || step.max <= 1 ? '' : ` ${step.value}/${step.max}`;
  const left = leftText(progress.remainingMs);
  return `${phaseTexts[phase]}: ${oneLine(node.title, 40)} (node ${oneLine(node.id, 20)})${steps}${left}`;
}

function lineView(io: CliIo): ProgressView {
  let last = '';
  const line = (text: string) => {
    if (text === last) return;
    last = text;
    io.stderr.write(`${text}\n`);
  };
  return {
    show(event) {
      if (event.type === 'status' && !isTerminalStatus(event.status)) line(statusText(event));
      // Steps and seconds would be a line each.
      if (event.type === 'progress') {
        const { step: _, remainingMs: _left, ...rest } = event.progress;
        line(progressText(rest));
      }
    },
    wantsQueue: true,
    queue: (text) => line(`waiting in the queue (${text})`),
    picture: () => undefined,
    note: (text) => io.stderr.write(`${text}\n`),
    finish: () => undefined,
  };
}

function drawnView(io: CliIo): ProgressView {
  let drawn = false;
  let text = '';
  let fraction: number | undefined;
  /** Rows of the picture right above the progress. */
  let pictured = 0;
  const clear = () => {
    if (drawn) io.stderr.write('\r\u001b[2K');
    drawn = false;
  };
  const draw = () => {
    const filled = Math.round((fraction ?? 0) * barWidth);
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
    const percent = fraction === undefined ? '    ' : `${String(Math.floor(fraction * 100)).padStart(3)}%`;
    io.stderr.write(`\r\u001b[2K${oneLine(`${bar} ${percent} ${text}`, Math.max(20, (io.columns ?? 80) - 1))}`);
    drawn = true;
  };
  return {
    show(event) {
      if (event.type === 'end') return;
      if (event.type === 'status') {
        // The end has its own words: the result or the error.
        if (isTerminalStatus(event.status)) return;
        text = statusText(event);
      } else {
        text = progressText(event.progress);
        fraction = event.progress.fraction ?? fraction;
      }
      draw();
    },
    wantsQueue: true,
    queue(counters) {
      text = `waiting in the queue (${counters})`;
      draw();
    },
    picture(picture, rows) {
      clear();
      if (pictured > 0) io.stderr.write(`\u001b[${pictured}A`);
      io.stderr.write(picture);
      pictured = rows;
      draw();
    },
    note(line) {
      clear();
      pictured = 0;
      io.stderr.write(`${line}\n`);
    },
    finish: clear,
  };
}
