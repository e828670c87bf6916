/** Reads a history entry and judges how the run ended (ComfyUI protocol notes §1.5 and the outcome rule of §6.9). Pure. */
import { ComfyRunpodError, type Workflow } from '../../shared/index.ts';
import type { NodeOutputs } from './types.ts';
import { isRecord, listOf, recordOf, textOf } from './value-guards.ts';

/** A finished run. */
export interface HistoryEntry {
  readonly outputs: NodeOutputs;
  readonly cached: readonly string[];
  readonly failure?: ComfyRunpodError;
  /** The failure is an interrupt, ours or somebody else's. */
  readonly interrupted: boolean;
}

/** CUDA faults that leave the process unusable (§3.9). */
const poisonedProcess =
  /illegal memory access|device-side assert|unspecified launch failure|CUDNN_STATUS_(EXECUTION|INTERNAL)/i;
const outOfMemory = /OutOfMemoryError$/i;

/** Reads the entry of one prompt. */
export function readHistoryEntry(raw: unknown, prompt: Workflow, redact: (text: string) => string): HistoryEntry {
  const entry = recordOf(raw);
  const status = recordOf(entry['status']);
  const messages = listOf(status['messages']).map((message): [string, Record<string, unknown>] => {
    const [type, data] = listOf(message);
    return [textOf(type) ?? '', recordOf(data)];
  });
  const cached = messages
    .filter(([type]) => type === 'execution_cached')
    .flatMap(([, data]) => listOf(data['nodes']).filter((id) => typeof id === 'string'));
  const outputs: Record<string, Record<string, unknown>> = {};
  for (const [node, value] of Object.entries(recordOf(entry['outputs']))) if (isRecord(value)) outputs[node] = value;

  const error = messages.find(([type]) => type === 'execution_error')?.[1];
  const interrupted = messages.some(([type]) => type === 'execution_interrupted');
  const failure = error
    ? nodeFailure(error, prompt, redact)
    : interrupted
      ? new ComfyRunpodError('JOB_CANCELLED', 'The run was interrupted in ComfyUI.')
      : statusFailure(status['status_str']);
  return { outputs, cached, interrupted, ...(failure && { failure }) };
}

/** A run without messages is judged by its status alone; one without a status by its outputs (the status may be null). */
function statusFailure(status: unknown): ComfyRunpodError | undefined {
  if (status === undefined || status === null || status === 'success') return undefined;
  return new ComfyRunpodError('NODE_FAILED', 'ComfyUI reports that the run failed and does not say why.', {
    nextStep: "Read ComfyUI's log around the time of the job.",
  });
}

/**
 * The error for an `execution_error` message. `current_inputs` holds the prompt text and is never used; the exception's own text is
 * redacted, because libraries like to quote what they were given.
 */
export function nodeFailure(
  data: Readonly<Record<string, unknown>>,
  prompt: Workflow,
  redact: (text: string) => string,
): ComfyRunpodError {
  const node = textOf(data['node_id']) ?? 'unknown';
  const classType = textOf(data['node_type']) ?? prompt[node]?.class_type ?? 'unknown class';
  const type = textOf(data['exception_type']) ?? 'Exception';
  const text = redact((textOf(data['exception_message']) ?? '').trim());
  const issues = [{ node, classType, type, message: text === '' ? type : text }];
  const where = `node ${node} (${classType})`;
  if (outOfMemory.test(type) || /CUDA out of memory|allocation on device/i.test(text)) {
    return new ComfyRunpodError('OUT_OF_MEMORY', `The GPU ran out of memory in ${where}.`, { issues });
  }
  if (poisonedProcess.test(text)) {
    return new ComfyRunpodError('GPU_BROKEN', `The GPU failed in ${where}: ${type}: ${text}`, { issues });
  }
  const message = `Failed in ${where}: ${type}${text === '' ? '' : `: ${text}`}`;
  return new ComfyRunpodError('NODE_FAILED', message, { issues });
}
