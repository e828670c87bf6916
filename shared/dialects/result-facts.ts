/** A result without the bytes of its files: what the shapes of the dialects are made from. */
import type { Artifact, ResultEnvelope } from '../job-output.ts';

/** The result envelope before its files are text. Artifacts keep their order: their index is what segments refer to. */
export interface ResultFacts extends Omit<ResultEnvelope, 'artifacts'> {
  readonly artifacts: readonly Omit<Artifact, 'delivery'>[];
}

/** Indexes of the artifacts as old readers want them: pictures of the output folder first, so that the first item is one if any is. */
export function picturesFirst(result: ResultFacts): number[] {
  const rank = (i: number) => {
    const artifact = result.artifacts[i];
    return artifact?.kind === 'image' && artifact.type === 'output' ? 0 : 1;
  };
  return [...result.artifacts.keys()].toSorted((a, b) => rank(a) - rank(b));
}

/**
 * A plain name for every artifact, without folders and unique in the result: where two would collide the sub-folder goes in front, then
 * a number behind. Callers write these names into one folder.
 */
export function flatNames(result: ResultFacts): string[] {
  const taken = new Set<string>();
  return result.artifacts.map(({ name, subfolder }) => {
    const withFolder = [...subfolder.split('/'), name].filter((part) => part !== '').join('_');
    const dot = withFolder.lastIndexOf('.');
    const [stem, extension] = dot > 0 ? [withFolder.slice(0, dot), withFolder.slice(dot)] : [withFolder, ''];
    let unique = taken.has(name) ? withFolder : name;
    for (let i = 2; taken.has(unique); i++) unique = `${stem}-${i}${extension}`;
    taken.add(unique);
    return unique;
  });
}
