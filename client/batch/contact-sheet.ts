/**
 * A contact sheet: every picture of a batch in one, with what varies written under it. Letters are drawn as outlines of a font that comes along:
 * a machine without fonts would show boxes.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import opentype from 'opentype.js';
import sharp, { type OverlayOptions } from 'sharp';

/** One picture of a sheet. */
export interface SheetCell {
  /** Path of the picture, or undefined for an item that made none. */
  readonly path?: string;
  /** Lines under it, for example `seed 4` and `KSampler.cfg 7`. */
  readonly caption: readonly string[];
}

/** Options of {@link contactSheet}. */
export interface SheetOptions {
  /** Pictures in a row. Default: a sheet about as wide as high. */
  readonly columns?: number;
  /** Largest side of a picture on the sheet, pixels. Default 256. */
  readonly cellPixels?: number;
}

const gap = 12;
const lineHeight = 18;
const fontPixels = 13;
/** A sheet is for looking at; a wider or higher one can't be opened by many programs. */
const maxSheetPixels = 16_000;
const ink = '#222222';
const faint = '#e4e4e4';

/** Draws the sheet as PNG. A picture that can't be read is drawn as an empty frame, so that its caption keeps its place. */
export async function contactSheet(cells: readonly SheetCell[], options: SheetOptions = {}): Promise<Buffer> {
  const columns = Math.max(1, Math.min(cells.length || 1, options.columns ?? Math.ceil(Math.sqrt(cells.length))));
  const rows = Math.max(1, Math.ceil(cells.length / columns));
  const lines = cells.reduce((most, { caption }) => Math.max(most, caption.length), 0);
  const side = cellSide(options.cellPixels ?? 256, columns, rows, lines);
  const cellHeight = side + lines * lineHeight + gap;
  const width = gap + columns * (side + gap);
  const height = gap + rows * cellHeight;
  const font = await sheetFont();
  const composed: OverlayOptions[] = [];
  for (const [index, cell] of cells.entries()) {
    const left = gap + (index % columns) * (side + gap);
    const top = gap + Math.floor(index / columns) * cellHeight;
    composed.push({ input: await thumbnail(cell.path, side), left, top });
    if (cell.caption.length > 0) composed.push({ input: captionSvg(font, cell.caption, side), left, top: top + side });
  }
  return sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite(composed)
    .png()
    .toBuffer();
}

function cellSide(wished: number, columns: number, rows: number, lines: number): number {
  const wide = Math.floor((maxSheetPixels - gap) / columns) - gap;
  const high = Math.floor((maxSheetPixels - gap) / rows) - gap - lines * lineHeight;
  return Math.max(16, Math.min(wished, wide, high));
}

async function thumbnail(path: string | undefined, side: number): Promise<Buffer> {
  const frame = { width: side, height: side, fit: 'contain', background: '#ffffff' } as const;
  if (path !== undefined) {
    try {
      return await sharp(path, { animated: false })
        .rotate()
        .flatten({ background: '#ffffff' })
        .resize(frame)
        .png()
        .toBuffer();
    } catch {
      // Not a picture that sharp reads (a video, or gone): the frame stays empty.
    }
  }
  return sharp({ create: { width: side, height: side, channels: 3, background: faint } })
    .png()
    .toBuffer();
}

let loading: Promise<opentype.Font> | undefined;

/** DejaVu Sans Mono, from the package that carries it. */
function sheetFont(): Promise<opentype.Font> {
  loading ??= (async () => {
    const file = createRequire(import.meta.url).resolve(
      '@fontsource/dejavu-mono/files/dejavu-mono-latin-400-normal.woff',
    );
    const bytes = await readFile(file);
    return opentype.parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  })();
  return loading;
}

/** The lines as an SVG of paths, each cut to the width of the picture. */
function captionSvg(font: opentype.Font, caption: readonly string[], width: number): Buffer {
  const paths = caption.map((text, row) =>
    font.getPath(fitted(font, text, width), 0, row * lineHeight + fontPixels + 2, fontPixels).toSVG(1),
  );
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${caption.length * lineHeight}"><g fill="${ink}">${paths.join('')}</g></svg>`,
  );
}

function fitted(font: opentype.Font, text: string, width: number): string {
  const wide = (piece: string) => font.getAdvanceWidth(piece, fontPixels) > width;
  if (!wide(text)) return text;
  const letters = [...text];
  while (letters.length > 0 && wide(`${letters.join('')}…`)) letters.pop();
  return `${letters.join('')}…`;
}
