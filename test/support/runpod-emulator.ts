// A RunPod emulator for one test, and hands to play client and worker against it over real HTTP.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Agent, request } from 'undici';
import { afterEach } from 'vitest';
import {
  type RunpodEmulator,
  type RunpodEmulatorOptions,
  startRunpodEmulator,
  type VirtualClock,
  virtualClock,
} from '../../sandbox/runpod/index.ts';

/** An answer, its body read and parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; empty when it is none. Tests say what they expect in it. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** How to send a request; everything is optional. */
export interface Sending {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Encoded as JSON; strings and buffers go as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Authorization header; null = none. Default: the emulator's key, as `Bearer`. */
  readonly authorization?: string | null;
  readonly signal?: AbortSignal;
}

/** A job as job-take hands it out. */
export interface TakenJob {
  readonly id: string;
  readonly input?: unknown;
  readonly [key: string]: unknown;
}

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs `cleanup` after the current test, last registered first. */
export function afterThisTest(cleanup: () => Promise<void>): void {
  cleanups.push(cleanup);
}

/** A worker of one endpoint, as RunPod sees it: plain requests, no SDK. */
export class FakeWorker {
  readonly id: string;
  readonly #bench: Bench;

  constructor(bench: Bench, id: string) {
    this.#bench = bench;
    this.id = id;
  }

  send(path: string, sending: Sending = {}): Promise<Answer> {
    return this.#bench.send(path, { authorization: 'sandbox', ...sending });
  }

  take(signal?: AbortSignal): Promise<Answer> {
    return this.send(`job-take/${this.id}?gpu=LOCAL&job_in_progress=0`, signal ? { signal } : {});
  }

  takeBatch(size: number): Promise<Answer> {
    return this.send(`job-take-batch/${this.id}?gpu=LOCAL&batch_size=${size}&job_in_progress=0`);
  }

  /** Takes one job and fails when there is none. */
  async takeJob(): Promise<TakenJob> {
    const answer = await this.take();
    if (answer.status !== 200) throw new Error(`job-take answered ${answer.status}`);
    return answer.json as TakenJob;
  }

  /** Posts a result the way the SDK does: JSON under a form's content type. */
  done(jobId: string, body: unknown): Promise<Answer> {
    return this.send(`job-done/${this.id}/${jobId}?gpu=LOCAL&isStream=false`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-request-id': jobId },
    });
  }

  progress(jobId: string, output: unknown): Promise<Answer> {
    return this.done(jobId, { status: 'IN_PROGRESS', output });
  }

  chunk(jobId: string, output: unknown): Promise<Answer> {
    return this.send(`job-stream/${this.id}/${jobId}?gpu=LOCAL&isStream=false`, { method: 'POST', body: { output } });
  }

  ping(query = ''): Promise<Answer> {
    return this.send(`ping/${this.id}?gpu=LOCAL${query}`);
  }

  stop(signal?: AbortSignal): Promise<Answer> {
    return this.send(`job-stop/${this.id}?gpu=LOCAL`, signal ? { signal } : {});
  }
}

/** An emulator with everything a test needs around it. */
export class Bench {
  readonly emulator: RunpodEmulator;
  readonly clock: VirtualClock;
  readonly agent: Agent;

  constructor(emulator: RunpodEmulator, clock: VirtualClock) {
    this.emulator = emulator;
    this.clock = clock;
    this.agent = new Agent();
  }

  worker(id = 'w1'): FakeWorker {
    return new FakeWorker(this, id);
  }

  /** Sends to a path under the first endpoint (`run`, `status/ID`, ...), or to a full URL. */
  async send(path: string, sending: Sending = {}): Promise<Answer> {
    const {
      method = sending.body === undefined ? 'GET' : 'POST',
      body,
      authorization = 'Bearer sandbox',
      signal,
    } = sending;
    const url = /^http/.test(path) ? path : `${this.emulator.endpointUrl(this.emulator.endpointIds[0] ?? '')}/${path}`;
    const raw = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined ? body : JSON.stringify(body);
    const answer = await request(url, {
      method,
      dispatcher: this.agent,
      headers: {
        ...(authorization === null ? {} : { authorization }),
        'content-type': 'application/json',
        ...sending.headers,
      },
      ...(raw === undefined ? {} : { body: raw }),
      ...(signal ? { signal } : {}),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text, json: parse(text) };
  }

  /** Submits and answers the job's id. */
  async run(body: unknown = { input: { n: 1 } }): Promise<string> {
    const answer = await this.send('run', { body });
    if (answer.status !== 200) throw new Error(`run answered ${answer.status}: ${answer.text}`);
    return String(answer.json['id']);
  }

  status(jobId: string): Promise<Answer> {
    return this.send(`status/${jobId}`);
  }

  /** Waits until this many requests of a route are under way or done. */
  seen(route: Parameters<RunpodEmulator['inspect']['requestsSeen']>[0], count: number): Promise<void> {
    return until(() => this.emulator.inspect.requestsSeen(route).length >= count);
  }

  /** Waits until a timer with this label waits on the virtual clock. */
  waiting(label: string, count = 1): Promise<void> {
    return until(() => this.clock.pending(label) >= count);
  }

  /** Whether a request is answered by now; two full round trips later everything that was due has been written. */
  async isSettled(promise: Promise<unknown>): Promise<boolean> {
    for (let trip = 0; trip < 2; trip += 1) await this.send('health');
    const open = Symbol('open');
    return (await Promise.race([promise.catch(() => undefined), Promise.resolve(open)])) !== open;
  }

  /** A bare connection, for requests that no HTTP client would send. */
  async socket(): Promise<Socket> {
    const { hostname, port } = new URL(this.emulator.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    afterThisTest(async () => void socket.destroy());
    await once(socket, 'connect');
    return socket;
  }
}

/** Starts an emulator on a virtual clock, gone after the test. */
export async function startBench(options: RunpodEmulatorOptions = {}): Promise<Bench> {
  const clock = virtualClock();
  const bench = new Bench(await startRunpodEmulator({ clock, ...options }), clock);
  afterThisTest(async () => {
    await bench.emulator.close();
    await bench.agent.destroy();
  });
  return bench;
}

/** Waits until a condition on observable state holds; fails after 10 seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}
