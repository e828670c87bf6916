/** Writes a file that a person named and that must not exist yet: nothing is ever overwritten in silence. */
import { writeFile } from 'node:fs/promises';
import { ComfyRunpodError } from '../../shared/index.ts';

/** Writes `text`. `option` is how the file was named, such as `--out`. Throws `USAGE`; `overwrite` takes an existing file, too. */
export async function writeNewFile(path: string, text: string, option: string, overwrite = false): Promise<void> {
  try {
    await writeFile(path, text, { flag: overwrite ? 'w' : 'wx' });
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const what = exists ? 'exists already' : 'can not be written';
    throw new ComfyRunpodError('USAGE', `The file of ${option} ${what}.`, {
      cause: error,
      nextStep: exists ? 'Name another file, or remove that one first.' : 'Check the folder and its permissions.',
    });
  }
}
