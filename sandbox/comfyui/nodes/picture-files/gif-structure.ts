// What the decoder does not tell about a GIF: the colour behind its transparent pixels, and whether the file is whole.
// Source: GIF89a specification §§17-27. Neighbours: decode-image.ts.

/** Facts about a GIF that decide how Pillow would read it. */
export interface GifStructure {
  /** Colour of the first picture's transparent index; undefined when it has none. */
  readonly transparentColour: readonly [number, number, number] | undefined;
  /** Pictures whose descriptor is there, whole or not. */
  readonly pictures: number;
  /** False when the file ends inside a picture. */
  readonly isWhole: boolean;
}

const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const PICTURE = 0x2c;

/** Reads on; past the end every byte is 0. */
class Reader {
  position: number;
  readonly bytes: Buffer;

  constructor(bytes: Buffer, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  get atEnd(): boolean {
    return this.position >= this.bytes.length;
  }

  byte(): number {
    return this.bytes[this.position++] ?? 0;
  }

  /** Skips sub-blocks; false when the file ends before their end mark. */
  skipBlocks(): boolean {
    while (!this.atEnd) {
      const length = this.byte();
      if (length === 0) return true;
      this.position += length;
    }
    return false;
  }

  /** Skips a colour table if the flags announce one; gives its place. */
  table(flags: number): number | undefined {
    if ((flags & 0x80) === 0) return undefined;
    const place = this.position;
    this.position += 3 * 2 ** ((flags & 7) + 1);
    return place;
  }
}

/** Walks the blocks of a GIF. */
export function readGifStructure(bytes: Buffer): GifStructure {
  const reader = new Reader(bytes, 13);
  const globalTable = reader.table(bytes[10] ?? 0);
  let transparentIndex: number | undefined;
  let transparentColour: GifStructure['transparentColour'];
  let pictures = 0;
  while (!reader.atEnd) {
    const kind = reader.byte();
    if (kind === EXTENSION) {
      const label = reader.byte();
      const place = reader.position;
      if (label === GRAPHIC_CONTROL && pictures === 0 && ((bytes[place + 1] ?? 0) & 1) === 1) {
        transparentIndex = bytes[place + 4];
      }
      if (!reader.skipBlocks()) break;
    } else if (kind === PICTURE) {
      pictures += 1;
      reader.position += 8;
      const table = reader.table(reader.byte()) ?? globalTable;
      if (pictures === 1 && transparentIndex !== undefined && table !== undefined) {
        const place = table + 3 * transparentIndex;
        transparentColour = [bytes[place] ?? 0, bytes[place + 1] ?? 0, bytes[place + 2] ?? 0];
      }
      reader.position += 1;
      if (!reader.skipBlocks()) return { transparentColour, pictures, isWhole: false };
    } else {
      break;
    }
  }
  return { transparentColour, pictures, isWhole: true };
}
