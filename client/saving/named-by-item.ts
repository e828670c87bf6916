/** The names of result files as the command gives them that sent the job, whichever command saves them. Pure. */
import type { Artifact } from '../../shared/index.ts';
import { namedBySeed } from './named-by-seed.ts';

/** The artifacts with the item of a batch in front of their names, and without sub-folders: a batch is looked through as one folder. */
export function namedByItem(artifacts: readonly Artifact[], item: string): readonly Artifact[] {
  return artifacts.map((artifact) => ({ ...artifact, name: `${item}_${artifact.name}`, subfolder: '' }));
}

/** The names for a job as it was sent: by its item in a batch, else by its seed. */
export function namedAsSent(
  artifacts: readonly Artifact[],
  { item, seeds = {} }: { readonly item?: string | undefined; readonly seeds?: Readonly<Record<string, number>> } = {},
): readonly Artifact[] {
  return item === undefined ? namedBySeed(artifacts, seeds) : namedByItem(artifacts, item);
}
