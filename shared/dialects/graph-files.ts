/**
 * Files inside the graph: some contracts let a loader input hold base64, a data URL or an address in place of a name. All three become files of
 * the job, an address one that the worker fetches under its own rules (https, public hosts). A path on the worker's disk is refused, because it
 * would read any file (`/etc/passwd`), and so is a model by address, because nothing may be downloaded into the models folder.
 */
import { isStrictBase64, stripDataUrl } from '../base64.ts';
import { fieldRefusal, isHttpUrl, quoted } from './foreign-value.ts';
import { type ConstantInput, mapConstantInputs } from './graph-inputs.ts';
import type { JobDraft } from './job-draft.ts';
import { sniffBase64 } from './sniff-base64.ts';

/** Inputs of loader nodes that name a media file, whatever the class: custom packs have hundreds of loaders, these names are common to them. */
const mediaInputs: readonly string[] = ['image', 'video', 'audio', 'file', 'mask', 'image_path', 'video_path'];
/** Inputs that name a model. An address there asks for a download into the models folder. */
const modelInput =
  /(^|_)(ckpt|lora|vae|unet|clip|control_net|model|style_model|gligen|config)(_name|_path)\d?$|^clip_name\d$/;
/** Extensions that an address may end with and a file may keep; what the file is, its bytes say. */
const mediaExtension =
  /\.(png|jpe?g|webp|gif|bmp|tiff?|avif|heic|mp4|webm|mov|mkv|avi|m4v|wav|mp3|flac|ogg|opus|m4a|glb)$/i;
/** For addresses without one: loaders of videos and sounds choose their decoder by it. */
const usualExtension: Readonly<Record<string, string>> = { video: 'mp4', video_path: 'mp4', audio: 'mp3' };
/** Shorter texts are names, not files. */
const shortestBase64 = 48;

/** Which kinds of files inside the graph a dialect has. */
export interface GraphFileRules {
  /** Bare base64 without a `data:` prefix counts as a file. */
  readonly bareBase64: boolean;
  /** A path of the worker's disk is part of the contract, and has to be refused rather than passed on. */
  readonly localPaths: boolean;
}

/** Moves files out of the draft's graph into its files and names the addresses that are left. */
export function takeGraphFiles(draft: JobDraft, rules: GraphFileRules): void {
  const passedOn: string[] = [];
  draft.workflow = mapConstantInputs(draft.workflow, (constant) => {
    const { value } = constant;
    if (typeof value !== 'string') return value;
    const field = `${quoted(constant.node)}.${quoted(constant.input)}`;
    const isMedia = mediaInputs.includes(constant.input);
    if (isHttpUrl(value)) {
      if (isMedia) {
        const extension = extensionOfUrl(value) ?? usualExtension[constant.input] ?? 'png';
        return draft.addNamedFetchedFile(`${constant.node}-${constant.input}`, extension, value, field);
      }
      assertNoModel(constant, field);
      passedOn.push(field);
      return value;
    }
    if (!isMedia) return value;
    const base64 = fileText(value, rules.bareBase64);
    if (base64 !== undefined) {
      const extension = sniffBase64(base64) ?? extensionOfDataUrl(value);
      return draft.addNamedFile(`${constant.node}-${constant.input}`, extension, base64, field);
    }
    if (rules.localPaths && /^(\/|\.\.?\/)/.test(value)) {
      throw fieldRefusal(
        field,
        "paths on the worker's disk can't be used",
        'Send the file as base64.',
        'FILE_NAME_UNSAFE',
      );
    }
    return value;
  });
  if (passedOn.length > 0) {
    const shown = passedOn.slice(0, 10).join(', ');
    draft.warnings.push(`Addresses in inputs that are no known loader inputs were passed on unfetched: ${shown}.`);
  }
}

function assertNoModel(constant: ConstantInput, field: string): void {
  if (modelInput.test(constant.input)) {
    throw fieldRefusal(
      field,
      "models can't be given as an address",
      'Have the model on the worker (image, network volume or its model list) and name it here.',
    );
  }
}

/** The base64 of a text that is a file, or undefined for a name. */
function fileText(value: string, bareBase64: boolean): string | undefined {
  if (/^data:[^,]*;base64,/i.test(value)) return stripDataUrl(value);
  if (!bareBase64 || value.length < shortestBase64) return undefined;
  const compact = value.replace(/\s+/g, '');
  return isStrictBase64(compact) && sniffBase64(compact) !== undefined ? compact : undefined;
}

/** The file extension that the path of an address ends with, when it is one of a media file. */
export function extensionOfUrl(url: string): string | undefined {
  return mediaExtension.exec(URL.parse(url)?.pathname ?? '')?.[1]?.toLowerCase();
}

/** File extension for the type that a data URL names; `bin` when it tells nothing useful. */
export function extensionOfDataUrl(text: string): string {
  const subtype = /^data:(?:image|video|audio|application)\/(?:x-)?([a-z0-9]{2,10})[;,+]/i
    .exec(text)?.[1]
    ?.toLowerCase();
  if (subtype === undefined || subtype === 'octet') return 'bin';
  return { jpeg: 'jpg', mpeg: 'mp3', quicktime: 'mov', matroska: 'mkv' }[subtype] ?? subtype;
}
