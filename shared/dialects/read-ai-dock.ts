/** Reads what callers of the ai-dock wrapper send (caller contracts §4.6). Modifiers are code of that worker and can't be honoured. */
import { limits } from '../limits.ts';
import { fieldRefusal, isBlank, isRecord, recordField, refuseFields } from './foreign-value.ts';
import { takeGraphFiles } from './graph-files.ts';
import { mapConstantInputs } from './graph-inputs.ts';
import { JobDraft } from './job-draft.ts';
import { workflowValue } from './read-worker-comfyui.ts';

const known = [
  'request_id',
  'workflow_json',
  'modifier',
  'modifications',
  's3',
  'webhook',
  'return_outputs_as_base64',
] as const;

const placeholder = '__RANDOM_INT__';

/** `{request_id?, workflow_json}` with `__RANDOM_INT__` placeholders. `randomSeed` gives a new number below 2^32. */
export function readAiDock(input: Readonly<Record<string, unknown>>, randomSeed: () => number): JobDraft {
  refuseUnserved(input);
  const draft = new JobDraft(workflowValue(input['workflow_json'], 'workflow_json'), 'workflow_json');
  draft.takeSharedOptions(input);
  draft.workflow = mapConstantInputs(draft.workflow, ({ value }) => filled(value, randomSeed));
  takeGraphFiles(draft, { bareBase64: false, localPaths: false });
  const id = input['request_id'];
  if (!isBlank(id)) {
    if (typeof id !== 'string') throw fieldRefusal('request_id', 'expected a text');
    draft.answer = { requestId: id };
  }
  draft.warnOfUnknown(input, known);
  return draft;
}

function refuseUnserved(input: Readonly<Record<string, unknown>>): void {
  const raw = typeof input['modifier'] === 'string' && /^raw_?workflow$/i.test(input['modifier']);
  refuseFields(input, {
    ...(!raw && { modifier: ['modifiers are not available here', 'Send the whole workflow as workflow_json.'] }),
    modifications: ['modifiers are not available here', 'Send the workflow with the values already in it.'],
  });
  // Callers send both blocks with empty texts and default numbers when they don't use them.
  if (!isBlank(recordField(input, 's3')?.['bucket_name'])) {
    throw fieldRefusal(
      's3',
      'results are not uploaded',
      'Leave s3 out; the files come back as base64 in output[].data.',
    );
  }
  if (!isBlank(recordField(input, 'webhook')?.['url'])) {
    throw fieldRefusal(
      'webhook',
      'webhooks are not sent by the worker',
      "Use RunPod's own webhook field beside input.",
    );
  }
}

/** Puts random numbers in place of the placeholder: a number where it stands alone, digits where it is part of a text. */
function filled(value: unknown, randomSeed: () => number, depth = 0): unknown {
  if (value === placeholder) return randomSeed();
  if (typeof value === 'string') {
    return value.includes(placeholder) ? value.replaceAll(placeholder, () => String(randomSeed())) : value;
  }
  // A document nested a million times over would exhaust the stack; no placeholder that deep is meant.
  if (depth > limits.workflowDepth) return value;
  if (Array.isArray(value)) return value.map((item) => filled(item, randomSeed, depth + 1));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner, randomSeed, depth + 1)]));
}
