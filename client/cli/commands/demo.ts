/** `demo`: the main path from a picture to a picture, on this machine, with the example workflow. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ComfyRunpodError } from '../../../shared/index.ts';
import type { CommandContext } from '../command-context.ts';
import { shownPath } from '../render/result-text.ts';
import { openSandbox } from '../target.ts';
import { comfyFolders, type RunFlags, runOn } from './run.ts';

/** Parsed flags of `demo`. */
export type DemoFlags = Pick<
  RunFlags,
  'show' | 'open' | 'out' | 'comfyUrl' | 'comfyInputDir' | 'comfyOutputDir' | 'comfyTempDir'
>;

/** Runs the example. */
export async function demoCommand(flags: DemoFlags, context: CommandContext): Promise<number> {
  const examples = examplesFolder();
  const workflow = join(examples, 'workflows', 'sharpen-picture.json');
  const picture = join(examples, 'picture.png');
  context.note(`workflow  ${shownPath(workflow, context.io.folder)}`);
  context.note(`picture   ${shownPath(picture, context.io.folder)}`);
  const { comfyUrl } = flags;
  context.note(
    comfyUrl === undefined
      ? 'Starting RunPod emulator, worker and ComfyUI stand-in on this machine. Nothing is sent to a cloud.'
      : 'Starting RunPod emulator and worker on this machine, with your ComfyUI behind them.',
  );
  const folders = comfyFolders(flags, context.io.folder);
  const target = await openSandbox({ folders, ...(comfyUrl !== undefined && { comfyUrl }) }, context);
  try {
    const code = await runOn(target, workflow, { ...flags, image: [picture] }, context);
    if (code === 0 && !context.json)
      context.note('Done. Next: comfy-runpod run your-workflow.json --image your-picture.png');
    return code;
  } finally {
    await target.close();
  }
}

/** The examples lie beside package.json; this file lies at different depths in a checkout and in dist/. */
function examplesFolder(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    if (existsSync(join(at, 'examples', 'picture.png'))) return join(at, 'examples');
    if (dirname(at) === at)
      throw new ComfyRunpodError('FILE_NOT_FOUND', 'The examples are not part of this installation.');
  }
}
