/** Takes prompt, workflow and other text out of results, losslessly, where the format is known. */
import {
  applyEdits,
  type EditPlan,
  type Planner,
  planFromRanges,
  planInMemory,
  type ReadRange,
  wholeFilePlanner,
} from './edit-plan.ts';
import { planFlac } from './flac.ts';
import { planGif } from './gif.ts';
import { planGlb } from './glb.ts';
import { planIsoMedia } from './iso-media.ts';
import { stripJpeg } from './jpeg.ts';
import { planMatroska } from './matroska.ts';
import { planMp3 } from './mp3.ts';
import { planOgg } from './ogg.ts';
import { planPng } from './png.ts';
import { planSafetensors } from './safetensors.ts';
import { planSvg } from './svg.ts';
import { planWav } from './wav.ts';
import { stripWebp } from './webp.ts';

/** Bytes to deliver and whether metadata was removed from them. */
export interface Stripped {
  readonly bytes: Buffer;
  readonly metadata: 'stripped' | 'kept';
}

const planners: Readonly<Record<string, Planner>> = {
  'image/png': planPng,
  'image/jpeg': wholeFilePlanner(stripJpeg),
  'image/webp': wholeFilePlanner(stripWebp),
  'image/gif': planGif,
  'image/svg+xml': planSvg,
  'image/avif': planIsoMedia,
  'image/heic': planIsoMedia,
  'image/heif': planIsoMedia,
  'video/mp4': planIsoMedia,
  'video/quicktime': planIsoMedia,
  'audio/mp4': planIsoMedia,
  'video/webm': planMatroska,
  'video/x-matroska': planMatroska,
  'audio/flac': planFlac,
  'audio/ogg': planOgg,
  'audio/opus': planOgg,
  'audio/mpeg': planMp3,
  'audio/wav': planWav,
  'model/gltf-binary': planGlb,
  // Latents and checkpoints have no signature; the planner recognises them.
  'application/octet-stream': planSafetensors,
};

/** Files that are text through and through: they have no metadata beside their content. */
const plainText = /^text\/|^application\/json$/;

/** Strips a file of this MIME type. A format without a filter, or a malformed file, is kept as it is. */
export function stripMetadata(bytes: Buffer, contentType: string): Stripped {
  const planner = planners[contentType];
  const edits = planner && planInMemory(bytes, planner);
  return edits ? { bytes: applyEdits(bytes, edits), metadata: 'stripped' } : { bytes, metadata: 'kept' };
}

/** The same for a file that is read in parts: what to change in it, or undefined when it is to be kept. Rejects only when `readRange` does. */
export async function planStrip(readRange: ReadRange, size: number, contentType: string): Promise<EditPlan> {
  const planner = planners[contentType];
  return planner && (await planFromRanges(readRange, size, planner));
}

/** True when a kept file of this MIME type may hold metadata, so that the caller has to be told. */
export function mayHoldMetadata(contentType: string): boolean {
  return !plainText.test(contentType);
}
