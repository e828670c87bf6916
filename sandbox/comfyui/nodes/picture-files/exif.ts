// A minimal Exif block: text entries in one directory, big-endian, as Pillow writes one.
// Source: TIFF 6.0 §2 (header, directory, entries). Neighbours: webp-container.ts, save-animated.ts.

/** Directory type of a text: bytes ending in 0. */
const ASCII = 2;

/** Encodes text by tag number. Values longer than three characters lie behind the directory. */
export function encodeExif(texts: ReadonlyMap<number, string>): Buffer {
  const entries = [...texts].sort(([left], [right]) => left - right);
  const directory = Buffer.alloc(8 + 2 + entries.length * 12 + 4);
  directory.write('MM\0*', 0, 'latin1');
  directory.writeUInt32BE(8, 4);
  directory.writeUInt16BE(entries.length, 8);
  const values: Buffer[] = [];
  let end = directory.length;
  entries.forEach(([tag, text], index) => {
    const value = Buffer.from(`${text}\0`, 'utf8');
    const position = 10 + index * 12;
    directory.writeUInt16BE(tag, position);
    directory.writeUInt16BE(ASCII, position + 2);
    directory.writeUInt32BE(value.length, position + 4);
    if (value.length <= 4) {
      value.copy(directory, position + 8);
      return;
    }
    directory.writeUInt32BE(end, position + 8);
    const padding = value.length % 2;
    values.push(value, Buffer.alloc(padding));
    end += value.length + padding;
  });
  return Buffer.concat([directory, ...values]);
}
