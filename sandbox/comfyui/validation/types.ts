// The vocabulary of prompt validation (ComfyUI protocol notes §1.3.3 and §1.3.6).
import type { PyDict } from '../python-json.ts';

/** One reason why a node or a prompt was refused. */
export interface ValidationError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
}

/** What `node_errors` holds for one node. */
export interface NodeErrorEntry {
  readonly errors: readonly ValidationError[];
  readonly dependent_outputs: string[];
  readonly class_type: string;
}

/** The outcome of validating a prompt. */
export interface ValidationResult {
  readonly error: ValidationError | null;
  /** Output nodes that survived; what the queue item's fifth element holds. */
  readonly outputs: readonly string[];
  readonly nodeErrors: ReadonlyMap<string, NodeErrorEntry>;
}

/** A verdict of the recursive node check, kept in the memo shared by all outputs. */
export interface NodeVerdict {
  readonly valid: boolean;
  readonly errors: readonly ValidationError[];
}

/** The posted graph: node id to node object, in posted order. Validation writes coerced constants back into it. */
export type PromptGraph = PyDict;
