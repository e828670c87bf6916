// The process-wide interrupt request (ComfyUI protocol notes §1.6, §6.7).
// Invariants: 1. it is cleared when a prompt starts, so an earlier request is lost. 2. Throwing clears it too.
import { InterruptedPrompt } from '../python-error.ts';

/** Set by `/interrupt`, tested between nodes and at progress steps. */
export class InterruptFlag {
  private raised = false;
  private controller = new AbortController();

  /** Aborted while an interrupt is pending; for waits that a node declared interruptible. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  raise(): void {
    this.raised = true;
    this.controller.abort(new InterruptedPrompt('Processing interrupted'));
  }

  reset(): void {
    this.raised = false;
    if (this.controller.signal.aborted) this.controller = new AbortController();
  }

  throwIfRaised(): void {
    if (!this.raised) return;
    this.reset();
    throw new InterruptedPrompt('Processing interrupted');
  }
}
