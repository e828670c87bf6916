// What an artifact carries in the answer itself.
import type { Artifact } from '../../shared/index.ts';

/** Base64 of an artifact; throws when it travelled another way. */
export function inlineData(artifact: Pick<Artifact, 'delivery'> | undefined): string {
  if (artifact?.delivery.via !== 'inline') throw new Error(`travelled by ${artifact?.delivery.via ?? 'nothing'}`);
  return artifact.delivery.data;
}
