/** Reads what callers of the ComfyGen worker send (caller contracts §4.5). */
import { fieldRefusal, isBlank, isHttpUrl, isRecord, quoted, recordField, refuseFields } from './foreign-value.ts';
import { constantInputs, isSeed } from './graph-inputs.ts';
import { JobDraft } from './job-draft.ts';
import { workflowValue } from './read-worker-comfyui.ts';

const known = ['workflow', 'file_inputs', 'overrides', 'timeout', 'command'] as const;

/** `{workflow, file_inputs: {node: {field, url, filename}}, overrides: {node: {input: value}}, timeout}`; `url` may be a data URL. */
export function readComfygen(input: Readonly<Record<string, unknown>>): JobDraft {
  refuseFields(input, {
    command: [
      'commands that manage the worker are not served',
      'Send a workflow; models belong into the image, on a network volume or into the model list of the worker.',
    ],
  });
  const draft = new JobDraft(workflowValue(input['workflow'], 'workflow'), 'workflow');
  draft.takeSharedOptions(input);
  for (const [node, file] of Object.entries(recordField(input, 'file_inputs') ?? {})) addFileInput(draft, node, file);
  const overrides = recordField(input, 'overrides') ?? {};
  for (const [node, values] of Object.entries(overrides)) {
    const at = `overrides.${quoted(node)}`;
    if (!isRecord(values)) throw fieldRefusal(at, 'expected an object of input names and values');
    for (const [name, value] of Object.entries(values)) {
      draft.inject({ node, input: name, value }, `${at}.${quoted(name)}`);
    }
  }
  takeTimeout(draft, input['timeout']);
  const seed = usedSeed(draft.workflow, overrides);
  if (seed !== undefined) draft.answer = { seed };
  draft.warnOfUnknown(input, known);
  return draft;
}

function addFileInput(draft: JobDraft, node: string, file: unknown): void {
  const at = `file_inputs.${quoted(node)}`;
  if (!isRecord(file)) throw fieldRefusal(at, 'expected an object with field, url and filename');
  const { url, filename } = file;
  if (isHttpUrl(url)) draft.addFetchedFile(filename, url, `${at}.url`, `${at}.filename`);
  else draft.addFile(filename, url, `${at}.url`, `${at}.filename`);
  draft.inject({ node, input: file['field'], file: file['filename'] }, at);
  draft.warnOfUnknown(file, ['field', 'url', 'filename'], ` in ${at}`);
}

/** Seconds; becomes the limit of the whole job. */
function takeTimeout(draft: JobDraft, timeout: unknown): void {
  if (isBlank(timeout)) return;
  if (typeof timeout !== 'number') throw fieldRefusal('timeout', 'expected a number of seconds');
  draft.option('limits.executionMs', Math.round(timeout * 1_000), 'timeout');
}

/** The first seed of the graph as it will run. */
function usedSeed(workflow: unknown, overrides: Readonly<Record<string, unknown>>): number | undefined {
  for (const constant of constantInputs(workflow)) {
    if (!isSeed(constant)) continue;
    const values = Object.hasOwn(overrides, constant.node) ? overrides[constant.node] : undefined;
    const override = isRecord(values) ? values[constant.input] : undefined;
    const seed = override ?? constant.value;
    return typeof seed === 'number' ? seed : undefined;
  }
  return undefined;
}
