// The graph while it runs: what was posted plus what nodes expanded into (ComfyUI protocol notes §2.6 "expansion").
import { NodeError } from '../node-definition.ts';
import { keyError } from '../python-error.ts';
import type { PyDict } from '../python-json.ts';

/** A node the engine can run; `source` is the posted object, which receives `is_changed`. */
export interface GraphNode {
  readonly classType: string;
  readonly inputs: ReadonlyMap<string, unknown>;
  readonly source: PyDict | undefined;
}

interface Ephemeral {
  readonly node: GraphNode;
  readonly parent: string;
  readonly display: string;
}

/** Looks nodes up and knows where run-time nodes came from. */
export class DynamicPrompt {
  readonly original: PyDict;
  private readonly ephemeral = new Map<string, Ephemeral>();

  constructor(original: PyDict) {
    this.original = original;
  }

  has(id: string): boolean {
    return this.original.has(id) || this.ephemeral.has(id);
  }

  /** Throws KeyError for a node without `inputs` or class, and for an unknown id, like the server's look-ups do. */
  get(id: string): GraphNode {
    const made = this.ephemeral.get(id);
    if (made !== undefined) return made.node;
    const source = this.original.get(id);
    if (!(source instanceof Map))
      throw new NodeError('comfy_execution.graph.NodeNotFoundError', `Node ${id} not found`);
    const inputs = source.get('inputs');
    if (!(inputs instanceof Map)) throw keyError('inputs');
    const classType = source.get('class_type');
    if (typeof classType !== 'string') throw keyError('class_type');
    return { classType, inputs, source };
  }

  /** Adds a node made by `parent` while it ran. */
  addEphemeral(id: string, node: GraphNode, parent: string, display: string): void {
    this.ephemeral.set(id, { node, parent, display });
  }

  parentOf(id: string): string | null {
    return this.ephemeral.get(id)?.parent ?? null;
  }

  /** The submitted node a run-time node stems from. */
  realId(id: string): string {
    let at = id;
    for (let made = this.ephemeral.get(at); made !== undefined; made = this.ephemeral.get(at)) at = made.parent;
    return at;
  }

  /** The node a front end would highlight. */
  displayId(id: string): string {
    let at = id;
    for (let made = this.ephemeral.get(at); made !== undefined; made = this.ephemeral.get(at)) at = made.display;
    return at;
  }
}
