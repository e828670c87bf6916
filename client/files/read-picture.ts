/** Reads one picture for a job: it exists, is a file, is not empty, is really a picture, and fits. */
import { createHash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import { base64EncodedLength, ComfyRunpodError } from '../../shared/index.ts';
import { megabytes } from '../submit/measure-body.ts';
import { pictureFormat, soundOrVideo } from './picture-format.ts';
import { readRegularFile } from './read-regular-file.ts';

/** A picture as it travels. */
export interface PictureFile {
  /** Last part of the path, as the person wrote it. */
  readonly baseName: string;
  /** Standard base64 of the bytes. */
  readonly data: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly size: number;
}

/** Options of {@link readPicture}. */
export interface ReadPictureOptions {
  /** Folder that relative paths start from. */
  readonly folder: string;
  /** Largest base64 that can travel at all; a larger file is refused unread. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** What the file must be. Default: a picture. */
  readonly kind?: 'picture' | 'video' | 'audio';
}

/** Paths are shown as written, cut to this. */
const shownPath = 200;

/**
 * Reads the picture, video or sound at `path`. Throws `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_EMPTY`, `FILE_NOT_A_PICTURE`, `FILE_NAME_UNSAFE` or
 * `BODY_TOO_LARGE`.
 */
export async function readPicture(path: string, options: ReadPictureOptions): Promise<PictureFile> {
  if (path === '') throw new ComfyRunpodError('FILE_NOT_FOUND', 'A picture has an empty path.');
  if (path.includes('\0')) {
    throw new ComfyRunpodError('FILE_NAME_UNSAFE', "A picture's path can't be used: it contains NUL.");
  }
  const shown = JSON.stringify(path.slice(0, shownPath));
  const bytes = await readRegularFile({
    path: resolve(options.folder, path),
    shown,
    signal: options.signal,
    checkSize: (size) => assertFits(size, options.maxBytes, shown),
  });
  if (options.kind === undefined || options.kind === 'picture') await assertPicture(bytes, shown);
  else assertMedia(bytes, options.kind, shown);
  return {
    baseName: basename(path),
    data: bytes.toString('base64'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
    size: bytes.byteLength,
  };
}

function assertFits(size: number, maxBytes: number, shown: string): void {
  if (base64EncodedLength(size) <= maxBytes) return;
  throw new ComfyRunpodError(
    'BODY_TOO_LARGE',
    `${shown} is ${megabytes(size)}, which makes ${megabytes(base64EncodedLength(size))} of base64; a job carries ${megabytes(maxBytes)}.`,
    { details: { bytes: size, limitBytes: maxBytes } },
  );
}

function assertMedia(bytes: Buffer, kind: 'video' | 'audio', shown: string): void {
  const found = soundOrVideo(bytes);
  // A video may be given for its sound.
  if (found === kind || (kind === 'audio' && found === 'video')) return;
  const what = kind === 'video' ? 'video' : 'sound';
  throw new ComfyRunpodError('FILE_NOT_A_PICTURE', `${shown} is not a ${what} that ComfyUI reads.`, {
    nextStep: kind === 'video' ? 'Send MP4, MOV, WebM, MKV, AVI or GIF.' : 'Send WAV, FLAC, MP3, OGG, OPUS or M4A.',
  });
}

async function assertPicture(bytes: Buffer, shown: string): Promise<void> {
  const format = pictureFormat(bytes);
  if (format === undefined) {
    throw new ComfyRunpodError('FILE_NOT_A_PICTURE', `${shown} is not a picture that ComfyUI reads.`);
  }
  // sharp reads no BMP; its first bytes have to do.
  if (format === 'bmp') return;
  try {
    // Loaded on demand: it is native code that commands without pictures don't need.
    const { default: sharp } = await import('sharp');
    await sharp(bytes).metadata();
  } catch (error) {
    throw new ComfyRunpodError('FILE_NOT_A_PICTURE', `${shown} begins like ${format.toUpperCase()} but is damaged.`, {
      cause: error,
    });
  }
}
