/** Which of the listed outputs come back, and under which names. Pure. */
import type { JobInput, Workflow } from '../../shared/index.ts';
import type { ListedOutputs, OutputFile } from '../outputs/index.ts';

/** Id in the submitted workflow of a node that a run may have made itself: `2.0.0.1` was made by `2` (ComfyUI protocol notes §2.6). */
export function submittedNode(node: string, workflow: Workflow): string {
  if (Object.hasOwn(workflow, node)) return node;
  const parent = node.split('.')[0] ?? node;
  return Object.hasOwn(workflow, parent) ? parent : node;
}

/** What the job asked for: previews only on request, and only the chosen nodes. Node ids become the submitted ones. */
export function selectOutputs(listed: ListedOutputs, job: JobInput): ListedOutputs {
  const nodes = job.outputs?.nodes;
  const inWorkflow = <T extends { readonly node: string }>(output: T): T => ({
    ...output,
    node: submittedNode(output.node, job.workflow),
  });
  const isChosen = (output: { readonly node: string }) => nodes === undefined || nodes.includes(output.node);
  return {
    files: listed.files
      .map(inWorkflow)
      .filter((file) => isChosen(file) && (file.type !== 'temp' || job.outputs?.temp === true)),
    values: listed.values.map(inWorkflow).filter(isChosen),
  };
}

/** Output nodes that were expected to deliver and put nothing out at all. */
export function undelivered(listed: ListedOutputs, outputNodes: readonly string[], job: JobInput): string[] {
  const delivered = new Set([...listed.files, ...listed.values].map(({ node }) => submittedNode(node, job.workflow)));
  const expected = job.outputs?.nodes ? outputNodes.filter((id) => job.outputs?.nodes?.includes(id)) : outputNodes;
  return expected.filter((id) => !delivered.has(id));
}

/** Name and sub-folder as ComfyUI would give them in an empty output folder: without the job's own folder. */
export function callerName(file: OutputFile, folders: readonly string[]): { name: string; subfolder: string } {
  const [first = '', ...rest] = file.subfolder.split('/').filter((part) => part !== '');
  const subfolder = folders.includes(first) ? rest.join('/') : [first, ...rest].filter(Boolean).join('/');
  return { name: file.filename, subfolder };
}
