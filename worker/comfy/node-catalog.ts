/**
 * The node classes of a ComfyUI, from `/object_info`. The full answer is 2-20 MB and fails as a whole when one class can't be
 * declared (ComfyUI protocol notes §1.10), so it is asked for once and classes are asked for one by one when it fails or lacks them.
 */
import { raceSignal } from '../../shared/index.ts';
import { type ComfyHttp, parseAnswer, transportFailure, unexpectedStatus } from './http.ts';
import type { NodeClass, NodeInput } from './types.ts';
import { isRecord, listOf, recordOf, textOf } from './value-guards.ts';

const uploadMarks = ['image_upload', 'video_upload', 'audio_upload', 'file_upload'] as const;

/** Reads one class of `/object_info`. V1 combos are lists, V3 combos are `COMBO`. */
export function readNodeClass(name: string, declared: unknown): NodeClass {
  const node = recordOf(declared);
  const groups = recordOf(node['input']);
  const inputs = new Map<string, NodeInput>();
  for (const group of ['required', 'optional'] as const) {
    for (const [input, declaration] of Object.entries(recordOf(groups[group]))) {
      const [type, options] = listOf(declaration);
      const marks = recordOf(options);
      inputs.set(input, {
        type: Array.isArray(type) ? 'COMBO' : (textOf(type) ?? '*'),
        upload: uploadMarks.some((mark) => marks[mark] === true),
      });
    }
  }
  return { name, outputNode: node['output_node'] === true, inputs };
}

/** Classes of one server run. Forgets everything on `clear`, for after a restart. */
export class NodeCatalog {
  readonly #http: ComfyHttp;
  readonly #classes = new Map<string, NodeClass>();
  #full: Promise<void> | undefined;

  constructor(http: ComfyHttp) {
    this.#http = http;
  }

  /** Forgets what is known. */
  clear(): void {
    this.#full = undefined;
    this.#classes.clear();
  }

  /** The classes that exist among `names`. A name that is absent from the answer does not exist. */
  async describe(names: Iterable<string>, signal: AbortSignal): Promise<ReadonlyMap<string, NodeClass>> {
    const wanted = new Set(names);
    if ([...wanted].some((name) => !this.#classes.has(name))) {
      // Shared by all callers, so one caller's signal must not end it; the client's own time-out does.
      this.#full ??= this.#loadAll().catch((error: unknown) => {
        this.#full = undefined;
        throw error;
      });
      await raceSignal(this.#full, signal);
    }
    const found = new Map<string, NodeClass>();
    for (const name of wanted) {
      const known = this.#classes.get(name) ?? (await this.#loadOne(name, signal));
      if (known) found.set(name, known);
    }
    return found;
  }

  async #loadAll(): Promise<void> {
    let answer: unknown;
    try {
      answer = await this.#http.json({ path: '/object_info' });
    } catch (error) {
      if (transportFailure(error)) throw error;
      return;
    }
    for (const [name, declared] of Object.entries(recordOf(answer))) {
      this.#classes.set(name, readNodeClass(name, declared));
    }
  }

  async #loadOne(name: string, signal: AbortSignal): Promise<NodeClass | undefined> {
    if (!fitsPath(name)) return undefined;
    const request = { path: `/object_info/${encodeURIComponent(name)}`, signal };
    const answer = await this.#http.send(request);
    // The class exists but can't be declared. Counted as an output node, so that it is not pruned away.
    if (answer.status === 500) return { name, outputNode: true, inputs: new Map() };
    if (answer.status !== 200) throw unexpectedStatus(request, answer);
    const found = recordOf(parseAnswer(request, answer));
    const declared = Object.hasOwn(found, name) ? found[name] : undefined;
    if (!isRecord(declared)) return undefined;
    const read = readNodeClass(name, declared);
    this.#classes.set(name, read);
    return read;
  }
}

/** False for a name that no address can hold: it would ask for something else, and no class is called that. */
function fitsPath(name: string): boolean {
  return name !== '.' && name !== '..' && name.isWellFormed();
}
