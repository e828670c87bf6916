/**
 * Which nodes of a workflow load a picture, and which picture goes where. Pure.
 * Rules: P1 pictures named NODE=FILE go to that node. P2 the others go to the loaders in id order, one each. P3 a loader left over that
 * held the same file as one already served gets the same picture (an image and its mask often come from one file). P4 a loader that still
 * has none names a file that is not sent: an error before the submit, unless the caller knows that ComfyUI has it.
 */
import { type ApiNode, ComfyRunpodError, compareNodeIds, nodeTitle, type Workflow } from '../../shared/index.ts';

/** A node that loads a picture by name. */
export interface PictureLoader {
  readonly node: string;
  readonly classType: string;
  readonly title: string;
  /** The name it holds now. */
  readonly current: string;
}

/** One picture as asked for. `name` is how the job calls it. */
export interface PictureRequest {
  readonly name: string;
  /** Node id or unique title; without it the picture goes to the next loader. */
  readonly node?: string;
}

/** The workflow with the names of the sent pictures in it. */
export interface PlacedPictures {
  readonly workflow: Workflow;
  /** Node id -> name of the sent picture. */
  readonly placed: ReadonlyMap<string, string>;
}

/** Options of {@link placePictures}. */
export interface PlaceOptions {
  /** Loaders without a picture may name files that ComfyUI has already. */
  readonly allowExisting: boolean;
  /** Nodes that were given a mask: they take no picture any more. */
  readonly served?: ReadonlySet<string>;
}

const inputName = 'image';

/** Loads from ComfyUI's output folder, where nothing can be sent. */
const fromOutputFolder = 'LoadImageOutput';

function heldName(node: ApiNode | undefined): string | undefined {
  const value = node?.inputs[inputName];
  return typeof value === 'string' ? value : undefined;
}

/** Loaders in id order: classes that start with `LoadImage` and hold a name (a link is filled by the graph), LoadImageOutput left out. */
export function pictureLoaders(workflow: Workflow): PictureLoader[] {
  return Object.entries(workflow)
    .filter(([, node]) => node.class_type.startsWith('LoadImage') && node.class_type !== fromOutputFolder)
    .flatMap(([id, node]) => {
      const current = heldName(node);
      return current === undefined ? [] : [{ node: id, classType: node.class_type, title: nodeTitle(node), current }];
    })
    .toSorted((a, b) => compareNodeIds(a.node, b.node));
}

/** How loaders are called in messages. */
export function describeLoaders(loaders: readonly PictureLoader[]): string {
  if (loaders.length === 0) return 'none';
  return loaders.map((loader) => `${loader.node} (${loader.title.slice(0, 60)})`).join(', ');
}

/** Id of the node that `target` means: an id, or a title that only one node has. Throws `INJECTION_TARGET_MISSING` or `INJECTION_AMBIGUOUS`. */
function resolveTarget(workflow: Workflow, target: string): string {
  const loaders = describeLoaders(pictureLoaders(workflow));
  const titled = Object.entries(workflow).filter(([, node]) => nodeTitle(node) === target);
  const byTitle =
    titled.length > 0 ? titled : Object.entries(workflow).filter(([, node]) => node.inputs['input_id'] === target);
  const id = Object.hasOwn(workflow, target) ? target : byTitle.length === 1 ? byTitle[0]?.[0] : undefined;
  if (id === undefined) {
    const why = byTitle.length > 1 ? `${byTitle.length} nodes have that title` : 'no node has that id or title';
    throw new ComfyRunpodError(
      byTitle.length > 1 ? 'INJECTION_AMBIGUOUS' : 'INJECTION_TARGET_MISSING',
      `A picture is meant for node ${JSON.stringify(target.slice(0, 60))}, but ${why}. Nodes that load pictures: ${loaders}.`,
    );
  }
  const node = workflow[id];
  if (heldName(node) === undefined || node?.class_type === fromOutputFolder) {
    throw new ComfyRunpodError(
      'INJECTION_TARGET_MISSING',
      `Node ${id} (${node?.class_type.slice(0, 60) ?? ''}) takes no picture by name. Nodes that load pictures: ${loaders}.`,
    );
  }
  return id;
}

/** Puts the names of the pictures into the workflow. Throws `INJECTION_TARGET_MISSING`, `INJECTION_AMBIGUOUS`, `INPUT_INVALID` or `FILE_NOT_FOUND`. */
export function placePictures(
  workflow: Workflow,
  pictures: readonly PictureRequest[],
  options: PlaceOptions,
): PlacedPictures {
  const placed = new Map<string, string>();
  for (const picture of pictures) {
    if (picture.node === undefined) continue;
    const id = resolveTarget(workflow, picture.node);
    if (placed.has(id)) throw new ComfyRunpodError('INPUT_INVALID', `Node ${id} is given two pictures.`);
    placed.set(id, picture.name);
  }
  const loaders = pictureLoaders(workflow).filter(({ node }) => options.served?.has(node) !== true);
  placeInOrder(loaders, pictures, placed);
  shareSameFile(loaders, placed);
  const left = loaders.filter((loader) => !placed.has(loader.node));
  if (left.length > 0 && !options.allowExisting) throw notSent(left);
  const entries = Object.entries(workflow).map(([id, node]) => {
    const name = placed.get(id);
    return [id, name === undefined ? node : { ...node, inputs: { ...node.inputs, [inputName]: name } }] as const;
  });
  return { workflow: Object.fromEntries(entries), placed };
}

function placeInOrder(
  loaders: readonly PictureLoader[],
  pictures: readonly PictureRequest[],
  placed: Map<string, string>,
): void {
  const free = loaders.filter((loader) => !placed.has(loader.node));
  const inOrder = pictures.filter((picture) => picture.node === undefined);
  if (inOrder.length > free.length) {
    const given = inOrder.length === 1 ? '1 picture is' : `${inOrder.length} pictures are`;
    throw new ComfyRunpodError(
      'INPUT_INVALID',
      `${given} given without a node, but the workflow has ${free.length} nodes left that load one. Nodes that load pictures: ${describeLoaders(loaders)}.`,
      { nextStep: 'Leave out pictures, or name other nodes as NODE=FILE.' },
    );
  }
  for (const [index, picture] of inOrder.entries()) {
    const loader = free[index];
    if (loader) placed.set(loader.node, picture.name);
  }
}

function shareSameFile(loaders: readonly PictureLoader[], placed: Map<string, string>): void {
  const byOldName = new Map<string, string>();
  for (const loader of loaders) {
    const name = placed.get(loader.node);
    if (name !== undefined && !byOldName.has(loader.current)) byOldName.set(loader.current, name);
  }
  for (const loader of loaders) {
    const name = byOldName.get(loader.current);
    if (!placed.has(loader.node) && name !== undefined) placed.set(loader.node, name);
  }
}

function notSent(left: readonly PictureLoader[]): ComfyRunpodError {
  const one = left[0];
  return new ComfyRunpodError(
    'FILE_NOT_FOUND',
    `No picture is given for ${left.length === 1 ? 'node' : 'nodes'} ${describeLoaders(left)}.`,
    {
      issues: left.map((loader) => ({
        node: loader.node,
        classType: loader.classType,
        field: inputName,
        message: 'names a file that the job does not send',
      })),
      nextStep: `Give it with --image FILE or --image ${one?.node ?? 'NODE'}=FILE, or --allow-existing-inputs when the ComfyUI there has the file.`,
    },
  );
}
