// Change markers of one prompt (ComfyUI protocol notes §3.2.2): what makes a cached result stale although no input changed.
// Invariants: 1. asked for every node of the prompt, reachable or not, once. 2. A marker posted by the client wins.
// 3. The computed marker is written into the posted node object, where file metadata shows it. 4. A failing one is NaN.

import type { DynamicPrompt } from '../execution/dynamic-prompt.ts';
import { asLink } from '../execution/links.ts';
import { findInput, type NodeRegistry } from '../node-registry.ts';
import { keyError, pythonErrorInfo } from '../python-error.ts';
import type { PyValue } from '../python-json.ts';
import { toPlain } from '../python-json.ts';
import { pyFloat } from '../python-number.ts';

/** Computes and remembers markers. */
export class ChangeMarkers {
  private readonly known = new Map<string, PyValue>();
  private readonly prompt: DynamicPrompt;
  private readonly registry: NodeRegistry;
  private readonly warn: (line: string) => void;

  constructor(prompt: DynamicPrompt, registry: NodeRegistry, warn: (line: string) => void) {
    this.prompt = prompt;
    this.registry = registry;
    this.warn = warn;
  }

  /** The node's marker; false for a class without one. Rejects only for nodes the engine cannot read at all. */
  async get(id: string): Promise<PyValue> {
    const known = this.known.get(id);
    if (known !== undefined) return known;
    const marker = await this.compute(id);
    this.known.set(id, marker);
    return marker;
  }

  private async compute(id: string): Promise<PyValue> {
    const node = this.prompt.get(id);
    const definition = this.registry.get(node.classType);
    if (definition === undefined) throw keyError(node.classType);
    if (definition.isChanged === undefined) return false;
    const posted = node.source?.get('is_changed');
    if (posted !== undefined) return posted;
    let marker: PyValue;
    try {
      const declaration = await this.registry.declare(definition);
      const constants: Record<string, unknown> = {};
      for (const [name, value] of node.inputs) {
        if (findInput(declaration, name) === undefined) continue;
        constants[name] = asLink(value) === undefined ? toPlain(value as PyValue) : undefined;
      }
      const answer = await definition.isChanged(constants, this.registry.declarationContext);
      marker = [answer as PyValue];
    } catch (error) {
      this.warn(`WARNING: ${pythonErrorInfo(error).message}`);
      marker = pyFloat(Number.NaN);
    }
    node.source?.set('is_changed', marker);
    return marker;
  }
}
