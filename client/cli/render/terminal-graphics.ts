/**
 * Pictures inside a terminal: kitty's graphics protocol, iTerm2's inline images, and sixel. Which one a terminal has is read from its variables,
 * because asking it would mean reading answers from the keyboard's stream. Pictures are scaled down first; nothing is written to disk.
 */
import type { Environment } from '../../config.ts';

/** A way of drawing pictures in a terminal. */
export type GraphicsProtocol = 'kitty' | 'iterm2' | 'sixel';

/** Rows of text that a picture is given. */
export const pictureRows = 14;

/** Largest sides of a drawn picture, pixels. */
const maxPixels = { width: 560, height: 320 };

/** Bytes of base64 in one kitty escape (kitty's documentation: at most 4096). */
const kittyChunk = 4_096;

/** kitty's own terminals and those that took over its protocol, by TERM or TERM_PROGRAM. */
const kittyNames = /^(xterm-kitty|xterm-ghostty|ghostty|kitty)$/;
const sixelTerms = /^(foot|foot-extra|mlterm|mlterm-.*|contour|yaft-.*|xterm-sixel)$/;

/**
 * The protocol of this terminal, or undefined. `COMFY_RUNPOD_GRAPHICS` decides where it is set (`none` turns pictures off); inside tmux and
 * screen nothing is drawn, because they swallow the sequences.
 */
export function terminalGraphics(interactive: boolean, environment: Environment): GraphicsProtocol | undefined {
  const wish = environment['COMFY_RUNPOD_GRAPHICS']?.trim().toLowerCase();
  if (wish === 'kitty' || wish === 'iterm2' || wish === 'sixel') return wish;
  if (wish === 'none' || !interactive) return undefined;
  const term = environment['TERM'] ?? '';
  const program = environment['TERM_PROGRAM'] ?? '';
  if (present(environment['TMUX']) || /^(screen|tmux)/.test(term)) return undefined;
  if (present(environment['KITTY_WINDOW_ID']) || kittyNames.test(term) || kittyNames.test(program)) return 'kitty';
  if (program === 'iTerm.app' || program === 'WezTerm' || environment['LC_TERMINAL'] === 'iTerm2') return 'iterm2';
  return sixelTerms.test(term) ? 'sixel' : undefined;
}

function present(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}

/** The picture in `bytes` as text that draws it, with a line break after it. Throws what sharp throws when it is no picture. */
export async function drawPicture(bytes: Uint8Array, protocol: GraphicsProtocol): Promise<string> {
  const { default: sharp } = await import('sharp');
  const small = sharp(bytes, { limitInputPixels: 268_402_689, animated: false })
    .rotate()
    .resize({ ...maxPixels, fit: 'inside', withoutEnlargement: true });
  if (protocol === 'sixel') {
    const { data, info } = await small.ensureAlpha().raw().toBuffer({ resolveWithObject: true });
    const { image2sixel } = await import('sixel');
    return `${image2sixel(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), info.width, info.height, 256, 0)}\n`;
  }
  const png = (await small.png().toBuffer()).toString('base64');
  return protocol === 'kitty' ? kitty(png) : iterm2(png);
}

/** Transmit and show at once (`a=T`), PNG (`f=100`), no answers (`q=2`): https://sw.kovidgoyal.net/kitty/graphics-protocol. */
function kitty(png: string): string {
  const pieces: string[] = [];
  for (let at = 0; at < png.length; at += kittyChunk) {
    const more = at + kittyChunk < png.length ? 1 : 0;
    const head = at === 0 ? `a=T,f=100,q=2,r=${pictureRows},` : '';
    pieces.push(`\u001b_G${head}m=${more};${png.slice(at, at + kittyChunk)}\u001b\\`);
  }
  return `${pieces.join('')}\n`;
}

/** https://iterm2.com/documentation-images.html */
function iterm2(png: string): string {
  const size = Math.floor((png.length * 3) / 4);
  return `\u001b]1337;File=inline=1;size=${size};height=${pictureRows};preserveAspectRatio=1:${png}\u0007\n`;
}
