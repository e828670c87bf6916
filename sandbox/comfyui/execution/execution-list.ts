// Which node runs next (ComfyUI protocol notes §3.1): nodes wait for the nodes they read; among the ready ones, outputs and
// async nodes come first, then what feeds an output directly, then at one remove, then the first.
// Invariants: 1. only ancestors of the added nodes take part; lazy inputs join when asked for. 2. A node with a cached
// result never joins as an ancestor. 3. Order among equals is the order of joining.

import { NodeError } from '../node-definition.ts';
import { findInput, type NodeRegistry } from '../node-registry.ts';
import { keyError } from '../python-error.ts';
import type { DynamicPrompt } from './dynamic-prompt.ts';
import { asLink, type Link } from './links.ts';

/** What the list asks about nodes. */
export interface ExecutionListContext {
  readonly prompt: DynamicPrompt;
  readonly registry: NodeRegistry;
  isCached(id: string): boolean;
}

/** The next node, or the reason why there is none although some are left. */
export type Staged =
  | { readonly kind: 'node'; readonly id: string }
  | { readonly kind: 'cycle'; readonly blamed: string }
  | { readonly kind: 'empty' };

interface Pending {
  /** How many distinct nodes, plus outstanding async work, this node waits for. */
  blockers: number;
  /** Nodes that wait for this one. */
  readonly blocks: Set<string>;
}

/** The nodes still to run. */
export class ExecutionList {
  private readonly pending = new Map<string, Pending>();
  private readonly context: ExecutionListContext;
  private externalBlocks = 0;
  private notify: (() => void) | undefined;

  constructor(context: ExecutionListContext) {
    this.context = context;
  }

  get isEmpty(): boolean {
    return this.pending.size === 0;
  }

  /** Adds a node and all it needs that is neither cached nor lazy. */
  async addNode(id: string): Promise<void> {
    const stack = [id];
    const links: (readonly [Link, string])[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (this.pending.has(next)) continue;
      this.pending.set(next, { blockers: 0, blocks: new Set() });
      const node = this.context.prompt.get(next);
      const definition = this.context.registry.get(node.classType);
      if (definition === undefined) throw keyError(node.classType);
      const declaration = await this.context.registry.declare(definition);
      for (const [name, value] of node.inputs) {
        const link = asLink(value);
        if (link === undefined || findInput(declaration, name)?.options['lazy'] === true) continue;
        if (this.context.isCached(link[0])) continue;
        stack.push(link[0]);
        links.push([link, next]);
      }
    }
    for (const [link, to] of links) await this.addStrongLink(link[0], to);
  }

  /** `to` must wait for `from`. */
  async addStrongLink(from: string, to: string): Promise<void> {
    if (this.context.isCached(from)) return;
    await this.addNode(from);
    const source = this.pending.get(from);
    const target = this.pending.get(to);
    if (source === undefined || target === undefined || source.blocks.has(to)) return;
    source.blocks.add(to);
    target.blockers += 1;
  }

  /** A lazy input was asked for. Throws when it is absent or a constant. */
  async requireInput(id: string, name: string): Promise<void> {
    const inputs = this.context.prompt.get(id).inputs;
    if (!inputs.has(name)) {
      throw new NodeError(
        'comfy_execution.graph.NodeInputError',
        `Node ${id} says it needs input ${name}, but there is no input to that node at all`,
      );
    }
    const link = asLink(inputs.get(name));
    if (link === undefined) {
      throw new NodeError(
        'comfy_execution.graph.NodeInputError',
        `Node ${id} says it needs input ${name}, but that value is a constant`,
      );
    }
    await this.addStrongLink(link[0], id);
  }

  /** The node waits for work of its own that runs beside others; the returned function ends that. */
  addExternalBlock(id: string): () => void {
    const entry = this.pending.get(id);
    this.externalBlocks += 1;
    if (entry !== undefined) entry.blockers += 1;
    return () => {
      this.externalBlocks -= 1;
      if (entry !== undefined) entry.blockers -= 1;
      this.notify?.();
    };
  }

  /** Picks the next node; waits while only async work is outstanding. */
  async stage(): Promise<Staged> {
    if (this.isEmpty) return { kind: 'empty' };
    let ready = this.readyNodes();
    while (ready.length === 0 && this.externalBlocks > 0) {
      await new Promise<void>((resolve) => {
        this.notify = resolve;
      });
      ready = this.readyNodes();
    }
    if (ready.length === 0) return { kind: 'cycle', blamed: this.blamedNode() };
    return { kind: 'node', id: await this.pick(ready) };
  }

  /** The node ran: whoever waited for it waits for one less. */
  complete(id: string): void {
    const entry = this.pending.get(id);
    this.pending.delete(id);
    for (const blocked of entry?.blocks ?? []) {
      const other = this.pending.get(blocked);
      if (other !== undefined) other.blockers -= 1;
    }
  }

  private readyNodes(): string[] {
    return [...this.pending].filter(([, entry]) => entry.blockers === 0).map(([id]) => id);
  }

  private async pick(ready: readonly string[]): Promise<string> {
    for (const id of ready) if ((await this.isOutput(id)) || this.isAsync(id)) return id;
    for (const id of ready) for (const next of this.blockedBy(id)) if (await this.isOutput(next)) return id;
    for (const id of ready) {
      for (const next of this.blockedBy(id)) {
        for (const second of this.blockedBy(next)) if (await this.isOutput(second)) return id;
      }
    }
    return ready[0] ?? '';
  }

  private blockedBy(id: string): Iterable<string> {
    return this.pending.get(id)?.blocks ?? [];
  }

  private isOutput(id: string): Promise<boolean> {
    return this.context.registry.isOutput(this.context.prompt.get(id).classType);
  }

  private isAsync(id: string): boolean {
    return this.context.registry.get(this.context.prompt.get(id).classType)?.isAsync === true;
  }

  /** Peels off what is not part of a cycle; blames the first run-time node left, else the first node. */
  private blamedNode(): string {
    const blockers = new Map<string, Set<string>>([...this.pending.keys()].map((id) => [id, new Set<string>()]));
    for (const [id, entry] of this.pending) for (const blocked of entry.blocks) blockers.get(blocked)?.add(id);
    for (;;) {
      const free = [...blockers].filter(([, sources]) => sources.size === 0).map(([id]) => id);
      if (free.length === 0) break;
      for (const id of free) {
        blockers.delete(id);
        for (const sources of blockers.values()) sources.delete(id);
      }
    }
    const cycled = [...blockers.keys()];
    for (const id of cycled) {
      const display = this.context.prompt.displayId(id);
      if (display !== id) return display;
    }
    return cycled[0] ?? '';
  }
}
