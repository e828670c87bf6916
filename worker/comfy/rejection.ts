/** Turns a refused `POST /prompt` into one coded error that names every node and input (ComfyUI protocol notes §1.3.3 to §1.3.6). Pure. */
import { ComfyRunpodError, type ErrorIssue, type Workflow } from '../../shared/index.ts';
import { listOf, recordOf, textOf } from './value-guards.ts';

/** Error types with which ComfyUI says that a class does not exist; the second is the newer one (§0.3). */
const unknownClassTypes = new Set(['invalid_prompt', 'missing_node_type']);

/** One issue per error of every node. Texts are redacted: `details` may repeat an input value. */
export function issuesOf(nodeErrors: unknown, prompt: Workflow, redact: (text: string) => string): ErrorIssue[] {
  return Object.entries(recordOf(nodeErrors)).flatMap(([node, value]) => {
    const entry = recordOf(value);
    const classType = textOf(entry['class_type']) ?? prompt[node]?.class_type;
    return listOf(entry['errors']).map((raw): ErrorIssue => {
      const error = recordOf(raw);
      const type = textOf(error['type']);
      const field = textOf(recordOf(error['extra_info'])['input_name']);
      return {
        node,
        ...(classType !== undefined && { classType }),
        ...(field !== undefined && { field }),
        ...(type !== undefined && { type }),
        message: redact(messageOf(error)),
      };
    });
  });
}

function messageOf(error: Record<string, unknown>): string {
  const message = textOf(error['message']) ?? 'not valid';
  const details = textOf(error['details']) ?? '';
  // Exceptions during validation carry a traceback beside; only their own text is told.
  return details === '' || message.includes(details) ? message : `${message}: ${details}`;
}

/** The error for a 400 answer. */
export function rejectionError(answer: unknown, prompt: Workflow, redact: (text: string) => string): ComfyRunpodError {
  const body = recordOf(answer);
  const error = recordOf(body['error']);
  const type = textOf(error['type']);
  const issues = issuesOf(body['node_errors'], prompt, redact);
  const headline = redact(messageOf(error));
  if (type === 'prompt_no_outputs')
    return new ComfyRunpodError('WORKFLOW_NO_OUTPUT', 'The workflow has no output node.');
  if (type !== undefined && unknownClassTypes.has(type) && /does not exist|not found/.test(headline)) {
    return new ComfyRunpodError('WORKFLOW_UNKNOWN_NODE', `${headline}`, { issues });
  }
  return new ComfyRunpodError('WORKFLOW_REJECTED', summary(headline, issues), {
    issues,
    details: { ...(type !== undefined && { comfyError: type }) },
  });
}

/** The error for a 200 answer that dropped output nodes (§1.3.4). */
export function partialAcceptanceError(
  nodeErrors: unknown,
  prompt: Workflow,
  redact: (text: string) => string,
): ComfyRunpodError {
  const issues = issuesOf(nodeErrors, prompt, redact);
  return new ComfyRunpodError('WORKFLOW_REJECTED', summary('ComfyUI accepted only a part of the outputs', issues), {
    issues,
  });
}

function summary(headline: string, issues: readonly ErrorIssue[]): string {
  const shown = issues.slice(0, 5).map((issue) => {
    const where = `node ${issue.node} (${issue.classType ?? 'unknown class'})`;
    return `${where}: ${issue.message}`;
  });
  const more = issues.length > 5 ? `; and ${issues.length - 5} more` : '';
  return shown.length === 0
    ? `ComfyUI refused the workflow: ${headline}.`
    : `ComfyUI refused the workflow: ${shown.join('; ')}${more}.`;
}
