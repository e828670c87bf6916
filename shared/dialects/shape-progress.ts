/** Progress events in the words of a dialect. */
import type { ProgressEvent } from '../progress.ts';
import type { DialectName } from './detect-dialect.ts';
import type { AnswerFacts } from './job-draft.ts';

/**
 * What to post as progress, or undefined when nothing may be posted. RunPod shows progress as the job's `output`, and callers of contracts
 * without progress take any `output` for the result: SillyTavern, for one, reads `output.images[0]` as soon as there is an output. They get
 * progress only when they ask for it (`progress: true`), in a form that has an empty list of images.
 */
export function shapeProgress(dialect: DialectName, event: ProgressEvent, facts: AnswerFacts = {}): unknown {
  switch (dialect) {
    case 'canonical':
      return event;
    case 'worker-comfyui':
      return facts.progress === true ? { images: [], meta: { progress: event } } : undefined;
    case 'dimhara':
      return event.step === undefined ? undefined : `Step ${event.step.value}/${event.step.max}`;
    case 'comfygen':
      return comfygenProgress(event);
    case 'worker-comfyui-4':
    case 'cog':
    case 'ai-dock':
    case 'salad':
    case 'raw':
      return undefined;
  }
}

function comfygenProgress(event: ProgressEvent): unknown {
  const { phase, node, step, nodes, fraction } = event;
  return {
    stage: phase,
    percent: Math.round((fraction ?? 0) * 1_000) / 10,
    message: node === undefined ? phase : `${phase}: ${node.classType}`,
    ...(node !== undefined && { node: node.id, class_type: node.classType }),
    ...(nodes !== undefined && { completed_nodes: nodes.done, total_nodes: nodes.total }),
    ...(step !== undefined && { step: step.value, total_steps: step.max }),
  };
}
