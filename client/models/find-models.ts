/** The model files that a workflow in API format names: by its loaders, and by `embedding:` in its texts. Pure. */
import { compareNodeIds, hasModelEnding, type Workflow } from '../../shared/index.ts';
import { modelFolderOf } from './loader-inputs.ts';

/** Where a model is named. */
export interface ModelUse {
  readonly node: string;
  readonly classType: string;
  readonly input: string;
}

/** A model that a workflow needs. */
export interface NeededModel {
  /** Undefined: the class is not known, so the folder is not. */
  readonly folder: string | undefined;
  /** As the workflow names it, with `/`. */
  readonly name: string;
  readonly uses: readonly ModelUse[];
}

/** Endings that are pictures' and texts' as well: such a name counts only where a loader is known. */
const weakEnding = /\.(json|ya?ml|txt|bin|model|npz|task|engine)$/i;

/** Lists them, in the order of their folders and names. */
export function findModels(workflow: Workflow): NeededModel[] {
  const found = new Map<string, { folder: string | undefined; name: string; uses: ModelUse[] }>();
  const add = (folder: string | undefined, value: string, use: ModelUse) => {
    const name = value.replaceAll('\\', '/');
    const key = JSON.stringify([folder, name]);
    const entry = found.get(key) ?? { folder, name, uses: [] };
    entry.uses.push(use);
    found.set(key, entry);
  };
  for (const [node, { class_type: classType, inputs }] of Object.entries(workflow)) {
    for (const [input, value] of Object.entries(inputs)) {
      if (typeof value !== 'string') continue;
      const use = { node, classType, input };
      for (const name of embeddingsIn(value)) add('embeddings', name, use);
      if (value.length > 255 || value.includes('\n') || !hasModelEnding(value)) continue;
      const folder = modelFolderOf(classType, input);
      if (folder !== undefined || !weakEnding.test(value)) add(folder, value, use);
    }
  }
  return [...found.values()]
    .map((entry) => ({ ...entry, uses: entry.uses.toSorted((a, b) => compareNodeIds(a.node, b.node)) }))
    .toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** ComfyUI's own way to name an embedding in a text; without an ending it means a safetensors file. */
function embeddingsIn(text: string): string[] {
  return [...text.matchAll(/\bembedding:([\w./-]+)/g)].map(([, name = '']) => {
    const bare = name.replace(/[.,]+$/, '');
    return hasModelEnding(bare) ? bare : `${bare}.safetensors`;
  });
}

/** Unknown folders come last. */
function sortKey({ folder, name }: NeededModel): string {
  return `${folder ?? '~'}/${name}`;
}
