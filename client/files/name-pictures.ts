/** Gives the pictures of a job their names: the base name of the file where that is safe, distinct where two files share one. Pure. */
import { safeExtension, unsafeNameReason } from '../../shared/index.ts';

/** What naming looks at. */
export interface NamedBytes {
  readonly baseName: string;
  readonly sha256: string;
}

/** One name per picture, in order. Equal bytes under an equal name share it, so that they travel once. */
export function namePictures(pictures: readonly NamedBytes[]): string[] {
  const owners = new Map<string, string>();
  return pictures.map((picture, index) => {
    const extension = safeExtension(picture.baseName);
    const plain =
      unsafeNameReason(picture.baseName) === undefined ? picture.baseName : `picture-${index + 1}${extension}`;
    const stem = plain.slice(0, plain.length - extension.length);
    for (let count = 0; ; count++) {
      const name = count === 0 ? plain : `${stem} (${count})${extension}`;
      // ComfyUI may run where "A.png" and "a.png" are one file.
      const owner = owners.get(name.toLowerCase());
      if (owner !== undefined && owner !== picture.sha256) continue;
      owners.set(name.toLowerCase(), picture.sha256);
      return name;
    }
  });
}
