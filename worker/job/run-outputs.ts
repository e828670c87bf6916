/** Everything that a run put out: files and values that ComfyUI named, and pictures that nodes sent over the socket. Pure. */
import { ComfyRunpodError, compareNodeIds, type JobInput, type Workflow } from '../../shared/index.ts';
import { type Execution, sendsPictures } from '../comfy/index.ts';
import { type ListedOutputs, listOutputs, type OutputFile } from '../outputs/index.ts';

/** Lists the outputs of a run in the order of its nodes. Sent pictures have names that no other output of the job has. */
export function listRun(execution: Execution): ListedOutputs {
  const { files, values } = listOutputs(execution.outputs, compareNodeIds);
  const pictures = execution.sent?.pictures ?? [];
  if (pictures.length === 0) return { files, values };
  const counts = new Map<string, number>();
  const sent = pictures.map(({ node, bytes }, position): OutputFile => {
    const index = counts.get(node) ?? 0;
    counts.set(node, index + 1);
    const filename = `websocket_${String(position + 1).padStart(5, '0')}_.png`;
    return { node, key: 'images', index, filename, subfolder: '', type: 'output', bytes };
  });
  return { files: [...files, ...sent].toSorted((a, b) => compareNodeIds(a.node, b.node)), values };
}

/** Throws `OUTPUT_MISSING` when pictures that the job wants may have been lost on their way over the socket. */
export function assertAllArrived({ sent }: Execution, workflow: Workflow, { outputs }: JobInput): void {
  if (!sent || sent.complete) return;
  const isWanted = ([id, node]: [string, Workflow[string]]) =>
    sendsPictures(node) && (outputs?.nodes === undefined || outputs.nodes.includes(id));
  if (!Object.entries(workflow).some(isWanted)) return;
  throw new ComfyRunpodError('OUTPUT_MISSING', 'Pictures that ComfyUI sends over its socket did not all arrive.', {
    nextStep: 'Submit again, or use SaveImage in place of SaveImageWebsocket: its files stay until they are read.',
    details: { arrived: sent.pictures.length },
  });
}
