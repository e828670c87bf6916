// Which of the decodable picture formats a file is, by its first bytes: names and extensions don't count, as in Pillow.

/** Formats the stand-in decodes. SVG and AVIF are left out on purpose: the decoder
 * could read them, the recorded server's Pillow can't. */
export type ImageFormat = 'png' | 'jpeg' | 'gif' | 'webp' | 'tiff' | 'bmp';

const signatures: readonly { readonly format: ImageFormat; readonly test: (head: string) => boolean }[] = [
  { format: 'png', test: (head) => head.startsWith('\x89PNG\r\n\x1a\n') },
  { format: 'jpeg', test: (head) => head.startsWith('\xff\xd8\xff') },
  { format: 'gif', test: (head) => head.startsWith('GIF87a') || head.startsWith('GIF89a') },
  { format: 'webp', test: (head) => head.startsWith('RIFF') && head.slice(8, 12) === 'WEBP' },
  { format: 'tiff', test: (head) => head.startsWith('II*\0') || head.startsWith('MM\0*') },
  { format: 'bmp', test: (head) => head.startsWith('BM') },
];

/** The format, or undefined when it is none of them. */
export function sniffFormat(bytes: Buffer): ImageFormat | undefined {
  const head = bytes.toString('latin1', 0, 16);
  return signatures.find(({ test }) => test(head))?.format;
}
