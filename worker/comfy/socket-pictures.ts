/**
 * Pictures that `SaveImageWebsocket` sends as preview frames in place of files (ComfyUI protocol notes §2.5): they exist nowhere else, so the
 * run is over only when the socket has told its end too, and a socket that was gone meanwhile makes them incomplete.
 */
import type { ApiNode, Workflow } from '../../shared/index.ts';
import { limits, raceSignal } from '../../shared/index.ts';
import type { PreviewImage, SocketPicture, SocketPictures } from './types.ts';

/** Events may still be on their way when the history has the run already; frames come before them. */
const drainMs = 10_000;

/** True for a node whose result is what it sends. */
export function sendsPictures(node: ApiNode | undefined): boolean {
  return node?.class_type === 'SaveImageWebsocket';
}

/** The pictures of one run. */
export class PictureCollector {
  readonly #prompt: Workflow;
  readonly #pictures: SocketPicture[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #bytes = 0;
  #complete = true;

  private constructor(prompt: Workflow) {
    this.#prompt = prompt;
  }

  /** Undefined when no node of the graph sends pictures. */
  static for(prompt: Workflow): PictureCollector | undefined {
    return Object.values(prompt).some(sendsPictures) ? new PictureCollector(prompt) : undefined;
  }

  /** Takes a frame of a node; false when it is an ordinary preview. */
  take(node: string | undefined, image: PreviewImage): boolean {
    if (node === undefined || image.contentType !== 'image/png' || !sendsPictures(this.#prompt[node])) return false;
    this.#bytes += image.bytes.length;
    if (this.#bytes > limits.socketPicturesBytes) this.#complete = false;
    else this.#pictures.push({ node, bytes: image.bytes });
    return true;
  }

  /** The socket told the end of the run. */
  end(): void {
    this.#ended.resolve();
  }

  /** All pictures, once the run is over. `connected`: the socket is the one that the run began with. Never throws. */
  async finish(connected: () => boolean, signal: AbortSignal): Promise<SocketPictures> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(drainMs)]);
    // Another socket is not told the end of a run that it did not begin.
    const ended =
      connected() &&
      (await raceSignal(this.#ended.promise, late).then(
        () => true,
        () => false,
      ));
    return { pictures: this.#pictures, complete: this.#complete && ended && connected() };
  }
}
