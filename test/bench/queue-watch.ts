/**
 * Watches a ComfyUI's queue through the status broadcasts that every socket gets (ComfyUI protocol notes §2.4): ComfyUI's own view of when
 * it was busy, independent of the worker's.
 */
import { performance } from 'node:perf_hooks';
import WebSocket from 'ws';

/** One stretch in which the queue was not empty; monotonic milliseconds. */
export interface BusyStretch {
  readonly from: number;
  readonly to: number;
}

/** Collects the stretches in which ComfyUI was busy. */
export class QueueWatch implements AsyncDisposable {
  readonly stretches: BusyStretch[] = [];
  /** Idle time after each prompt, milliseconds: none when the next one was queued already. The last prompt has no entry. */
  readonly gaps: number[] = [];
  #remaining = 0;
  #idleSince: number | undefined;
  #since: number | undefined;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data, binary) => {
      if (!binary) this.#see(String(data));
    });
  }

  static async open(url: string): Promise<QueueWatch> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?clientId=bench-${process.pid}`);
    const watch = new QueueWatch(socket);
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    return watch;
  }

  #see(text: string): void {
    const now = performance.now();
    const message = JSON.parse(text) as {
      type: string;
      data: { status?: { exec_info?: { queue_remaining?: number } } };
    };
    if (message.type !== 'status') return;
    const remaining = message.data.status?.exec_info?.queue_remaining ?? 0;
    if (remaining > this.#remaining && this.#idleSince !== undefined) {
      this.gaps.push(now - this.#idleSince);
      this.#idleSince = undefined;
    }
    if (remaining < this.#remaining) {
      if (remaining > 0) this.gaps.push(0);
      else this.#idleSince = now;
    }
    this.#remaining = remaining;
    if (remaining > 0) this.#since ??= now;
    else if (this.#since !== undefined) {
      this.stretches.push({ from: this.#since, to: now });
      this.#since = undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    await new Promise((resolve) => {
      this.#socket.once('close', resolve);
      this.#socket.close();
    });
  }
}
