// The one door to the image library. It is set up at first use, so that importing a module changes nothing.
import sharp, { type Sharp, type SharpOptions } from 'sharp';

let isSetUp = false;

/** Opens a picture for decoding or raw pixels for encoding. Nothing is kept between calls: pictures of one prompt must not
 * stay in memory after it, and two cores are better used by the rest of the process than by one picture. */
export function openImage(input: Uint8Array, options: SharpOptions): Sharp {
  if (!isSetUp) {
    sharp.cache(false);
    sharp.concurrency(1);
    isSetUp = true;
  }
  return sharp(input, { limitInputPixels: false, ...options });
}
