// Webhooks: one POST per ended job, repeated when the receiver does not take it (RunPod protocol notes §1.11).
import { Client } from 'undici';
import type { Clock } from './clock.ts';
import type { Endpoint } from './endpoint.ts';
import type { EmulatorEvent } from './events.ts';
import type { FaultPlan, FaultScript } from './fault-script.ts';
import { held, pause } from './held.ts';
import type { Job } from './job.ts';
import { webhookBody } from './job-view.ts';

/** What the sender needs of the emulator. */
export interface WebhookHost {
  readonly clock: Clock;
  readonly faults: FaultScript;
  /** Aborts when the emulator closes. */
  readonly signal: AbortSignal;
  emit(event: EmulatorEvent): void;
}

/** Sends webhooks in the background; `settled()` resolves when none is under way. */
export class WebhookSender {
  readonly #host: WebhookHost;
  readonly #running = new Set<Promise<void>>();

  constructor(host: WebhookHost) {
    this.#host = host;
  }

  send(endpoint: Endpoint, job: Job): void {
    const run = this.#deliver(endpoint, job).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** Never rejects: a receiver that can't be reached is the receiver's trouble, as it is with RunPod. */
  async #deliver(endpoint: Endpoint, job: Job): Promise<void> {
    const { clock, signal, emit } = this.#host;
    const { webhookAttempts, webhookRetryMs, webhookTimeoutMs } = endpoint.settings;
    if (job.webhook === undefined) return;
    const url = new URL(job.webhook);
    const body = Buffer.concat(webhookBody(job, clock.now()).map((part) => Buffer.from(part)));
    for (let attempt = 1; attempt <= webhookAttempts && !signal.aborted; attempt += 1) {
      const plan = this.#host.faults.plan({ route: 'webhook', endpointId: endpoint.id, jobId: job.id });
      const status = await this.#attempt(url, body, plan, webhookTimeoutMs).catch(() => undefined);
      if (signal.aborted) return;
      const delivered = status !== undefined && status >= 200 && status < 300;
      emit({ type: 'webhook', at: clock.now(), endpointId: endpoint.id, jobId: job.id, attempt, status, delivered });
      if (delivered) return;
      if (attempt === webhookAttempts) return;
      await pause({ clock, ms: webhookRetryMs, signal, label: 'webhook-retry' }).catch(() => undefined);
    }
  }

  /** One POST on a connection of its own; answers the receiver's status, undefined without one. Redirects are not followed. */
  async #attempt(url: URL, body: Buffer, plan: FaultPlan, timeoutMs: number): Promise<number | undefined> {
    const { clock, signal } = this.#host;
    const { ending } = plan;
    if (plan.delayMs > 0) await pause({ clock, ms: plan.delayMs, signal, label: 'fault-delay' });
    // Faults of an outgoing request: `before` = it is never sent, `after` = it is sent and its answer is lost.
    const unsent = ending && ending.kind !== 'truncate' && ending.at === 'before';
    if (unsent) {
      if (ending.kind === 'hang') await pause({ clock, ms: timeoutMs, signal, label: 'webhook-timeout' });
      return ending.kind === 'answer' ? ending.status : undefined;
    }
    const client = new Client(url.origin);
    const attempt = new AbortController();
    try {
      const status = await held<number | undefined>(
        { clock, ms: timeoutMs, signal, label: 'webhook-timeout' },
        (resolve) => {
          client
            .request({
              method: 'POST',
              path: `${url.pathname}${url.search}`,
              headers: { 'content-type': 'application/json' },
              body,
              signal: attempt.signal,
            })
            .then(async (answer) => {
              await answer.body.dump();
              resolve(answer.statusCode);
            })
            .catch(() => resolve(undefined));
          return () => undefined;
        },
      );
      if (!ending) return status;
      return ending.kind === 'answer' ? ending.status : undefined;
    } finally {
      attempt.abort();
      await client.destroy();
    }
  }
}
