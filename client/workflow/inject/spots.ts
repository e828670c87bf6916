/** A place in a workflow that takes a value, and how places are called in messages. */
import { type ApiNode, nodeTitle, type Workflow } from '../../../shared/index.ts';

/** Inputs of one node that take the same value together: both texts of an SDXL encoder are one prompt. */
export interface Spot {
  readonly node: string;
  readonly classType: string;
  readonly title: string;
  readonly inputs: readonly string[];
}

/** Makes the spot of a node. */
export function spotOf(workflow: Workflow, node: string, inputs: readonly string[]): Spot {
  const found = workflow[node];
  const classType = found?.class_type ?? '';
  return { node, classType, title: found ? nodeTitle(found) : '', inputs };
}

/** Two spots that are the same place. */
export function spotKey(spot: Spot): string {
  return `${spot.node}.${spot.inputs.join('+')}`;
}

/** The same places once, in order. */
export function uniqueSpots(spots: readonly Spot[]): Spot[] {
  return [...new Map(spots.map((spot) => [spotKey(spot), spot])).values()];
}

/** The text in a spot, or undefined where it holds none. */
export function textAt(node: ApiNode | undefined, spot: Spot): string | undefined {
  const value = node?.inputs[spot.inputs[0] ?? ''];
  return typeof value === 'string' ? value : undefined;
}

/** `6.text (CLIPTextEncode "Positive")`. */
export function spotText(spot: Spot): string {
  const title = spot.title === spot.classType ? '' : ` "${spot.title.slice(0, 60)}"`;
  return `${spot.node}.${spot.inputs.join('+')} (${spot.classType.slice(0, 60)}${title})`;
}
