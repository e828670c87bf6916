/** The errors of a validation in the shape of ComfyUI's own refusal (ComfyUI protocol notes §1.3.3, §1.3.6), for programs that read that already. */
import type { Workflow } from '../../../shared/index.ts';
import type { ObjectInfo } from '../convert/object-info.ts';
import { classContract } from './class-contract.ts';
import { sourcesOf, upstreamOf } from './graph-walk.ts';
import type { ValidationError, WorkflowValidation } from './validation.ts';

/** One error as ComfyUI writes it. */
export interface PromptError {
  readonly type: string;
  readonly message: string;
  readonly details: string;
  readonly extra_info: Readonly<Record<string, unknown>>;
}

/** The body of a 400 answer of `POST /prompt`. */
export interface PromptRefusal {
  readonly error: PromptError;
  readonly node_errors: Readonly<
    Record<
      string,
      {
        readonly errors: readonly PromptError[];
        readonly dependent_outputs: readonly string[];
        readonly class_type: string;
      }
    >
  >;
}

function bare({ type, message, details, extra_info }: ValidationError): PromptError {
  return { type, message, details, extra_info };
}

/** The refusal, or undefined when there is no error. `dependent_outputs` are exactly the outputs that a node feeds. */
export function promptRefusal(
  { errors }: WorkflowValidation,
  workflow: Workflow,
  objectInfo: ObjectInfo,
): PromptRefusal | undefined {
  const [first] = errors;
  if (first === undefined) return undefined;
  // ComfyUI stops at these before it looks at any node.
  const whole =
    errors.find(({ type }) => type === 'invalid_prompt') ?? errors.find(({ type }) => type === 'prompt_no_outputs');
  if (whole !== undefined) return { error: bare(whole), node_errors: {} };
  const isOutput = (id: string) => classContract(objectInfo, workflow[id]?.class_type ?? '')?.isOutput === true;
  const sources = sourcesOf(workflow, () => true);
  const feeds = Object.keys(workflow)
    .filter(isOutput)
    .map((id) => [id, upstreamOf([id], sources)] as const);
  const byNode = Map.groupBy(errors, ({ node = '' }) => node);
  const nodeErrors = [...byNode].map(([node, list]) => {
    const dependent = feeds.filter(([, fed]) => fed.has(node)).map(([id]) => id);
    return [
      node,
      { errors: list.map(bare), dependent_outputs: dependent, class_type: list[0]?.classType ?? '' },
    ] as const;
  });
  const own = errors.filter(({ node }) => node !== undefined && isOutput(node));
  return {
    error: {
      type: 'prompt_outputs_failed_validation',
      message: 'Prompt outputs failed validation',
      details: own.map(({ message, details }) => `${message}: ${details}`).join('\n'),
      extra_info: {},
    },
    node_errors: Object.fromEntries(nodeErrors),
  };
}
