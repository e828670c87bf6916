/**
 * The product's runner factory without its weight: everything that drives ComfyUI is loaded when the runner is made, so that a worker has
 * asked for its first job by then.
 */
import type { RunnerFactory } from './compose.ts';

/** See `createRunner` of worker/compose.ts. */
export const createRunner: RunnerFactory = async (config, logger, signal, boot) => {
  const compose = await import('./compose.ts');
  return compose.createRunner(config, logger, signal, boot);
};
