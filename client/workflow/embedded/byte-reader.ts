/** Reads numbers and texts out of bytes of unknown origin. Everything is bounds-checked: what lies beyond the end raises {@link Truncated}. */

/** The bytes end before the structure does. Never leaves this folder. */
export class Truncated extends Error {
  override readonly name = 'Truncated';
}

/** A window on bytes. Positions count from its start. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  #check(at: number, size: number): void {
    if (!Number.isSafeInteger(at) || at < 0 || size < 0 || at + size > this.bytes.length) throw new Truncated();
  }

  u8(at: number): number {
    this.#check(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number, littleEndian = false): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, littleEndian);
  }

  u32(at: number, littleEndian = false): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, littleEndian);
  }

  /** Numbers that no file reaches are {@link Truncated}. */
  u64(at: number): number {
    const value = this.u32(at) * 2 ** 32 + this.u32(at + 4);
    if (!Number.isSafeInteger(value)) throw new Truncated();
    return value;
  }

  /** A part, as a view on the same bytes. */
  slice(at: number, size: number): Uint8Array {
    this.#check(at, size);
    return this.bytes.subarray(at, at + size);
  }

  /** A part, as a reader. */
  sub(at: number, size: number): ByteReader {
    return new ByteReader(this.slice(at, size));
  }

  /** One character per byte. */
  ascii(at: number, size: number): string {
    return latin1(this.slice(at, size));
  }

  /** True when these characters stand at `at`. */
  startsWith(text: string, at = 0): boolean {
    return at + text.length <= this.bytes.length && this.ascii(at, text.length) === text;
  }

  /** Position of the next zero byte from `at`, before `end`. */
  zero(at: number, end = this.bytes.length): number {
    const found = this.bytes.indexOf(0, at);
    if (found < 0 || found >= end) throw new Truncated();
    return found;
  }
}

/** One character per byte; right for ASCII and ISO 8859-1. */
export function latin1(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

/** UTF-8 where the bytes are valid UTF-8, else ISO 8859-1: writers do not keep to what their format prescribes. Trailing zeros go. */
export function decodeText(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  const text = bytes.subarray(0, end);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(text);
  } catch {
    return latin1(text);
  }
}
