// CreateVideo, SaveVideo and SaveWEBM. The containers are real; the codecs are those a JPEG and WebP encoder can serve:
// MP4 holds JPEG frames instead of H.264, WebM holds VP8 key frames instead of VP9 or AV1.
// Source: ComfyUI protocol notes §3.3 (videos are listed under `images`).
import type { Sharp } from 'sharp';
import { type NodeContext, type NodeDefinition, NodeError } from '../../node-definition.ts';
import { latentAndVideoDeclarations } from '../declarations/latent-and-video.ts';
import { imageInput, numberInput, textInput } from '../inputs.ts';
import { metadataTexts } from '../metadata.ts';
import { openImage } from '../picture-files/image-library.ts';
import { lossyBitstream } from '../picture-files/webp-container.ts';
import { counterText, writeOutput } from '../save-image.ts';
import { itemToBytes, type Tensor } from '../tensor.ts';
import { encodeMp4 } from './mp4-file.ts';
import { encodeWebm } from './webm-file.ts';

/** A `VIDEO`: pictures with a speed. Sound is not carried. */
interface Video {
  readonly kind: 'VIDEO';
  readonly images: Tensor;
  readonly fps: number;
}

function isVideo(value: unknown): value is Video {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'VIDEO';
}

/** One picture ready to be encoded, without alpha. */
function frameSource(images: Tensor, index: number): Sharp {
  const { width, height, channels } = images;
  if (channels !== 3 && channels !== 4) {
    throw new NodeError('ValueError', `Expected numpy array with shape (H, W, 3), got ${channels} channels`);
  }
  return openImage(itemToBytes(images, index), { raw: { width, height, channels } }).removeAlpha();
}

async function encodeFrames(images: Tensor, encode: (source: Sharp) => Promise<Buffer>): Promise<readonly Buffer[]> {
  const frames: Buffer[] = [];
  for (let index = 0; index < images.batch; index++) frames.push(await encode(frameSource(images, index)));
  return frames;
}

async function saveVideoFile(
  images: Tensor,
  name: { readonly prefix: string; readonly extension: string },
  context: NodeContext,
  encode: () => Promise<Buffer>,
): Promise<Readonly<Record<string, readonly unknown[]>>> {
  const place = await context.getSavePath(name.prefix, context.folders.output, images.width, images.height);
  const filename = `${place.filename}_${counterText(place.counter)}_.${name.extension}`;
  await writeOutput(place.folder, filename, await encode());
  return { images: [{ filename, subfolder: place.subfolder, type: 'output' }], animated: [true] };
}

/** `CreateVideo`. */
export const createVideoNode: NodeDefinition = {
  classType: 'CreateVideo',
  declaration: latentAndVideoDeclarations.CreateVideo,
  execute: async (inputs) => {
    const video: Video = { kind: 'VIDEO', images: imageInput(inputs, 'images'), fps: numberInput(inputs, 'fps') };
    return { outputs: [video] };
  },
};

/** H.264 as the real node uses it halves the colour planes: odd sizes fail there. */
function requireEvenSize({ width, height }: Tensor): void {
  const odd = [
    { side: 'width', size: width },
    { side: 'height', size: height },
  ].find(({ size }) => size % 2 === 1);
  if (odd === undefined) return;
  throw new NodeError(
    'av.error.ExternalError',
    `[Errno 542398533] Generic error in an external library: 'avcodec_open2(libx264)'; last error log: [libx264] ${odd.side} not divisible by 2 (${width}x${height})`,
  );
}

/** `SaveVideo`. */
export const saveVideoNode: NodeDefinition = {
  classType: 'SaveVideo',
  declaration: latentAndVideoDeclarations.SaveVideo,
  execute: async (inputs, context) => {
    const video = inputs['video'];
    if (!isVideo(video)) throw new NodeError('TypeError', 'video is not a VIDEO');
    const { images, fps } = video;
    const name = { prefix: textInput(inputs, 'filename_prefix'), extension: 'mp4' };
    const encode = async (): Promise<Buffer> => {
      requireEvenSize(images);
      const frames = await encodeFrames(images, (source) => source.jpeg({ quality: 90 }).toBuffer());
      return encodeMp4({ width: images.width, height: images.height, fps, frames, metadata: metadataTexts(context) });
    };
    return { outputs: [], ui: await saveVideoFile(images, name, context, encode) };
  },
};

/** The quality that looks about like a constant rate factor of 0 (best) to 63. */
function qualityOf(crf: number): number {
  return Math.max(1, Math.min(100, Math.round(100 - (crf * 100) / 63)));
}

/** `SaveWEBM`. Its metadata is written even under `--disable-metadata`, as in the baseline (§3.5). */
export const saveWebmNode: NodeDefinition = {
  classType: 'SaveWEBM',
  declaration: latentAndVideoDeclarations.SaveWEBM,
  execute: async (inputs, context) => {
    const images = imageInput(inputs, 'images');
    const fps = numberInput(inputs, 'fps');
    const quality = qualityOf(numberInput(inputs, 'crf'));
    const name = { prefix: textInput(inputs, 'filename_prefix'), extension: 'webm' };
    const encode = async (): Promise<Buffer> => {
      const frames = await encodeFrames(images, async (source) => {
        const frame = lossyBitstream(await source.webp({ quality }).toBuffer());
        if (frame === undefined) throw new Error('the WebP encoder returned no lossy bitstream');
        return frame;
      });
      const tags = new Map([['prompt', context.promptJson()], ...context.extraPngInfoJson()]);
      return encodeWebm({ width: images.width, height: images.height, fps, frames, tags });
    };
    return { outputs: [], ui: await saveVideoFile(images, name, context, encode) };
  },
};
