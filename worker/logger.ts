/**
 * The worker's log: pino in RunPod's shape, one JSON object a line with `requestId`, `message` and `level`; readable text when no endpoint id
 * says that RunPod collects it. Source: RunPod protocol notes §2.19.
 *
 * Nothing a caller sent, and no key, reaches a line at any level: fields are copied by a list of harmless kinds of values, fields with the
 * names of content are dropped, known secrets and the query of every address are masked in the finished line.
 */
import { createRequire } from 'node:module';
import type { DestinationStream, Level, Logger as PinoLogger } from 'pino';
import { isComfyRunpodError } from '../shared/core.ts';
import type { Logger } from './types.ts';

/** Settings of a logger. */
export interface LoggerOptions {
  readonly level: Level | 'silent';
  /** `json`: for RunPod. `text`: for a person. */
  readonly format: 'json' | 'text';
  /** Texts that are masked wherever they appear, such as keys. */
  readonly secrets?: readonly (string | undefined)[];
  /** Receives finished lines. Default: standard output, written synchronously, so that no last line is lost. */
  readonly write?: (line: string) => void;
}

/** Loaded with the first line that is written: a worker asks for its first job before that. */
const loadPino = () => createRequire(import.meta.url)('pino') as typeof import('pino');

const maxMessageChars = 4_096;
const maxTextChars = 1_024;
const maxItems = 50;
const contentNames =
  /^(input|inputs|output|outputs|body|prompt|workflow|files?|images?|data|text|value|values|authorization|headers|cookie|env|.*(key|token|secret|password|signature|credential)s?)$/i;

/** Cuts a message over 4096 characters in the middle and says so. */
export function cutMessage(message: string): string {
  if (message.length <= maxMessageChars) return message;
  const half = maxMessageChars / 2;
  const cut = message.length - maxMessageChars;
  return `${message.slice(0, half)}\n...TRUNCATED ${cut} CHARACTERS...\n${message.slice(-half)}`;
}

/** Makes a logger. */
export function createLogger(options: LoggerOptions): Logger {
  const mask = createMask(options.secrets ?? []);
  const write = options.write ?? standardOutput();
  const finish = options.format === 'json' ? mask : (line: string) => mask(textLine(line));
  const stream: DestinationStream = { write: (line) => write(finish(line)) };
  let root: PinoLogger | undefined;
  const open = () => {
    root ??= loadPino().pino(
      {
        level: options.level,
        base: null,
        timestamp: false,
        messageKey: 'message',
        formatters: { level: (label) => ({ level: label.toUpperCase() }) },
      },
      stream,
    );
    return root;
  };
  return wrap({ open, lowest: levels.indexOf(options.level) }, {});
}

/** From the lowest up. */
const levels: readonly LoggerOptions['level'][] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

interface Root {
  readonly open: () => PinoLogger;
  /** Position of the lowest level that is written. */
  readonly lowest: number;
}

function standardOutput(): (line: string) => void {
  let stream: ReturnType<ReturnType<typeof loadPino>['destination']> | undefined;
  return (line) => {
    if (!stream) {
      stream = loadPino().destination({ fd: 1, sync: true });
      // A closed pipe must not bring the worker down.
      stream.on('error', () => undefined);
    }
    stream.write(line);
  };
}

/** Bound fields are merged here and not by pino's child, which would write a key twice. */
function wrap(root: Root, bound: Readonly<Record<string, unknown>>): Logger {
  const log = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: object, message: string) => {
    if (levels.indexOf(level) < root.lowest) return;
    // `jobId` is the same under the name that the rest of the worker uses; RunPod filters a job's lines by requestId.
    const {
      jobId = null,
      requestId = jobId,
      batchId,
      message: _,
      level: __,
      ...rest
    } = {
      ...bound,
      ...safeFields(fields),
    };
    const prefix = typeof batchId === 'string' ? `[batchId=${batchId}] ` : '';
    root.open()[level]({ requestId, ...rest }, cutMessage(`${prefix}${message}`));
  };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (fields) => wrap(root, { ...bound, ...safeFields(fields) }),
  };
}

/** Copies what is harmless; says of the rest only what kind it was. */
function safeFields(fields: object, depth = 0): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields).slice(0, maxItems)) {
    if (!contentNames.test(name)) safe[name] = safeValue(value, depth);
  }
  return safe;
}

function safeValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
      return String(value);
    case 'string':
      return value.length <= maxTextChars ? value : `${value.slice(0, maxTextChars)} [cut: ${value.length} characters]`;
    case 'object':
      return value === null ? null : safeObject(value, depth);
    case 'symbol':
    case 'function':
      return `[${typeof value}]`;
  }
}

function safeObject(value: object, depth: number): unknown {
  if (value instanceof Error) return safeError(value);
  if (ArrayBuffer.isView(value) || depth >= 2) return '[not logged]';
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => safeValue(item, depth + 1));
  return safeFields(value, depth + 1);
}

/** The text of a foreign error may hold user content: only its name, its code and where it came from are logged. */
function safeError(error: Error): Record<string, unknown> {
  if (isComfyRunpodError(error)) {
    const { cause } = error;
    return { code: error.code, message: error.message, ...(cause instanceof Error && { cause: safeError(cause) }) };
  }
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return { name: error.name, ...code, at: frames.slice(0, 6).map((line) => line.trim()) };
}

function createMask(secrets: readonly (string | undefined)[]): (line: string) => string {
  const known = secrets
    .filter((secret): secret is string => secret !== undefined && secret.length >= 4)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
  return (line) => {
    let masked = line.replace(/(https?:\/\/[^\s"'?\\]+)\?[^\s"'\\]*/g, '$1?[query not logged]');
    for (const secret of known) masked = masked.replaceAll(secret, '[secret]');
    return masked;
  };
}

/** RunPod's text form: padded level, the job's id, the message; then the other fields. */
function textLine(json: string): string {
  const { level, requestId, message, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const id = typeof requestId === 'string' ? `${requestId} | ` : '';
  const fields = Object.entries(rest).map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(level).padEnd(7)}| ${id}${String(message)}${fields.join('')}\n`;
}
