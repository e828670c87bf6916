/**
 * Reads what callers of the seed's worker send (caller contracts §4.2): images as a map, the whole request optionally inside a Fernet
 * token. `encrypt_output: true` (ours, in the token or beside it) asks for an encrypted answer; old clients expect a plain one.
 */
import { ComfyRunpodError } from '../error.ts';
import { type FernetKey, type FernetValidity, importFernetKey, openFernet, sealFernet } from './fernet.ts';
import { booleanField, fieldRefusal, isBlank, isRecord, parseJsonField } from './foreign-value.ts';
import { JobDraft } from './job-draft.ts';
import { addImageList, workflowValue } from './read-worker-comfyui.ts';

/** What encrypted requests need. */
export interface FernetSettings extends FernetValidity {
  /** Text of ENCRYPTION_KEY. */
  readonly key?: string;
}

/** `{workflow, images: {name: base64}, is_encrypted?, debug?}` or `{encrypted_input, is_encrypted: true, debug?}`. */
export async function readDimhara(input: Readonly<Record<string, unknown>>, fernet: FernetSettings): Promise<JobDraft> {
  const declared = booleanField(input, 'is_encrypted');
  const encrypted = declared === true || !isBlank(input['encrypted_input']);
  const key = encrypted || input['encrypt_output'] === true ? await workerKey(fernet) : undefined;
  const inner = encrypted && key !== undefined ? await opened(input['encrypted_input'], key, fernet) : input;
  const draft = new JobDraft(workflowValue(inner['workflow'], 'workflow'), 'workflow');
  draft.takeSharedOptions(input);
  addImages(draft, inner['images']);
  const debug = booleanField(input, 'debug');
  if (debug !== undefined) draft.option('debug', debug);
  const sealed = booleanField(inner, 'encrypt_output') ?? booleanField(input, 'encrypt_output') ?? false;
  if (sealed && key !== undefined) draft.answer = { seal: (bytes) => sealFernet(key, bytes, fernet) };
  else if (encrypted) {
    draft.warnings.push(
      'The request was encrypted, the answer is not: send encrypt_output: true to have it encrypted.',
    );
  }
  const outer = ['encrypted_input', 'is_encrypted', 'debug', 'encrypt_output'];
  draft.warnOfUnknown(input, encrypted ? outer : [...outer, 'workflow', 'images']);
  if (inner !== input) draft.warnOfUnknown(inner, ['workflow', 'images', 'encrypt_output'], ' in encrypted_input');
  return draft;
}

async function workerKey(fernet: FernetSettings): Promise<FernetKey> {
  if (fernet.key !== undefined && fernet.key !== '') return importFernetKey(fernet.key);
  throw new ComfyRunpodError('CONFIG_MISSING', 'The request is encrypted, but the worker has no ENCRYPTION_KEY.', {
    nextStep: "Set ENCRYPTION_KEY on the endpoint to the caller's Fernet key.",
  });
}

async function opened(token: unknown, key: FernetKey, validity: FernetValidity): Promise<Record<string, unknown>> {
  if (typeof token !== 'string') {
    throw fieldRefusal('encrypted_input', 'expected a Fernet token, because is_encrypted is true');
  }
  const text = new TextDecoder().decode(await openFernet(key, token, validity));
  const inner = parseJsonField(text, 'encrypted_input', 'INPUT_INVALID');
  if (!isRecord(inner)) throw fieldRefusal('encrypted_input', 'expected an object with workflow and images inside');
  return inner;
}

/** A map name -> base64. The names may be secret, so that errors count entries; a list of {name, image} is taken as well. */
function addImages(draft: JobDraft, images: unknown): void {
  if (!isRecord(images)) {
    addImageList(draft, images);
    return;
  }
  for (const [i, [name, data]] of Object.entries(images).entries()) {
    draft.addFile(name, data, `images, entry ${i + 1}`, `images, name of entry ${i + 1}`);
  }
}
