/** Reads `--image` values: `FILE` or `NODE=FILE`. Pure. */
import { nodeTitle, type Workflow } from '../../shared/index.ts';

/** One picture argument. */
export interface PictureArgument {
  readonly path: string;
  /** Node id or title. */
  readonly node?: string;
}

/**
 * Splits at the first `=` when what stands before it can mean a node: an id or title that the workflow has, or a bare word. A path that
 * happens to contain `=` behind a folder or a dot stays a path.
 */
export function splitPictureArgument(argument: string, workflow: Workflow): PictureArgument {
  for (let at = argument.indexOf('='); at !== -1; at = argument.indexOf('=', at + 1)) {
    const node = argument.slice(0, at);
    const known =
      Object.hasOwn(workflow, node) ||
      Object.values(workflow).some((entry) => nodeTitle(entry) === node || entry.inputs['input_id'] === node);
    if (known) return { node, path: argument.slice(at + 1) };
  }
  const first = argument.indexOf('=');
  const before = argument.slice(0, Math.max(0, first));
  if (before !== '' && !/[./\\]/.test(before)) return { node: before, path: argument.slice(first + 1) };
  return { path: argument };
}
