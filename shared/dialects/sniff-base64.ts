/** Tells the type of a file from the first characters of its base64, without decoding the rest. */

/** Signatures: offset and the bytes there as Latin-1 text. First match wins. */
const signatures: readonly (readonly [extension: string, ...parts: readonly (readonly [number, string])[]])[] = [
  ['png', [0, '\x89PNG\r\n\x1a\n']],
  ['jpg', [0, '\xff\xd8\xff']],
  ['gif', [0, 'GIF8']],
  ['webp', [0, 'RIFF'], [8, 'WEBP']],
  ['avi', [0, 'RIFF'], [8, 'AVI ']],
  ['wav', [0, 'RIFF'], [8, 'WAVE']],
  ['avif', [4, 'ftypavif']],
  ['heic', [4, 'ftyphei']],
  ['mov', [4, 'ftypqt']],
  ['m4a', [4, 'ftypM4A']],
  ['mp4', [4, 'ftyp']],
  ['webm', [0, '\x1aE\xdf\xa3']],
  ['tiff', [0, 'II*\0']],
  ['tiff', [0, 'MM\0*']],
  ['flac', [0, 'fLaC']],
  ['ogg', [0, 'OggS']],
  ['mp3', [0, 'ID3']],
  ['mp3', [0, '\xff\xfb']],
  ['zip', [0, 'PK\x03\x04']],
  ['gz', [0, '\x1f\x8b']],
  ['glb', [0, 'glTF']],
  ['bmp', [0, 'BM']],
];

/** The file extension that fits the bytes, or undefined when they have no known signature. `base64` must be well formed. */
export function sniffBase64(base64: string): string | undefined {
  const head = base64.slice(0, 24);
  if (head.length < 8 || head.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(head)) return undefined;
  const bytes = atob(head);
  return signatures.find(([, ...parts]) => parts.every(([at, text]) => bytes.startsWith(text, at)))?.[0];
}

/** True when the base64 is that of a tar archive, whose signature `ustar` stands at byte 257: in the group of four characters from 340. */
export function isTarBase64(base64: string): boolean {
  const part = base64.slice(340, 352);
  return /^[A-Za-z0-9+/]{12}$/.test(part) && atob(part).includes('ustar');
}
