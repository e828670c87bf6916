/** Reads a workflow file. Windows shells write UTF-16 when output is redirected: that is understood, too. */
import { resolve } from 'node:path';
import { ComfyRunpodError, limits, type Workflow } from '../../shared/index.ts';
import { parseWorkflow } from '../workflow/parse-workflow.ts';
import { readRegularFile } from './read-regular-file.ts';

/** Reads and parses the workflow at `path`, relative to `folder`. Throws `FILE_*` and `WORKFLOW_*`. */
export async function readWorkflow(path: string, folder: string): Promise<Workflow> {
  const shown = `The workflow ${JSON.stringify(path.slice(0, 200))}`;
  if (path.includes('\0')) throw new ComfyRunpodError('FILE_NAME_UNSAFE', "The workflow's path contains NUL.");
  const bytes = await readRegularFile({
    path: resolve(folder, path),
    shown,
    checkSize: (size) => {
      if (size > limits.runsyncBodyBytes)
        throw new ComfyRunpodError('WORKFLOW_INVALID', `${shown} is too large for a workflow.`);
    },
  });
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  return parseWorkflow(new TextDecoder(utf16 ? 'utf-16le' : 'utf-8').decode(bytes));
}
