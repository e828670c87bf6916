/** Reads what callers of worker-comfyui 5 send, and the seed-style `params` on top of it (caller contracts §4.1 and §4.3). */
import { applyParams } from './apply-params.ts';
import { booleanField, fieldRefusal, isBlank, isRecord, parseJsonField, recordField } from './foreign-value.ts';
import { JobDraft } from './job-draft.ts';

const known = ['workflow', 'images', 'comfy_org_api_key', 'api_key_comfy_org', 'params', 'debug', 'progress'] as const;

/** `{workflow, images: [{name, image}], comfy_org_api_key?, params?}`; `debug` and `progress` are ours. */
export function readWorkerComfyui(input: Readonly<Record<string, unknown>>): JobDraft {
  const draft = new JobDraft(workflowValue(input['workflow'], 'workflow'), 'workflow');
  draft.takeSharedOptions(input);
  addImageList(draft, input['images']);
  takeApiKey(draft, input);
  const debug = booleanField(input, 'debug');
  if (debug !== undefined) draft.option('debug', debug);
  const progress = booleanField(input, 'progress');
  if (progress !== undefined) draft.answer = { ...draft.answer, progress };
  const params = recordField(input, 'params');
  if (params !== undefined) applyParams(draft, params);
  draft.warnOfUnknown(input, known);
  return draft;
}

/** A workflow that may be given as the JSON text of it. */
export function workflowValue(value: unknown, field: string): unknown {
  return typeof value === 'string' ? parseJsonField(value, field) : value;
}

/** `[{name, image}]`; `type` is a hint that nobody needs. Callers put video and audio there too. */
export function addImageList(draft: JobDraft, images: unknown): void {
  if (isBlank(images)) return;
  if (!Array.isArray(images)) throw fieldRefusal('images', 'expected a list of {name, image}');
  for (const [i, image] of images.entries()) {
    const at = `images.${i}`;
    if (!isRecord(image)) throw fieldRefusal(at, 'expected an object with name and image');
    draft.addFile(image['name'], image['image'], `${at}.image`, `${at}.name`);
    draft.warnOfUnknown(image, ['name', 'image', 'type'], ` in ${at}`);
  }
}

/** The code of worker-comfyui reads one name of the key, its documents tell another: both count. */
function takeApiKey(draft: JobDraft, input: Readonly<Record<string, unknown>>): void {
  const names = (['comfy_org_api_key', 'api_key_comfy_org'] as const).filter((name) => !isBlank(input[name]));
  const [first, second] = names;
  if (first === undefined) return;
  draft.option('comfyOrgApiKey', input[first], first);
  if (second !== undefined && input[second] !== input[first]) {
    draft.warnings.push(`${first} and ${second} differ; ${first} is used.`);
  }
}
