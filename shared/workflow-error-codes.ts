/** The rows of the error table that are about the workflow. Part of {@link file://./error-codes.ts}. */
import { type ErrorPolicy, exitCodes, row } from './error-policy.ts';

const { input } = exitCodes;

/** One row per code. */
export const workflowErrorPolicies = {
  WORKFLOW_NOT_JSON: row('workflow', 'never', 400, input, 'Export the workflow again; the file is not valid JSON.'),
  WORKFLOW_INVALID: row(
    'workflow',
    'never',
    400,
    input,
    'Save the workflow in ComfyUI (Workflow > Save), or export it in API format (Workflow > Export (API)), and use that file.',
  ),
  WORKFLOW_EDITOR_FORMAT: row(
    'workflow',
    'never',
    400,
    input,
    "This is the editor's save format: `comfy-runpod convert FILE` makes the API format of it, as ComfyUI's Workflow > Export (API) does.",
  ),
  WORKFLOW_NOT_CONVERTED: row(
    'workflow',
    'never',
    400,
    input,
    'Name the node classes of the ComfyUI that is to run it with --object-info FILE|URL, or export the workflow in API format: Workflow > Export (API).',
  ),
  WORKFLOW_NOT_EMBEDDED: row(
    'workflow',
    'never',
    400,
    input,
    'Only files as ComfyUI saved them carry their workflow; editing, uploading and --metadata strip remove it. Give the workflow file itself.',
  ),
  OBJECT_INFO_INVALID: row(
    'caller',
    'never',
    400,
    input,
    "Save the answer of ComfyUI's /object_info, or use what `comfy-runpod describe --out FILE` writes.",
  ),
  WORKFLOW_NO_OUTPUT: row('workflow', 'never', 400, input, 'Add an output node, for example SaveImage.'),
  WORKFLOW_UNKNOWN_NODE: row(
    'workflow',
    'never',
    400,
    input,
    'Install the custom-node pack that provides the class in the worker image, or use a ComfyUI that has it (--comfy-url).',
  ),
  WORKFLOW_FORBIDDEN_NODE: row(
    'workflow',
    'never',
    403,
    input,
    "Remove or replace the named nodes, or ask the endpoint's owner (ALLOWED_NODES, DENIED_NODES).",
  ),
  WORKFLOW_TOO_LARGE: row(
    'workflow',
    'never',
    413,
    input,
    'Split the workflow, or make its values smaller and flatter.',
  ),
  WORKFLOW_REJECTED: row('workflow', 'never', 400, input, 'Correct the inputs that are named and submit again.'),
  INJECTION_AMBIGUOUS: row('caller', 'never', 400, input, 'Name the node by its id; the candidates are listed.'),
  INJECTION_TARGET_MISSING: row('caller', 'never', 400, input, 'Name a node that the workflow has, as NODE=FILE.'),
} as const satisfies Record<string, ErrorPolicy>;
