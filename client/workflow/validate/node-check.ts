/** What the checks of one node share: what they go by, and how they say where something is. */
import { type ApiNode, nodeTitle, type Workflow } from '../../../shared/index.ts';
import type { ClassContract, InputContract } from './class-contract.ts';
import type { Findings } from './findings.ts';

/** What the check of a node goes by. */
export interface NodeCheck {
  readonly id: string;
  readonly node: ApiNode;
  readonly contract: ClassContract;
  readonly workflow: Workflow;
  readonly contractOf: (classType: string) => ClassContract | undefined;
  /** True: what the declarations lack is missing where the workflow runs. */
  readonly exact: boolean;
  readonly models: Readonly<Record<string, readonly string[]>>;
  readonly findings: Findings;
}

/** What every error says about where it is. */
export function place({ id, node }: Pick<NodeCheck, 'id' | 'node'>, input?: string) {
  const title = nodeTitle(node);
  return {
    node: id,
    classType: node.class_type,
    ...(title !== node.class_type && { title }),
    ...(input !== undefined && { input }),
  };
}

/** `[type, options]`, as ComfyUI repeats the declaration. */
export function inputConfig(input: Pick<InputContract, 'declared' | 'options'>): unknown[] {
  return [input.declared, input.options];
}

/** A node as messages name it. */
export function where({ id, node }: Pick<NodeCheck, 'id' | 'node'>): string {
  const title = nodeTitle(node).slice(0, 80);
  return title === node.class_type ? `node ${id} (${title})` : `node ${id} (${title}, ${node.class_type.slice(0, 80)})`;
}
