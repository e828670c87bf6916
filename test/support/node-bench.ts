// Runs single node classes of the ComfyUI stand-in, and small graphs of them, without a server: for tests of what nodes
// compute. The context is a plain one: no queue, no interrupt, save paths numbered in an empty folder.
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ComfyFolders, NodeContext, NodeResult, SavePath } from '../../sandbox/comfyui/node-definition.ts';
import { imageNodes } from '../../sandbox/comfyui/nodes/index.ts';

/** A graph in API format. */
export type Graph = Readonly<
  Record<string, { readonly class_type: string; readonly inputs: Readonly<Record<string, unknown>> }>
>;

/** What a node was told and may leave behind. */
export interface BenchOptions {
  readonly prompt?: string;
  readonly extraPngInfo?: ReadonlyMap<string, string>;
  readonly disableMetadata?: boolean;
  readonly profile?: NodeContext['profile'];
  readonly state?: Map<string, unknown>;
}

async function nextSavePath(prefix: string, base: string, width: number, height: number): Promise<SavePath> {
  const filled = prefix.replaceAll('%width%', String(width)).replaceAll('%height%', String(height));
  const parent = dirname(filled);
  const subfolder = parent === '.' ? '' : parent;
  const filename = filled.slice(filled.lastIndexOf('/') + 1);
  const folder = join(base, subfolder);
  await mkdir(folder, { recursive: true });
  const used = (await readdir(folder))
    .filter((name) => name.startsWith(`${filename}_`))
    .map((name) => Number.parseInt(name.slice(filename.length + 1), 10) || 0);
  return { folder, filename, counter: Math.max(0, ...used) + 1, subfolder };
}

/** Temporary folders of a server and the means to run nodes in them. Dispose with `await using`. */
export class NodeBench {
  readonly folders: ComfyFolders;
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
    this.folders = { input: join(root, 'input'), output: join(root, 'output'), temp: join(root, 'temp') };
  }

  /** Makes the folders. */
  static async open(): Promise<NodeBench> {
    const bench = new NodeBench(await mkdtemp(join(tmpdir(), 'node-bench-')));
    await Promise.all(Object.values(bench.folders).map((folder: string) => mkdir(folder)));
    return bench;
  }

  /** A context for one call. */
  context(options: BenchOptions = {}): NodeContext {
    return {
      folders: this.folders,
      profile: options.profile ?? 'baseline',
      nodeId: '1',
      callIndex: 0,
      promptId: 'bench',
      promptJson: () => options.prompt ?? '{}',
      extraPngInfoJson: () => options.extraPngInfo ?? new Map(),
      disableMetadata: options.disableMetadata ?? false,
      state: options.state ?? new Map(),
      signal: new AbortController().signal,
      throwIfInterrupted: () => undefined,
      progress: async () => undefined,
      sendText: () => undefined,
      now: () => Date.now(),
      sleep: async () => undefined,
      getSavePath: (prefix, base, width = 0, height = 0) => nextSavePath(prefix, base, width, height),
    };
  }

  /** Runs one class. */
  async run(classType: string, inputs: Readonly<Record<string, unknown>>, options?: BenchOptions): Promise<NodeResult> {
    return definitionOf(classType).execute(inputs, this.context(options));
  }

  /** Runs a graph and returns every node's result by node id. */
  async runGraph(graph: Graph, options?: BenchOptions): Promise<ReadonlyMap<string, NodeResult>> {
    const results = new Map<string, NodeResult>();
    const resultOf = async (id: string): Promise<NodeResult> => {
      const known = results.get(id);
      if (known !== undefined) return known;
      const node = graph[id];
      if (node === undefined) throw new Error(`the graph has no node ${id}`);
      const inputs: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(node.inputs)) {
        inputs[name] = isLink(value) ? (await resultOf(value[0])).outputs[value[1]] : value;
      }
      const result = await this.run(node.class_type, inputs, options);
      results.set(id, result);
      return result;
    };
    for (const id of Object.keys(graph)) await resultOf(id);
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
  }
}

/** A class of the stand-in by name. */
export function definitionOf(classType: string): (typeof imageNodes)[number] {
  const definition = imageNodes.find((node) => node.classType === classType);
  if (definition === undefined) throw new Error(`the stand-in has no class ${classType}`);
  return definition;
}

function isLink(value: unknown): value is [string, number] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && typeof value[1] === 'number';
}
