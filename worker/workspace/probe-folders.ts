/**
 * Whether the folders on this disk are those of a ComfyUI: puts a small file into each and asks ComfyUI for it. Wrong folders otherwise
 * show as inputs that do not exist and outputs that never appear, job after job.
 */
import { mkdir, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ComfyRunpodError, isComfyRunpodError } from '../../shared/index.ts';
import { releaseFolderName, takeFolderName } from './folder-names.ts';
import type { SharedDirectories } from './shared-workspace.ts';
import type { NamedFile } from './types.ts';

/** Which of the folders something is about. */
export type FolderType = keyof SharedDirectories;

/** How a probe went. `unknown`: ComfyUI would not tell. */
export type FolderFindings = Readonly<Record<FolderType, 'right' | 'wrong' | 'unwritable' | 'unknown'>>;

const content = 'comfy-runpod asks whether this is the folder of ComfyUI';

/** Probes the folders. `size` asks ComfyUI for the bytes of a file. Throws `COMFY_UNREACHABLE`, or the signal's reason. */
export async function probeFolders(
  directories: SharedDirectories,
  size: (file: NamedFile, signal: AbortSignal) => Promise<number | undefined>,
  signal: AbortSignal,
): Promise<FolderFindings> {
  const probe = async (type: FolderType): Promise<FolderFindings[FolderType]> => {
    // Such a name is wiped by the next worker when this one is killed meanwhile.
    const filename = takeFolderName();
    const file = path.join(directories[type], filename);
    try {
      // ComfyUI removes its temp folder when it starts.
      await mkdir(directories[type], { recursive: true });
      await writeFile(file, content, { flag: 'wx' });
    } catch {
      releaseFolderName(filename);
      return 'unwritable';
    }
    try {
      const found = await size({ filename, subfolder: '', type }, signal);
      return found === undefined ? 'wrong' : 'right';
    } catch (error) {
      signal.throwIfAborted();
      if (!isComfyRunpodError(error) || error.code === 'COMFY_UNREACHABLE') throw error;
      return 'unknown';
    } finally {
      await unlink(file).catch(() => undefined);
      releaseFolderName(filename);
    }
  };
  const [input, output, temp] = await Promise.all([probe('input'), probe('output'), probe('temp')]);
  return { input, output, temp };
}

const hints: Readonly<Record<FolderType, string>> = {
  input:
    'It must be the folder that ComfyUI was given with --input-directory, or `input` in its own folder, as this worker sees it.',
  output:
    'It must be the folder that ComfyUI was given with --output-directory, or `output` in its own folder, as this worker sees it.',
  temp: 'It must be the folder that holds the files: P/temp when ComfyUI was started with --temp-directory P, or `temp` in its own folder.',
};

/** Throws `CONFIG_INVALID` with one issue for each folder that is wrong, naming the variable that sets it. */
export function assertRightFolders(findings: FolderFindings, variables: Readonly<Record<FolderType, string>>): void {
  const issues = (['input', 'output', 'temp'] as const).flatMap((type) => {
    const field = variables[type];
    if (findings[type] === 'wrong')
      return [{ type, field, message: `is not the ${type} folder of the ComfyUI at COMFY_URL` }];
    if (findings[type] === 'unwritable') return [{ type, field, message: 'can not be written to by this worker' }];
    return [];
  });
  if (issues.length === 0) return;
  const wrong = issues
    .filter(({ type }) => findings[type] === 'wrong')
    .map(({ type, field }) => `${field}: ${hints[type]}`);
  const unwritable = issues.length > wrong.length ? ['Let the user that the worker runs as write there.'] : [];
  throw new ComfyRunpodError(
    'CONFIG_INVALID',
    `${issues.map(({ field, message }) => `${field} ${message}`).join('; ')}.`,
    {
      issues: issues.map(({ field, message }) => ({ field, message })),
      nextStep: [...wrong, ...unwritable, 'Or unset all three: files then travel over HTTP.'].join(' '),
    },
  );
}
