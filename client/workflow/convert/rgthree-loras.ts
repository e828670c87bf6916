/** The one widely used custom node whose values neither its declaration nor its slots name: each row of the table becomes `lora_1`, `lora_2`, … */
import type { EditorNode } from './editor-graph.ts';
import { isObject, own } from './json-values.ts';

/** Named values of a `Power Lora Loader (rgthree)`; undefined for any other node. */
export function powerLoras(node: EditorNode): Map<string, unknown> | undefined {
  if (node.type !== 'Power Lora Loader (rgthree)' || !Array.isArray(node.values)) return undefined;
  const rows = (node.values as unknown[]).filter((value) => isObject(value) && own(value, 'lora') !== undefined);
  return new Map(rows.map((row, index) => [`lora_${index + 1}`, row]));
}
