// What one life of the server shares between its parts. Made by comfy-process.ts, read by http/routes/*.
import type { InterruptFlag } from './execution/interrupt-flag.ts';
import type { StandInClock } from './execution/run-context.ts';
import type { ExecutionSession } from './execution/session.ts';
import type { ExtraModelPaths } from './extra-model-paths.ts';
import type { FaultController } from './faults/fault-controller.ts';
import type { AiohttpDialect } from './http/answers.ts';
import type { LogBook } from './log-book.ts';
import type { ComfyFolders, ComfyProfile } from './node-definition.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { PromptQueue } from './queue/prompt-queue.ts';
import type { SocketHub } from './websocket/socket-hub.ts';

/** What a prompt accepted by POST /prompt looked like; for `inspect`. */
export interface AcceptedPrompt {
  readonly promptId: string;
  readonly number: unknown;
}

/** Settings that do not change during a life. */
export interface ServerSettings {
  readonly profile: ComfyProfile;
  readonly version: string;
  readonly dialect: AiohttpDialect;
  readonly folders: ComfyFolders & {
    readonly user: string;
    readonly models: string;
    readonly extraModels?: ExtraModelPaths;
  };
  readonly maxUploadBytes: number;
  /** `max_upload_size` as `/features` shows it: the flag in MiB may be fractional. */
  readonly maxUploadMegabytes: number;
  readonly argv: readonly string[];
  readonly orderOutputs: (ids: readonly string[]) => readonly string[];
  /** `--enable-cors-header`; undefined keeps the origin check. */
  readonly corsOrigin: string | undefined;
}

/** The parts. */
export interface ServerContext {
  readonly settings: ServerSettings;
  readonly clock: StandInClock;
  readonly queue: PromptQueue;
  readonly hub: SocketHub;
  readonly session: ExecutionSession;
  readonly registry: NodeRegistry;
  readonly interrupt: InterruptFlag;
  readonly faults: FaultController;
  readonly log: LogBook;
  readonly closing: AbortSignal;
  readonly onAccepted: (prompt: AcceptedPrompt) => void;
  /** When prompts were queued, by id; what the jobs API sorts by. */
  readonly jobTimes: Map<string, { readonly created: number }>;
}

/** `get_queue_info` of the server: the body of `GET /prompt` and of `status`. */
export function queueInfo(remaining: number): unknown {
  return { exec_info: { queue_remaining: remaining } };
}
