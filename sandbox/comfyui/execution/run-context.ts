// The NodeContext handed to a running node: everything it may touch, bound to one node of one prompt.
// Neighbours: node-runner.ts makes one per call, progress-registry.ts announces, save-path.ts numbers files.
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { ComfyFolders, ComfyProfile, NodeContext, PreviewImage, SavePath } from '../node-definition.ts';
import { encodePyJson, type PyDict, type PyValue } from '../python-json.ts';
import { textFrame } from '../websocket/binary-frames.ts';
import type { InterruptFlag } from './interrupt-flag.ts';
import { extraPngInfoJson } from './node-inputs.ts';
import type { ProgressRegistry } from './progress-registry.ts';
import { resolveSavePath } from './save-path.ts';
import type { ExecutionSession } from './session.ts';

/** Time as the stand-in sees it. */
export interface StandInClock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** What stays the same for all nodes of a prompt. */
export interface PromptEnvironment {
  readonly promptId: string;
  readonly prompt: PyDict;
  readonly extraData: PyValue;
  readonly folders: ComfyFolders;
  readonly profile: ComfyProfile;
  readonly disableMetadata: boolean;
  readonly clock: StandInClock;
  readonly interrupt: InterruptFlag;
  readonly progress: ProgressRegistry;
  readonly session: ExecutionSession;
  /** Aborted when the server closes. */
  readonly closing: AbortSignal;
}

/** Makes the context of one call of one node. */
export function createNodeContext(
  environment: PromptEnvironment,
  nodeId: string,
  callIndex: number,
  state: Map<string, unknown>,
): NodeContext {
  const { clock, interrupt, promptId, session } = environment;
  const signal = AbortSignal.any([environment.closing, interrupt.signal]);
  return {
    folders: environment.folders,
    profile: environment.profile,
    disableMetadata: environment.disableMetadata,
    nodeId,
    promptId,
    callIndex,
    state,
    signal,
    promptJson: () => encodePyJson(environment.prompt),
    extraPngInfoJson: () => extraPngInfoJson(environment.extraData),
    throwIfInterrupted: () => interrupt.throwIfRaised(),
    async progress(value: number, max: number, preview?: PreviewImage): Promise<void> {
      interrupt.throwIfRaised();
      environment.progress.update(nodeId, value, max, preview);
      await eventLoopTurn();
    },
    sendText(text: string): void {
      session.sendFrame('text', textFrame(nodeId, text), promptId);
    },
    now: () => clock.now(),
    async sleep(ms: number, options?: { readonly interruptible?: boolean }): Promise<void> {
      try {
        await clock.sleep(ms, options?.interruptible === true ? signal : environment.closing);
      } catch (error) {
        interrupt.throwIfRaised();
        throw error;
      }
    },
    getSavePath(prefix: string, base: string, width = 0, height = 0): Promise<SavePath> {
      return resolveSavePath(prefix, base, { width, height }, new Date(clock.now()));
    },
  };
}
