/**
 * The prompts of this worker in its ComfyUI: at most two, the one that runs and the one behind it, whatever is repeated late. Memory is
 * freed only when none is there.
 */
import { createNotifier } from '../notifier.ts';

const places = 2;

/** The places of one worker in its ComfyUI. */
export class ComfyLane {
  readonly #changed = createNotifier();
  /** Oldest first; each is told once when nothing is ahead of it any more. */
  readonly #inside: { onTurn: (() => void) | undefined }[] = [];
  #barred = false;

  /**
   * Runs `work` with a place. `onTurn` is called when no other prompt is ahead: at once, or when the one ahead has left. Rejects with the
   * signal's reason while it waits for a place.
   */
  async within<T>(work: () => Promise<T>, onTurn: () => void, signal: AbortSignal): Promise<T> {
    const place: { onTurn: (() => void) | undefined } = { onTurn };
    // Taken inside of the condition: of two that wait, only one may see the free place.
    const enter = () => {
      if (this.#barred || this.#inside.length >= places) return false;
      this.#inside.push(place);
      return true;
    };
    await this.#changed.until(enter, signal);
    this.#tellFirst();
    try {
      return await work();
    } finally {
      this.#inside.splice(this.#inside.indexOf(place), 1);
      this.#tellFirst();
      this.#changed.notify();
    }
  }

  /** Runs `work` when no prompt of this worker is in ComfyUI, and lets none in meanwhile. */
  async alone<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const bar = () => {
      if (this.#barred) return false;
      this.#barred = true;
      return true;
    };
    await this.#changed.until(bar, signal);
    try {
      await this.#changed.until(() => this.#inside.length === 0, signal);
      return await work();
    } finally {
      this.#barred = false;
      this.#changed.notify();
    }
  }

  #tellFirst(): void {
    const [first] = this.#inside;
    const onTurn = first?.onTurn;
    if (first) first.onTurn = undefined;
    onTurn?.();
  }
}
