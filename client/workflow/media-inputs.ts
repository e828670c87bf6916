/**
 * Which nodes take a mask, a video or a sound by name, and which file goes where: by node id, title or `input_id`, else in the order of ids. Pictures are in
 * picture-inputs.ts. Pure.
 */
import {
  type ApiNode,
  ComfyRunpodError,
  compareNodeIds,
  isLink,
  nodeTitle,
  type Workflow,
} from '../../shared/index.ts';
import { findClass, type ObjectInfo } from './convert/object-info.ts';
import { type Spot, spotOf, spotText } from './inject/spots.ts';

/** What a file is for. */
export type MediaRole = 'mask' | 'video' | 'audio';

/** One file as asked for. */
export interface MediaRequest {
  readonly role: MediaRole;
  /** How the job calls the file. */
  readonly name: string;
  /** Node id, title or `input_id`; without it the next node of the role. */
  readonly node?: string;
}

/** Inputs that name a file, for nodes whose declaration is not known. */
const usualInputs: Readonly<Record<Exclude<MediaRole, 'mask'>, RegExp>> = {
  video: /^(video|file)$/,
  audio: /^(audio|file)$/,
};
const usualClasses: Readonly<Record<Exclude<MediaRole, 'mask'>, RegExp>> = {
  video: /^(LoadVideo|VHS_LoadVideo|VHS_LoadVideoFFmpeg)$/,
  audio: /^(LoadAudio|VHS_LoadAudioUpload)$/,
};

/** The nodes of a role that hold a name now, in id order. */
export function mediaLoaders(workflow: Workflow, role: MediaRole, objectInfo?: ObjectInfo): Spot[] {
  return Object.entries(workflow)
    .flatMap(([id, node]) => {
      const input = role === 'mask' ? maskInput(workflow, id, node) : mediaInput(node, role, objectInfo);
      return input !== undefined && typeof node.inputs[input] === 'string' ? [spotOf(workflow, id, [input])] : [];
    })
    .toSorted((a, b) => compareNodeIds(a.node, b.node));
}

/** A loader of masks, or a loader of pictures of which only the mask is used. */
function maskInput(workflow: Workflow, id: string, node: ApiNode): string | undefined {
  if (node.class_type === 'LoadImageMask') return 'image';
  if (node.class_type !== 'LoadImage') return undefined;
  const used = Object.values(workflow)
    .flatMap(({ inputs }) => Object.values(inputs))
    .filter(isLink)
    .filter(([source]) => source === id);
  return used.length > 0 && used.every(([, slot]) => slot === 1) ? 'image' : undefined;
}

function mediaInput(
  node: ApiNode,
  role: Exclude<MediaRole, 'mask'>,
  objectInfo: ObjectInfo | undefined,
): string | undefined {
  const declared = objectInfo && findClass(objectInfo, node.class_type);
  const upload = declared?.inputs.find(({ options }) => options[`${role}_upload`] === true);
  if (upload) return upload.name;
  if (!usualClasses[role].test(node.class_type)) return undefined;
  return Object.keys(node.inputs).find((name) => usualInputs[role].test(name));
}

/**
 * Puts the names into the workflow. Throws `INJECTION_TARGET_MISSING` where no node takes such a file, `INJECTION_AMBIGUOUS` where several are meant, `INPUT_INVALID` where one is given two or files are
 * left over.
 */
export function placeMedia(
  workflow: Workflow,
  requests: readonly MediaRequest[],
  objectInfo?: ObjectInfo,
): { readonly workflow: Workflow; readonly placed: ReadonlySet<string> } {
  const values = new Map<string, { readonly input: string; readonly name: string }>();
  for (const role of ['mask', 'video', 'audio'] as const) {
    const asked = requests.filter((request) => request.role === role);
    const loaders = mediaLoaders(workflow, role, objectInfo);
    const named = asked.filter((request) => request.node !== undefined);
    for (const request of named) put(values, targetOf(workflow, loaders, request), request.name);
    const free = loaders.filter(({ node }) => !values.has(node));
    for (const [index, request] of asked.filter(({ node }) => node === undefined).entries()) {
      const loader = free[index];
      if (loader === undefined) throw leftOver(role, loaders);
      put(values, loader, request.name);
    }
  }
  const entries = Object.entries(workflow).map(([id, node]) => {
    const value = values.get(id);
    return [
      id,
      value === undefined ? node : { ...node, inputs: { ...node.inputs, [value.input]: value.name } },
    ] as const;
  });
  return { workflow: Object.fromEntries(entries), placed: new Set(values.keys()) };
}

function put(
  values: Map<string, { readonly input: string; readonly name: string }>,
  { node, inputs: [input = ''] }: Spot,
  name: string,
): void {
  if (values.has(node)) throw new ComfyRunpodError('INPUT_INVALID', `Node ${node} is given two files.`);
  values.set(node, { input, name });
}

function targetOf(workflow: Workflow, loaders: readonly Spot[], { role, node: target = '' }: MediaRequest): Spot {
  const fits = ({ node }: Spot) => {
    const found = workflow[node];
    return node === target || (found && (nodeTitle(found) === target || found.inputs['input_id'] === target));
  };
  const found = loaders.filter(fits);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const shown = JSON.stringify(target.slice(0, 60));
  const why = found.length > 1 ? `${found.length} nodes are called so` : `no node that takes a ${role} is called so`;
  const code = found.length > 1 ? 'INJECTION_AMBIGUOUS' : 'INJECTION_TARGET_MISSING';
  throw new ComfyRunpodError(code, `--${role} ${shown}: ${why}. ${listed(role, loaders)}`);
}

function leftOver(role: MediaRole, loaders: readonly Spot[]): ComfyRunpodError {
  return new ComfyRunpodError(
    'INPUT_INVALID',
    `More --${role} files than nodes that take one. ${listed(role, loaders)}`,
    {
      nextStep: `Leave out files, or name a node as --${role} NODE=FILE.`,
    },
  );
}

function listed(role: MediaRole, loaders: readonly Spot[]): string {
  return loaders.length === 0
    ? `No node of the workflow takes a ${role}.`
    : `There are: ${loaders.slice(0, 10).map(spotText).join(', ')}.`;
}
