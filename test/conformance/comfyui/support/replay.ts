// Replays one recording against the stand-in: same sockets, same requests, in the recorded order; returns both sides in
// comparable form. A request is sent once every message recorded before it has arrived; nothing waits for a clock.
import type { ComfyStandIn } from '../../../../sandbox/comfyui/index.ts';
import { call, type HttpAnswer } from './http-client.ts';
import type { FormPart } from './multipart-body.ts';
import { normalise, type Translation } from './normalise.ts';
import { eventually } from './prompts.ts';
import type { RecordedEvent, Recording, WsMessage } from './recording.ts';
import { SocketClient } from './socket-client.ts';
import { uploadBytes } from './upload-bytes.ts';

/** Recorded and replayed, side by side. */
export interface Comparison {
  readonly what: string;
  readonly recorded: unknown;
  readonly actual: unknown;
}

interface ReplayedClient {
  readonly id: string;
  readonly expected: WsMessage[];
  readonly past: WsMessage[];
  open: SocketClient | undefined;
}

/** Client ids of a recording's sockets: what their first message says. */
function clientIdOf(events: readonly RecordedEvent[], client: string): string {
  for (const event of events) {
    const sid = event.kind === 'ws' && event.client === client ? event.json.data['sid'] : undefined;
    if (typeof sid === 'string') return sid;
  }
  return client;
}

class Replay {
  private readonly standIn: ComfyStandIn;
  private readonly recording: Recording;
  private readonly translation: Translation;
  private readonly clients = new Map<string, ReplayedClient>();
  private readonly comparisons: Comparison[] = [];
  private readonly uploads: string[] = [];
  private answer: HttpAnswer | undefined;

  constructor(standIn: ComfyStandIn, recording: Recording, translation: Translation) {
    this.standIn = standIn;
    this.recording = recording;
    this.translation = translation;
  }

  async run(): Promise<Comparison[]> {
    try {
      for (const [index, event] of this.recording.events.entries()) await this.step(event, index);
      await this.waitForAll();
      for (const client of this.clients.values()) this.compareMessages(client);
      return this.comparisons;
    } finally {
      for (const client of this.clients.values()) await client.open?.close();
    }
  }

  private async step(event: RecordedEvent, index: number): Promise<void> {
    switch (event.kind) {
      case 'ws':
        (await this.client(event.client)).expected.push(event.json);
        return;
      case 'request':
        await this.waitForAll();
        await eventually(() => this.isWorkerBusyOrIdle(), 'the worker to take what it can');
        this.answer = await this.send(event);
        return;
      case 'response':
        this.compareAnswer(event, index);
        return;
      case 'history_visible':
        await this.waitForAll();
        return;
      case 'note':
        await this.act(event.note);
    }
  }

  private async client(name: string): Promise<ReplayedClient> {
    let client = this.clients.get(name);
    if (client === undefined) {
      const id = clientIdOf(this.recording.events, name);
      client = { id, expected: [], past: [], open: undefined };
      this.clients.set(name, client);
    }
    if (client.open === undefined) {
      client.open = await SocketClient.open(this.standIn.url, client.id);
      if (name === 'ff') {
        client.open.socket.send(JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } }));
      }
    }
    return client;
  }

  private async waitForAll(): Promise<void> {
    for (const client of this.clients.values()) {
      const wanted = client.expected.length - client.past.length;
      await client.open?.until(() => (client.open?.messages.length ?? 0) >= wanted, `${wanted} messages`, 60_000);
    }
  }

  /** As in all recordings: a prompt posted before has been taken up when the next request is sent. */
  private isWorkerBusyOrIdle(): boolean {
    const { running, pending } = this.standIn.inspect.queue();
    return running.length > 0 || pending.length === 0;
  }

  private async act(note: string): Promise<void> {
    if (note === 'socket closed mid-run') {
      await this.waitForAll();
      const client = [...this.clients.values()].at(-1);
      client?.past.push(...(client.open?.messages ?? []));
      await client?.open?.close();
      if (client !== undefined) client.open = undefined;
    }
  }

  private async send(event: RecordedEvent & { kind: 'request' }): Promise<HttpAnswer> {
    const target = this.translation.text(event.path).replace(/[^/]+$/, (last) => this.translation.idOf(last));
    if (event.path === '/upload/image') return await this.upload(event.note ?? '');
    const body = event.method === 'GET' ? undefined : (event.json ?? 'this is not JSON');
    const translated = typeof body === 'object' ? this.translateIds(body) : body;
    return await call(this.standIn.url, target, { method: event.method, body: translated });
  }

  private translateIds(body: unknown): unknown {
    return JSON.parse(JSON.stringify(body), (_key, value: unknown) =>
      typeof value === 'string' ? this.translation.idOf(value) : value,
    );
  }

  private async upload(note: string): Promise<HttpAnswer> {
    const match = /^multipart: image=(.*) \((\d+) bytes\) (.*)$/.exec(note);
    const filename = match?.[1] ?? '';
    const bytes = uploadBytes(this.recording.name, this.uploads.length, Number(match?.[2]));
    this.uploads.push(filename);
    // aiohttp's client percent-encodes the slash of a file name.
    const form: FormPart[] = [{ name: 'image', value: bytes, filename: filename.replace('/', '%2F') }];
    for (const field of (match?.[3] ?? '').matchAll(/'(\w+)': '([^']*)'/g)) {
      form.push({ name: field[1] ?? '', value: field[2] ?? '' });
    }
    return await call(this.standIn.url, '/upload/image', { form });
  }

  private compareAnswer(event: RecordedEvent & { kind: 'response' }, index: number): void {
    const { answer } = this;
    const recordedId = (event.json as { prompt_id?: unknown } | null)?.prompt_id;
    const actualId = (answer?.json as { prompt_id?: unknown } | null | undefined)?.prompt_id;
    if (typeof recordedId === 'string' && typeof actualId === 'string') {
      this.translation.learnId(recordedId, actualId);
    }
    const body = answer?.json ?? { _bytes: answer?.bytes.length, _text: answer?.text };
    this.translation.pairLetters(event.json, body);
    this.comparisons.push({
      what: `answer ${index}`,
      recorded: {
        status: event.status,
        contentType: event.content_type,
        body: normalise(event.json, this.translation),
      },
      actual: { status: answer?.status, contentType: answer?.contentType, body: normalise(body) },
    });
  }

  private compareMessages(client: ReplayedClient): void {
    const actual = [...client.past, ...(client.open?.messages ?? [])];
    this.translation.pairLetters(client.expected, actual);
    const recorded = client.expected.map((message) => normalise(message, this.translation));
    this.comparisons.push({
      what: `messages to ${client.id}`,
      recorded,
      actual: actual.map((message) => normalise(message)),
    });
  }
}

/** Replays and returns everything to compare. */
export async function replay(
  standIn: ComfyStandIn,
  recording: Recording,
  translation: Translation,
): Promise<Comparison[]> {
  return await new Replay(standIn, recording, translation).run();
}
