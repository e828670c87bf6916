/** Reads what callers of Salad's comfyui-api send to `/prompt`, and the body of ComfyUI's own `POST /prompt` (caller contracts §4.4). */
import { fieldRefusal, isBlank, recordField, refuseFields } from './foreign-value.ts';
import { takeGraphFiles } from './graph-files.ts';
import { JobDraft } from './job-draft.ts';
import { workflowValue } from './read-worker-comfyui.ts';

const noUpload = ['results are not uploaded', 'Leave it out; the files come back as base64 in images.'] as const;
const noWebhook = ['webhooks are not sent by the worker', "Use RunPod's own webhook field beside input."] as const;

const unserved = {
  s3: noUpload,
  hf_upload: noUpload,
  azure_blob_upload: noUpload,
  http_upload: noUpload,
  webhook: noWebhook,
  webhook_v2: noWebhook,
  credentials: [
    'addresses are fetched without credentials',
    'Leave it out and give signed addresses, or send the files as base64.',
  ],
  convert_output: ['results are not converted', 'Leave it out; files come back as ComfyUI saved them.'],
} as const satisfies Record<string, readonly [string, string]>;

/** What ComfyUI's own clients send beside the graph, and what has no meaning for a job. */
const withoutMeaning = ['client_id', 'prompt_id', 'number', 'front'] as const;

/** `{prompt, id?}` with files inside the graph as addresses, base64 or data URLs. */
export function readSalad(input: Readonly<Record<string, unknown>>): JobDraft {
  refuseFields(input, unserved);
  const draft = new JobDraft(workflowValue(input['prompt'], 'prompt'), 'prompt');
  draft.takeSharedOptions(input);
  takeGraphFiles(draft, { bareBase64: true, localPaths: true });
  const id = input['id'];
  if (!isBlank(id)) {
    if (typeof id !== 'string') throw fieldRefusal('id', 'expected a text');
    draft.answer = { requestId: id };
  }
  const extra = recordField(input, 'extra_data');
  if (extra !== undefined) {
    const key = extra['api_key_comfy_org'];
    if (!isBlank(key)) draft.option('comfyOrgApiKey', key, 'extra_data.api_key_comfy_org');
    draft.warnOfUnknown(extra, ['api_key_comfy_org'], ' in extra_data');
  }
  const known = ['prompt', 'id', 'extra_data', ...Object.keys(unserved), ...withoutMeaning];
  draft.warnOfUnknown(input, known);
  return draft;
}
