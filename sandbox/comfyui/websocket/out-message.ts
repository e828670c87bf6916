// Messages on their way to sockets, and who gets them (ComfyUI protocol notes §2.3).

/** `null` is everyone; anything that is not the id of a registered socket is nobody. */
export type Recipient = unknown;

/** A JSON message `{type, data}`. */
export interface JsonMessage {
  readonly kind: 'json';
  readonly event: string;
  readonly data: unknown;
  readonly to: Recipient;
  /** The prompt it is about, where it is about one; faults are armed by it. */
  readonly promptId: string | undefined;
}

/** A binary frame; `frame` holds the complete bytes including the type. */
export interface BinaryMessage {
  readonly kind: 'binary';
  readonly event: 'preview' | 'preview-with-metadata' | 'text' | 'unknown';
  readonly frame: Uint8Array;
  readonly to: Recipient;
  readonly promptId: string | undefined;
}

/** Anything the delivery loop sends. */
export type OutMessage = JsonMessage | BinaryMessage;
