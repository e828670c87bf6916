/** Text of a workflow file -> a workflow in API format or the editor's, or one error that says what the file is instead. Pure. */
import {
  ComfyRunpodError,
  detectWorkflowFormat,
  limits,
  parseTolerantJson,
  type Workflow,
  workflowSchema,
} from '../../shared/index.ts';
import { findJsonFault } from './json-fault.ts';

/** Node problems listed in one error. */
const shownIssues = 5;

/** A workflow file, by its format. */
export type WorkflowDocument =
  | { readonly format: 'api'; readonly workflow: Workflow }
  /** The editor's save format, parsed and otherwise unchecked: `convertWorkflow` takes it. */
  | { readonly format: 'editor'; readonly document: unknown };

/**
 * Parses the text of a workflow file in API format. Throws `WORKFLOW_NOT_JSON` (with line and column), `WORKFLOW_EDITOR_FORMAT` or
 * `WORKFLOW_INVALID`. The content is in no message.
 */
export function parseWorkflow(text: string): Workflow {
  const parsed = parseWorkflowDocument(text);
  if (parsed.format === 'api') return parsed.workflow;
  throw new ComfyRunpodError(
    'WORKFLOW_EDITOR_FORMAT',
    "The file is in the editor's save format; the API format is needed.",
  );
}

/** Parses the text of a workflow file in either format. Throws `WORKFLOW_NOT_JSON` (with line and column) or `WORKFLOW_INVALID`. */
export function parseWorkflowDocument(text: string): WorkflowDocument {
  return readWorkflowDocument(parseJson(text.replace(/^\uFEFF/, '')));
}

/** Reads a parsed workflow file in either format. Throws `WORKFLOW_INVALID`. */
export function readWorkflowDocument(parsed: unknown): WorkflowDocument {
  const document = unwrap(parsed);
  const format = detectWorkflowFormat(document);
  if (format === 'editor') return { format, document };
  if (format === 'api') return { format, workflow: readApiFormat(document) };
  throw new ComfyRunpodError(
    'WORKFLOW_INVALID',
    'The file is JSON but no ComfyUI workflow: it has no list of nodes, and no entry has a class_type.',
  );
}

function readApiFormat(document: unknown): Workflow {
  const parsed = workflowSchema.safeParse(document);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({
    field: issue.path.map(String).join('.').slice(0, 120),
    message: issue.message,
  }));
  const listed = issues
    .slice(0, shownIssues)
    .map((issue) => (issue.field === '' ? issue.message : `node ${issue.field}: ${issue.message}`));
  const more = issues.length > shownIssues ? ` (and ${issues.length - shownIssues} more)` : '';
  throw new ComfyRunpodError('WORKFLOW_INVALID', `${listed.join('; ')}${more}.`, {
    issues: issues.slice(0, limits.errorIssues),
  });
}

function parseJson(text: string): unknown {
  if (text.trim() === '') throw new ComfyRunpodError('WORKFLOW_NOT_JSON', 'The workflow file is empty.');
  try {
    return parseTolerantJson(text);
  } catch {
    const fault = findJsonFault(text);
    const where = fault ? ` Line ${fault.line}, column ${fault.column}: expected ${fault.expected}.` : '';
    throw new ComfyRunpodError('WORKFLOW_NOT_JSON', `The workflow file is not valid JSON.${where}`, {
      ...(fault && { details: { line: fault.line, column: fault.column } }),
    });
  }
}

/** Bodies of `POST /prompt` and of other RunPod workers hold the workflow under a key; what is meant is plain, so it is taken. */
function unwrap(document: unknown): unknown {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) return document;
  const entries = document as Record<string, unknown>;
  if (detectWorkflowFormat(document) !== 'unknown') return document;
  const { input, prompt, workflow } = entries;
  if (typeof input === 'object' && input !== null && 'workflow' in input) return input.workflow;
  return prompt ?? workflow ?? document;
}
