// What a caller of the stand-in may choose, with defaults (docs/sandbox-comfyui.md).
import type { CacheMode } from './cache/cache-set.ts';
import type { StandInClock } from './execution/run-context.ts';
import type { ExtraModelPaths } from './extra-model-paths.ts';
import type { FaultInput } from './faults/fault-schema.ts';
import type { AiohttpDialect } from './http/answers.ts';
import type { LogLevel } from './log-book.ts';
import type { ComfyProfile, NodeDefinition } from './node-definition.ts';
import type { OutMessage } from './websocket/out-message.ts';

/** Folders to use instead of fresh temporary ones. They are not removed on close, but `temp` is emptied at every start. */
export interface StandInDirectories {
  readonly input?: string;
  readonly output?: string;
  /** The real one: what ComfyUI makes of `--temp-directory P` is `P/temp`. */
  readonly temp?: string;
  readonly user?: string;
  readonly models?: string;
}

/** Options of startComfyStandIn. */
export interface ComfyStandInOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port; restarts keep it. */
  readonly port?: number;
  /** Default `baseline`: ComfyUI 0.3.64. */
  readonly profile?: ComfyProfile;
  /** What `/system_stats` reports. Default 0.3.64, or 0.34.0 for `late-2026`. */
  readonly version?: string;
  readonly directories?: StandInDirectories;
  /** More model folders by type. */
  readonly extraModels?: ExtraModelPaths;
  /** `--disable-metadata`. */
  readonly disableMetadata?: boolean;
  /** Default classic. */
  readonly cache?: CacheMode;
  /** Milliseconds between the last event of a prompt and its history entry. Default 0: sub-millisecond, as usual. */
  readonly historyDelayMs?: number;
  /** 10 000 in ComfyUI: so many, plus one, are kept. */
  readonly historyLimit?: number;
  /** Bytes a request body may have, in MiB. Default 100. */
  readonly maxUploadMegabytes?: number;
  /** Armed before the first request. */
  readonly faults?: readonly FaultInput[];
  /** Node classes besides the built-in and the Sandbox ones. */
  readonly nodes?: readonly NodeDefinition[];
  readonly clock?: StandInClock;
  /** Told of every message handed to a socket. */
  readonly onEvent?: (message: OutMessage, clientId: string) => void;
  /** Told of every log write. */
  readonly onLog?: (text: string, level: LogLevel) => void;
  readonly logLevel?: LogLevel;
  /** Closes the stand-in when aborted. */
  readonly signal?: AbortSignal;
  /** Which aiohttp's empty and unknown-path answers. Default: 3.11, as recorded. */
  readonly dialect?: AiohttpDialect;
  /** The order of Python's sets of output ids, arbitrary in ComfyUI. Default: as posted. */
  readonly orderOutputs?: (ids: readonly string[]) => readonly string[];
  /** The regression that leaves cached results out of history when a prompt has no `client_id` (§0.3). */
  readonly cachedUiNeedsClient?: boolean;
  /** Told when a life ends by itself: a crash fault (null: it stays down) or a message that could not be sent. */
  readonly onExit?: (restartAfterMs: number | null) => void;
  /** `argv` of `/system_stats`. */
  readonly argv?: readonly string[];
  /** Folders of custom-node packs that the log says failed to import at the start. */
  readonly failedImports?: readonly string[];
  /** `--enable-cors-header`. */
  readonly corsOrigin?: string;
}

/** The version a profile stands for. */
export function defaultVersion(profile: ComfyProfile): string {
  return profile === 'baseline' ? '0.3.64' : '0.34.0';
}
