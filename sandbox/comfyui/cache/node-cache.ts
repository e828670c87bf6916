// Result caches that live from prompt to prompt (ComfyUI protocol notes §3.2.3). One interface, three behaviours:
// classic keeps what the latest prompt names, LRU keeps recent results up to a size, none keeps a result only until every
// node that reads it ran. Neighbours: cache-set.ts groups outputs, UI results and node states.
// Invariant: results of nodes made at run time live in the sub-cache of their parent and die with it.

import type { DynamicPrompt } from '../execution/dynamic-prompt.ts';
import { asLink } from '../execution/links.ts';

/** How a key is made: by signature for results, by id and class for node states. */
export type KeyFunction = (id: string) => Promise<string>;

/** One prompt as the cache sees it. */
export interface CacheScope {
  readonly prompt: DynamicPrompt;
  readonly keyOf: KeyFunction;
}

/** A cache of `V` by node id of the current prompt. */
export interface NodeCache<V> {
  /** Declares the prompt that runs now and drops what it makes obsolete. */
  startPrompt(scope: CacheScope, ids: readonly string[]): Promise<void>;
  get(id: string): V | undefined;
  set(id: string, value: V): void;
  /** Makes room for nodes that `parent` created. */
  addChildren(parent: string, ids: readonly string[]): Promise<void>;
  /** All ids that have a key, run-time ones included. */
  ids(): string[];
}

class Level<V> {
  keys = new Map<string, string>();
  values = new Map<string, V>();
  children = new Map<string, Level<V>>();

  async assign(scope: CacheScope, ids: readonly string[]): Promise<void> {
    this.keys = new Map();
    for (const id of ids) if (scope.prompt.has(id)) this.keys.set(id, await scope.keyOf(id));
  }

  get(id: string): V | undefined {
    const key = this.keys.get(id);
    return key === undefined ? undefined : this.values.get(key);
  }

  set(id: string, value: V): void {
    const key = this.keys.get(id);
    if (key !== undefined) this.values.set(key, value);
  }

  dropUnused(childName: (id: string) => string): void {
    const used = new Set(this.keys.values());
    for (const key of this.values.keys()) if (!used.has(key)) this.values.delete(key);
    const parents = new Set([...this.keys.keys()].map(childName));
    for (const name of this.children.keys()) if (!parents.has(name)) this.children.delete(name);
  }

  ids(): string[] {
    return [...this.keys.keys(), ...[...this.children.values()].flatMap((child) => child.ids())];
  }
}

/** Sub-caches are found by parent id and class. */
function childName(scope: CacheScope, id: string): string {
  return scope.prompt.has(id) ? `${id}\n${scope.prompt.get(id).classType}` : id;
}

/** `--cache-classic`. */
export class ClassicCache<V> implements NodeCache<V> {
  private readonly root = new Level<V>();
  private scope: CacheScope | undefined;

  async startPrompt(scope: CacheScope, ids: readonly string[]): Promise<void> {
    this.scope = scope;
    await this.root.assign(scope, ids);
    this.root.dropUnused((id) => childName(scope, id));
  }

  get(id: string): V | undefined {
    return this.levelOf(id)?.get(id);
  }

  set(id: string, value: V): void {
    this.levelOf(id)?.set(id, value);
  }

  async addChildren(parent: string, ids: readonly string[]): Promise<void> {
    const { scope } = this;
    const level = this.levelOf(parent);
    if (scope === undefined || level === undefined) return;
    const name = childName(scope, parent);
    const child = level.children.get(name) ?? new Level<V>();
    level.children.set(name, child);
    await child.assign(scope, ids);
    child.dropUnused((id) => childName(scope, id));
  }

  ids(): string[] {
    return this.root.ids();
  }

  private levelOf(id: string): Level<V> | undefined {
    const { scope } = this;
    if (scope === undefined) return undefined;
    const parents: string[] = [];
    for (let parent = scope.prompt.parentOf(id); parent !== null; parent = scope.prompt.parentOf(parent)) {
      parents.unshift(parent);
    }
    let level: Level<V> | undefined = this.root;
    for (const parent of parents) level = level?.children.get(childName(scope, parent));
    return level;
  }
}

/** `--cache-lru N`. Results of run-time nodes share the one table. */
export class LruCache<V> implements NodeCache<V> {
  private readonly size: number;
  private readonly values = new Map<string, V>();
  private readonly usedIn = new Map<string, number>();
  private keys = new Map<string, string>();
  private generation = 0;
  private oldest = 0;
  private scope: CacheScope | undefined;

  constructor(size: number) {
    this.size = size;
  }

  async startPrompt(scope: CacheScope, ids: readonly string[]): Promise<void> {
    this.scope = scope;
    this.keys = new Map();
    this.generation += 1;
    await this.addKeys(ids);
    while (this.values.size > this.size && this.oldest < this.generation) {
      this.oldest += 1;
      for (const key of this.values.keys()) {
        if ((this.usedIn.get(key) ?? 0) < this.oldest) {
          this.values.delete(key);
          this.usedIn.delete(key);
        }
      }
    }
  }

  get(id: string): V | undefined {
    const key = this.touch(id);
    return key === undefined ? undefined : this.values.get(key);
  }

  set(id: string, value: V): void {
    const key = this.touch(id);
    if (key !== undefined) this.values.set(key, value);
  }

  async addChildren(_parent: string, ids: readonly string[]): Promise<void> {
    await this.addKeys(ids);
  }

  ids(): string[] {
    return [...this.keys.keys()];
  }

  private async addKeys(ids: readonly string[]): Promise<void> {
    const { scope } = this;
    if (scope === undefined) return;
    for (const id of ids) {
      if (!this.keys.has(id) && scope.prompt.has(id)) this.keys.set(id, await scope.keyOf(id));
      this.touch(id);
    }
  }

  private touch(id: string): string | undefined {
    const key = this.keys.get(id);
    if (key !== undefined) this.usedIn.set(key, this.generation);
    return key;
  }
}

/** `--cache-none`: starts empty with every prompt and forgets a result once all its readers stored theirs. */
export class ForgetfulCache<V> implements NodeCache<V> {
  private values = new Map<string, V>();
  private readers = new Map<string, Set<string>>();
  private done = new Set<string>();
  private known: string[] = [];

  startPrompt(scope: CacheScope, ids: readonly string[]): Promise<void> {
    this.values = new Map();
    this.readers = new Map(ids.map((id) => [id, new Set<string>()]));
    this.known = [...ids];
    this.done = new Set();
    for (const id of ids) {
      for (const value of scope.prompt.get(id).inputs.values()) {
        const link = asLink(value);
        if (link !== undefined) this.readers.get(link[0])?.add(id);
      }
    }
    return Promise.resolve();
  }

  get(id: string): V | undefined {
    return this.values.get(id);
  }

  set(id: string, value: V): void {
    this.values.set(id, value);
    this.done.add(id);
    for (const [source, readers] of this.readers) {
      if (!readers.has(id) || !this.done.has(source)) continue;
      if ([...readers].every((reader) => this.done.has(reader))) this.values.delete(source);
    }
  }

  addChildren(parent: string, ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.known.push(id);
      this.readers.get(parent)?.add(id);
    }
    return Promise.resolve();
  }

  ids(): string[] {
    return [...this.known];
  }
}
