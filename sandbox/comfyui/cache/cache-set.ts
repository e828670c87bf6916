// The three caches of an executor: node results, UI results, node states (ComfyUI protocol notes §3.2.3).
import type { DynamicPrompt } from '../execution/dynamic-prompt.ts';
import type { NodeRegistry } from '../node-registry.ts';
import { cacheKey } from './cache-key.ts';
import type { ChangeMarkers } from './change-markers.ts';
import { ClassicCache, ForgetfulCache, LruCache, type NodeCache } from './node-cache.ts';

/** `--cache-classic`, `--cache-lru N`, `--cache-none`. */
export type CacheMode =
  | { readonly kind: 'classic' }
  | { readonly kind: 'lru'; readonly size: number }
  | { readonly kind: 'none' };

/** Where a UI result came from: the ids of the run that made it, which a renumbered copy still reports (§3.2.1). */
export interface UiMeta {
  readonly node_id: string;
  readonly display_node: string;
  readonly parent_node: string | null;
  readonly real_node_id: string;
}

/** What a node showed, with where it came from. */
export interface UiResult {
  readonly output: Readonly<Record<string, readonly unknown[]>>;
  readonly meta: UiMeta;
}

/** A node's outputs: per slot the list of values. */
export type SlotValues = readonly (readonly unknown[])[];

function make<V>(mode: CacheMode): NodeCache<V> {
  if (mode.kind === 'lru' && mode.size > 0) return new LruCache<V>(mode.size);
  return mode.kind === 'none' ? new ForgetfulCache<V>() : new ClassicCache<V>();
}

/** Created when the executor starts and again when `/free` empties it. */
export class CacheSet {
  readonly outputs: NodeCache<SlotValues>;
  readonly ui: NodeCache<UiResult>;
  readonly states: NodeCache<Map<string, unknown>>;

  constructor(mode: CacheMode) {
    this.outputs = make(mode);
    this.ui = make(mode);
    this.states = mode.kind === 'none' ? new ForgetfulCache() : new ClassicCache();
  }

  /** Tells all three which prompt runs now. Rejects for nodes whose key cannot be computed. */
  async startPrompt(prompt: DynamicPrompt, markers: ChangeMarkers, registry: NodeRegistry): Promise<void> {
    const ids = [...prompt.original.keys()];
    const keys = new Map<string, Promise<string>>();
    const signature = (id: string): Promise<string> => {
      let key = keys.get(id);
      if (key === undefined) {
        key = cacheKey({ prompt, markers, registry }, id);
        keys.set(id, key);
      }
      return key;
    };
    await this.outputs.startPrompt({ prompt, keyOf: signature }, ids);
    await this.ui.startPrompt({ prompt, keyOf: signature }, ids);
    const identity = (id: string): Promise<string> => Promise.resolve(`${id}\n${prompt.get(id).classType}`);
    await this.states.startPrompt({ prompt, keyOf: identity }, ids);
  }

  /** Makes room for the nodes an expansion created. */
  async addChildren(parent: string, ids: readonly string[]): Promise<void> {
    for (const cache of [this.outputs, this.ui, this.states]) await cache.addChildren(parent, ids);
  }
}
