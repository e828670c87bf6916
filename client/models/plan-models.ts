/** Joins what workflows need with what is known of sources: a lock file that a worker starts from. Pure. */
import { type ModelSpec, modelFolderType } from '../../shared/index.ts';
import type { NeededModel } from './find-models.ts';

/** A plan. */
export interface ModelPlan {
  /** One entry for every needed model whose folder is known, with its source where one is. */
  readonly specs: readonly ModelSpec[];
  /** Needed models of unknown folders: their loaders are not known. */
  readonly unknown: readonly NeededModel[];
}

/** Plans. The first of `sources` that has a model counts. */
export function planModels(needed: readonly NeededModel[], sources: readonly ModelSpec[]): ModelPlan {
  const byKey = new Map<string, ModelSpec>();
  const byName = new Map<string, ModelSpec>();
  for (const source of sources) {
    const key = keyOf(source.folder, source.name);
    if (!byKey.has(key)) byKey.set(key, source);
    const name = nameBelow(source.folder, source.name);
    if (!byName.has(name)) byName.set(name, source);
  }
  const specs: ModelSpec[] = [];
  const unknown: NeededModel[] = [];
  for (const model of needed) {
    // A loader that nobody knows may be told by the source, which says where the file belongs.
    const folder = model.folder ?? byName.get(model.name)?.folder.split('/')[0];
    if (folder === undefined) unknown.push(model);
    else specs.push(planned(folder, model.name, byKey.get(keyOf(folder, model.name))));
  }
  const distinct = new Map(specs.map((spec) => [keyOf(spec.folder, spec.name), spec]));
  return { specs: [...distinct.values()], unknown };
}

function planned(folder: string, name: string, known: ModelSpec | undefined): ModelSpec {
  if (known === undefined) return { folder, name, source: { kind: 'none' } };
  return { ...known, folder, name };
}

/** `loras/flux` + `a` and `loras` + `flux/a` are the same file; so are `clip/a` and `text_encoders/a`. */
function keyOf(folder: string, name: string): string {
  return `${modelFolderType(folder)}/${nameBelow(folder, name)}`;
}

function nameBelow(folder: string, name: string): string {
  return [...folder.split('/').slice(1), name].join('/');
}
