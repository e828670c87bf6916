/**
 * Submitting with a person at the keyboard. Ctrl-C before anything is sent ends the command. Once the request is on its way it is not cut off:
 * its answer has the id without which the job can't be cancelled. A second Ctrl-C does not wait for that either.
 */
import { ComfyRunpodError } from '../../../shared/index.ts';
import type { LedgerRow } from '../../ledger/ledger-row.ts';
import type { CommandContext } from '../command-context.ts';
import type { Target } from '../target.ts';
import { type SubmitFlags, type SubmittedJob, submitFromFlags } from './submit-flags.ts';

/** A submitted job and whether its person wants it cancelled by now; an earlier one in its place; or `left`, when nobody waits any more. */
export type Submitted = 'left' | { readonly earlier: LedgerRow } | (SubmittedJob & { readonly interrupted: boolean });

/** Prepares and submits. Throws coded errors. */
export async function submitInterruptibly(
  workflow: string,
  flags: SubmitFlags,
  target: Pick<Target, 'client' | 'kind' | 'comfyUrl' | 'endpoints'>,
  context: CommandContext,
): Promise<Submitted> {
  const preparing = new AbortController();
  const leave = Promise.withResolvers<'left'>();
  let presses = 0;
  const unsubscribe = context.io.onInterrupt(() => {
    presses += 1;
    preparing.abort(new ComfyRunpodError('JOB_CANCELLED', 'Interrupted before the job was submitted.'));
    if (presses === 1) context.note('Interrupted: the job is cancelled as soon as its id is known.');
    else leave.resolve('left');
  });
  try {
    const submitting = submitFromFlags(workflow, flags, target, context, preparing.signal);
    const submitted = await Promise.race([submitting, leave.promise]);
    if (submitted !== 'left') return 'earlier' in submitted ? submitted : { ...submitted, interrupted: presses > 0 };
    // Whatever becomes of the submit, nobody is there any more to be told.
    submitting.catch(() => undefined);
    context.note('Left while the job was being submitted; it may or may not be queued.');
    return 'left';
  } finally {
    unsubscribe();
  }
}
