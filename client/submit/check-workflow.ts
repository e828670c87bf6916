/** The last look at a workflow before it is paid for: what ComfyUI would refuse is an error here, and costs nothing. */
import { ComfyRunpodError, type ErrorCode, type ErrorIssue, limits, type Workflow } from '../../shared/index.ts';
import type { Declarations } from '../introspection/declarations.ts';
import { validateWorkflow } from '../workflow/validate/validate-workflow.ts';
import type { ValidationError, WorkflowValidation } from '../workflow/validate/validation.ts';

/** Options of {@link checkWorkflow}. */
export interface CheckOptions {
  /** Largest result that travels in one answer, bytes; for advice on large pictures. */
  readonly resultBytes?: number;
}

/** Validates by what is known of the ComfyUI that runs it. */
export function checkWorkflow(
  workflow: Workflow,
  declarations: Declarations,
  { resultBytes }: CheckOptions = {},
): WorkflowValidation {
  const { objectInfo, exact, from, classNames, models, failedPacks } = declarations;
  return validateWorkflow(workflow, objectInfo, {
    exact,
    from,
    ...(classNames && { classNames }),
    ...(models && { models }),
    ...(failedPacks && { failedPacks }),
    ...(resultBytes !== undefined && { resultBytes }),
  });
}

/** One error in words, with the names that may have been meant. */
export function errorSentence({ node, classType, title, summary, nearest = [] }: ValidationError): string {
  const name = title === undefined ? classType : `${title}, ${classType}`;
  const where = node === undefined ? '' : `node ${node} (${(name ?? '').slice(0, 120)}): `;
  return `${where}${withNearest(summary, nearest)}`;
}

/** A sentence and the names that may have been meant. */
export function withNearest(text: string, nearest: readonly string[] = []): string {
  return nearest.length === 0 ? text : `${text}; near: ${nearest.map((name) => name.slice(0, 120)).join(', ')}`;
}

/** The coded error for a workflow with errors: `WORKFLOW_UNKNOWN_NODE`, `WORKFLOW_NO_OUTPUT` or `WORKFLOW_REJECTED`; undefined without errors. */
export function refusalOf({ errors }: WorkflowValidation, { from }: Declarations): ComfyRunpodError | undefined {
  const [first] = errors;
  if (first === undefined) return undefined;
  const code: ErrorCode = errors.some(({ type }) => type === 'invalid_prompt')
    ? 'WORKFLOW_UNKNOWN_NODE'
    : errors.some(({ type }) => type === 'prompt_no_outputs')
      ? 'WORKFLOW_NO_OUTPUT'
      : 'WORKFLOW_REJECTED';
  const why = errors.length === 1 ? '' : ` for ${errors.length} reasons, the first`;
  const told = from.startsWith('endpoint')
    ? ' If the image of the endpoint has changed, `comfy-runpod describe --fresh` asks it again.'
    : '';
  return new ComfyRunpodError(code, `Not sent, by ${from} it would be refused${why}: ${errorSentence(first)}.`, {
    issues: errors.slice(0, limits.errorIssues).map(issueOf),
    nextStep: `Correct what is named; \`comfy-runpod validate FILE\` shows all of it.${told} --no-validate sends it as it is.`,
    details: { errors: errors.length },
  });
}

function issueOf({ node, classType, input, type, summary, nearest }: ValidationError): ErrorIssue {
  return {
    ...(node !== undefined && { node }),
    ...(classType !== undefined && { classType }),
    ...(input !== undefined && { field: input }),
    type,
    message: withNearest(summary, nearest),
  };
}
