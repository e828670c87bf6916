/** The seed in the names of what it made: `sharpened_00001_.png` becomes `sharpened_00001_seed-42.png`. Pure. */
import { type Artifact, safeExtension } from '../../shared/index.ts';

/** The artifacts with the seed in their names, where exactly one was chosen; with several, no name could hold them. */
export function namedBySeed(
  artifacts: readonly Artifact[],
  seeds: Readonly<Record<string, number>>,
): readonly Artifact[] {
  const [seed, ...others] = new Set(Object.values(seeds));
  if (seed === undefined || others.length > 0) return artifacts;
  return artifacts.map((artifact) => {
    const extension = safeExtension(artifact.name);
    const stem = artifact.name.slice(0, artifact.name.length - extension.length);
    return { ...artifact, name: `${stem.replace(/_$/, '')}_seed-${seed}${extension}` };
  });
}
