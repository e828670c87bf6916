// What ComfyUI keeps in attributes of its server object while prompts run (ComfyUI protocol notes §2.1, §2.3), plus the ways
// to send. Neighbours: executor.ts and node-runner.ts write it, websocket/connection.ts reads it on reconnect.
import type { OutMessage } from '../websocket/out-message.ts';
import type { SocketHub } from '../websocket/socket-hub.ts';

/** The running prompt's addressee and position. */
export class ExecutionSession {
  /** `client_id` of the prompt that runs or ran last; null when it had none. May be any JSON value. */
  clientId: unknown = null;
  /** Display id of the node announced last; null between prompts. */
  lastNodeId: string | null = null;
  private readonly hub: SocketHub;

  constructor(hub: SocketHub) {
    this.hub = hub;
  }

  /** Whether the prompt has a client: most events are not sent at all without one. */
  get hasClient(): boolean {
    return this.clientId !== null && this.clientId !== undefined;
  }

  /** Sends to the prompt's client, or to everyone when it has none. */
  send(event: string, data: unknown, promptId: string | undefined): void {
    this.hub.enqueue({ kind: 'json', event, data, to: this.clientId ?? null, promptId });
  }

  /** Sends to everyone. */
  broadcast(event: string, data: unknown): void {
    this.hub.enqueue({ kind: 'json', event, data, to: null, promptId: undefined });
  }

  sendFrame(event: (OutMessage & { kind: 'binary' })['event'], frame: Uint8Array, promptId: string): void {
    this.hub.enqueue({ kind: 'binary', event, frame, to: this.clientId ?? null, promptId });
  }

  /** Whether previews go out as type 4 frames instead of type 1. */
  get wantsPreviewMetadata(): boolean {
    return this.hub.wantsPreviewMetadata(this.clientId);
  }
}
