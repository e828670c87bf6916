/**
 * Preview pictures of a run that asked for them: at most one per two seconds, and never more than 64 KiB of base64. Larger frames are scaled
 * down; the picture library is loaded for the first of them only.
 */
import type { Preview } from '../../shared/index.ts';
import type { PreviewImage } from '../comfy/index.ts';

const intervalMs = 2_000;
/** Raw bytes of 64 KiB of base64. */
const maxBytes = 48 * 1024;
/** Longest side and JPEG quality, tried in turn. */
const sizes = [
  { side: 512, quality: 75 },
  { side: 256, quality: 60 },
] as const;

/** The previews of one run. */
export class PreviewFeed {
  readonly #emit: (preview: Preview) => void;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(emit: (preview: Preview) => void) {
    this.#emit = emit;
  }

  /** Offers a frame. Never throws, never waits; most frames are left out. */
  offer(image: PreviewImage): void {
    const now = performance.now();
    if (now - this.#lastAt < intervalMs) return;
    this.#lastAt = now;
    void this.#send(image);
  }

  async #send(image: PreviewImage): Promise<void> {
    // A frame that can't be read is left out: a preview never costs a job anything.
    const small = await shrink(image).catch(() => undefined);
    if (!small) return;
    this.#emit({ contentType: small.contentType, data: small.bytes.toString('base64') });
  }
}

async function shrink(image: PreviewImage): Promise<PreviewImage | undefined> {
  if (image.bytes.length <= maxBytes) return image;
  const { default: sharp } = await import('sharp');
  for (const { side, quality } of sizes) {
    const resized = sharp(image.bytes).resize(side, side, { fit: 'inside', withoutEnlargement: true });
    const bytes = await resized.jpeg({ quality }).toBuffer();
    if (bytes.length <= maxBytes) return { contentType: 'image/jpeg', bytes };
  }
  return undefined;
}
