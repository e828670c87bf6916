/**
 * A file that a worker made and that kept its workflow names the folder of its job in it: the worker gives every job one of its own, for the files
 * that are sent and those that are made. That folder is gone; without it the workflow is what the person sent. Pure.
 */
import type { Workflow } from '../../shared/index.ts';

/** `cr-<process>-<16 hex>/` in front of a name: as worker/workspace makes them. */
const jobFolder = /\bcr-\d{1,10}-[0-9a-f]{16}[\\/]/g;

/** The workflow without folders of jobs in its texts. */
export function forgetJobFolder(workflow: Workflow): Workflow {
  return Object.fromEntries(
    Object.entries(workflow).map(([id, node]) => {
      const inputs = Object.entries(node.inputs).map(([name, value]) => [
        name,
        typeof value === 'string' ? value.replaceAll(jobFolder, '') : value,
      ]);
      return [id, { ...node, inputs: Object.fromEntries(inputs) }];
    }),
  );
}
