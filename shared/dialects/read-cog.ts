/** Reads what callers of cog-comfyui send (caller contracts §4.6): the workflow as text, one input file, conversion of results. */
import { stripDataUrl } from '../base64.ts';
import { booleanField, fieldRefusal, isBlank, isHttpUrl, parseJsonField, refuseFields } from './foreign-value.ts';
import { extensionOfDataUrl, extensionOfUrl, takeGraphFiles } from './graph-files.ts';
import { constantInputs, isSeed, mapConstantInputs } from './graph-inputs.ts';
import { JobDraft } from './job-draft.ts';
import { isTarBase64, sniffBase64 } from './sniff-base64.ts';

const known = [
  'workflow_json',
  'input_file',
  'return_temp_files',
  'output_format',
  'output_quality',
  'randomise_seeds',
  'force_reset_cache',
] as const;

/** Archive types, which cog unpacks and we don't. */
const archives: readonly string[] = ['zip', 'gz'];

/** `{workflow_json, input_file?, return_temp_files?, randomise_seeds?}`. `randomSeed` gives a new seed. */
export function readCog(input: Readonly<Record<string, unknown>>, randomSeed: () => number): JobDraft {
  assertNoConversion(input);
  const draft = new JobDraft(readWorkflow(input['workflow_json']), 'workflow_json');
  draft.takeSharedOptions(input);
  addInputFile(draft, input['input_file']);
  takeGraphFiles(draft, { bareBase64: false, localPaths: false });
  if (booleanField(input, 'return_temp_files') === true) draft.option('outputs.temp', true, 'return_temp_files');
  // cog randomises unless told not to; a graph sent twice is expected to give two pictures.
  if (booleanField(input, 'randomise_seeds') ?? true) {
    draft.workflow = mapConstantInputs(draft.workflow, (constant) =>
      isSeed(constant) ? randomSeed() : constant.value,
    );
  }
  if (booleanField(input, 'force_reset_cache') === true) {
    draft.warnings.push(
      'force_reset_cache has no effect: output nodes always run again, the nodes before them may be cached.',
    );
  }
  draft.warnOfUnknown(input, known);
  return draft;
}

/** A JSON text, or that text as a base64 data URL. */
function readWorkflow(value: unknown): unknown {
  if (isHttpUrl(value)) {
    throw fieldRefusal('workflow_json', "the workflow can't be given as an address", 'Send the JSON text itself.');
  }
  if (typeof value !== 'string') return value;
  if (value === '') throw fieldRefusal('workflow_json', 'it is empty, and there is no example workflow here');
  if (!/^data:[^,]*;base64,/i.test(value)) return parseJsonField(value, 'workflow_json');
  let bytes: string;
  try {
    bytes = atob(stripDataUrl(value));
  } catch {
    throw fieldRefusal('workflow_json', 'not valid base64', undefined, 'WORKFLOW_NOT_JSON');
  }
  const text = new TextDecoder().decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
  return parseJsonField(text, 'workflow_json');
}

/** cog puts the one file into the input folder as `input` plus its extension; workflows name it so. */
function addInputFile(draft: JobDraft, value: unknown): void {
  if (isBlank(value)) return;
  if (typeof value !== 'string') throw fieldRefusal('input_file', 'expected an address, a data URL or base64');
  if (isHttpUrl(value)) {
    if (/\.(zip|tar|tgz|gz)$/i.test(URL.parse(value)?.pathname ?? '')) throw archiveRefusal();
    const extension = extensionOfUrl(value);
    const name = extension === undefined ? nameInGraph(draft.workflow) : `input.${extension}`;
    draft.addFetchedFile(name, value, 'input_file', 'input_file');
    return;
  }
  const base64 = stripDataUrl(value);
  const extension = sniffBase64(base64) ?? extensionOfDataUrl(value);
  if (archives.includes(extension) || isTarBase64(base64)) throw archiveRefusal();
  draft.addFile(`input.${extension}`, base64, 'input_file', 'input_file');
}

function archiveRefusal(): Error {
  return fieldRefusal(
    'input_file',
    'archives are not unpacked',
    'Send several files as images: [{name, image}] with dialect: "worker-comfyui".',
  );
}

/** What the workflow calls the file, for an address that doesn't tell its type. */
function nameInGraph(workflow: unknown): string {
  const names = constantInputs(workflow).map(({ value }) => value);
  return (
    names.find((name): name is string => typeof name === 'string' && /^input\.[a-z0-9]{2,5}$/i.test(name)) ??
    'input.png'
  );
}

/** `output_format: png` leaves PNG files as they are, which is what happens here; anything else would need a conversion. */
function assertNoConversion(input: Readonly<Record<string, unknown>>): void {
  const nextStep =
    'Leave output_format and output_quality out, or set output_format to "png"; files come back as ComfyUI saved them.';
  if (input['output_format'] === 'png') return;
  refuseFields(input, {
    output_format: ['results are not converted', nextStep],
    output_quality: ['results are not converted', nextStep],
  });
}
