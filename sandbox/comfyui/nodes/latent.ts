// Latents as the nodes pass them on, and the safetensors files they are saved in.
// Source of the file format: the safetensors specification (eight bytes of header length, JSON header, raw numbers).

/** A `LATENT`: float32 numbers of any shape. */
export interface Latent {
  readonly kind: 'LATENT';
  /** Sizes, outermost first: batch, channels, height, width; audio has no height. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** `audio` for audio latents. */
  readonly type: string | undefined;
}

/** A latent of zeros. */
export function emptyLatent(shape: readonly number[], type?: string): Latent {
  const length = shape.reduce((product, size) => product * size, 1);
  return { kind: 'LATENT', shape, data: new Float32Array(length), type };
}

/** Whether a node's input is a latent. */
export function isLatent(value: unknown): value is Latent {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'LATENT';
}

/** A `.latent` file: the numbers, an empty tensor that marks the format's version, and text metadata. */
export function encodeLatentFile(latent: Latent, metadata: ReadonlyMap<string, string>): Buffer {
  const numbers = Buffer.from(latent.data.buffer, latent.data.byteOffset, latent.data.byteLength);
  const header = {
    ...(metadata.size === 0 ? {} : { __metadata__: Object.fromEntries(metadata) }),
    latent_format_version_0: { dtype: 'F32', shape: [0], data_offsets: [0, 0] },
    latent_tensor: { dtype: 'F32', shape: latent.shape, data_offsets: [0, numbers.length] },
  };
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  // The numbers start on a multiple of eight; spaces fill the header up to it.
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' ');
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, numbers]);
}
