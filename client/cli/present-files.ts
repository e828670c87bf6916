/** Shows saved files to the person who waited for them: drawn in a terminal that can, opened where that was asked for. Never fails a command. */
import { readFile } from 'node:fs/promises';
import { isComfyRunpodError } from '../../shared/index.ts';
import type { SavedFile } from '../saving/save-artifacts.ts';
import type { CommandContext } from './command-context.ts';
import { drawPicture, terminalGraphics } from './render/terminal-graphics.ts';

/** Flags of commands that save files. */
export interface PresentFlags {
  /** False: draw nothing (`--no-show`). */
  readonly show?: boolean;
  /** Open every file with the system's program for it. */
  readonly open?: boolean;
}

/** As much of a saved file as is needed to show it. */
interface ShownFile {
  readonly path: string;
  readonly artifact: Pick<SavedFile['artifact'], 'kind' | 'size'>;
}

/** More pictures than this would scroll the first ones away. */
const drawnAtMost = 8;
/** Larger files take longer to scale than a person wants to wait for a thumbnail. */
const drawnBytes = 64 * 1024 ** 2;

/** Draws and opens what `flags` and the terminal say. Pictures go to stderr: stdout stays paths. */
export async function presentFiles(
  files: readonly ShownFile[],
  flags: PresentFlags,
  context: CommandContext,
): Promise<void> {
  const protocol = terminalGraphics(context.io.interactive, context.environment);
  if (flags.show !== false && protocol !== undefined && !context.json && !context.quiet) {
    const pictures = files.filter(({ artifact }) => artifact.kind === 'image' && artifact.size <= drawnBytes);
    for (const { path } of pictures.slice(0, drawnAtMost)) {
      // A file that can't be drawn (a format that sharp does not know) is saved all the same.
      const drawn = await readFile(path)
        .then((bytes) => drawPicture(bytes, protocol))
        .catch(() => '');
      context.io.stderr.write(drawn);
    }
    if (pictures.length > drawnAtMost) context.note(`and ${pictures.length - drawnAtMost} more pictures`);
  }
  if (flags.open !== true) return;
  if (context.io.openFile === undefined) return context.note('Nothing here can open files; --open was left out.');
  for (const { path } of files) {
    try {
      await context.io.openFile(path);
    } catch (error) {
      const code = isComfyRunpodError(error) ? error.code : 'no program for it';
      context.note(`A saved file could not be opened (${code}); it is there all the same.`);
    }
  }
}
