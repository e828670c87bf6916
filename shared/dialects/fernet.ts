/**
 * Fernet tokens (public Fernet specification, version 0x80) with WebCrypto: AES-128-CBC and HMAC-SHA256. Invariants: the MAC is checked
 * before anything is decrypted, in constant time; every way in which a token can be wrong gives the same error, so that answers teach
 * an attacker nothing.
 */
import { ComfyRunpodError } from '../error.ts';
import { base64UrlLength, decodeBase64Url, encodeBase64Url } from './base64-url.ts';

const versionByte = 0x80;
const blockBytes = 16;
const macBytes = 32;
/** Version, timestamp and initialisation vector. */
const headBytes = 1 + 8 + blockBytes;
/** How far a token's clock may be ahead of ours when its age is checked, seconds. The specification leaves the figure open. */
const clockSkewSeconds = 60;

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** An imported Fernet key. */
export interface FernetKey {
  readonly signing: Key;
  readonly encryption: Key;
}

/** When a token counts as valid. */
export interface FernetValidity {
  /** Largest age in seconds. Without it the age is not checked. */
  readonly ttlSeconds?: number;
  /** Milliseconds since 1970. Default: the system clock. */
  readonly clock?: () => number;
}

/** Imports a key from its text: 32 bytes as URL-safe base64. Throws `CONFIG_INVALID`; the text is not repeated. */
export async function importFernetKey(text: string): Promise<FernetKey> {
  const trimmed = text.trim();
  // Python's decoder insists on the padding, but people lose the one "=" when they copy a key.
  const bytes = decodeBase64Url(trimmed.length === 43 ? `${trimmed}=` : trimmed);
  if (bytes?.length !== 32) {
    throw new ComfyRunpodError('CONFIG_INVALID', 'ENCRYPTION_KEY is not 32 bytes of URL-safe base64.', {
      nextStep: 'Generate a Fernet key and set it as ENCRYPTION_KEY on the endpoint and at the caller.',
    });
  }
  const [signing, encryption] = await Promise.all([
    crypto.subtle.importKey('raw', bytes.slice(0, 16), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']),
    crypto.subtle.importKey('raw', bytes.slice(16), 'AES-CBC', false, ['encrypt', 'decrypt']),
  ]);
  return { signing, encryption };
}

function invalidToken(): ComfyRunpodError {
  return new ComfyRunpodError('INPUT_INVALID', "The Fernet token can't be opened.", {
    issues: [{ field: 'encrypted_input', message: "it can't be opened with this worker's key, or it has expired" }],
    nextStep:
      "Encrypt the input anew with the key that the endpoint has as ENCRYPTION_KEY, and check the sender's clock.",
  });
}

/** Opens a token. Throws `INPUT_INVALID` when it is malformed, forged, made with another key or too old. */
export async function openFernet(
  key: FernetKey,
  token: string,
  validity: FernetValidity = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = decodeBase64Url(token.trim());
  if (bytes === undefined || bytes[0] !== versionByte) throw invalidToken();
  const cipherBytes = bytes.length - headBytes - macBytes;
  if (cipherBytes < blockBytes || cipherBytes % blockBytes !== 0) throw invalidToken();
  if (validity.ttlSeconds !== undefined) assertAge(bytes, validity.ttlSeconds, validity.clock ?? Date.now);
  const signed = bytes.subarray(0, bytes.length - macBytes);
  const mac = bytes.subarray(bytes.length - macBytes);
  // WebCrypto compares in constant time.
  if (!(await crypto.subtle.verify('HMAC', key.signing, mac, signed))) throw invalidToken();
  const iv = bytes.subarray(9, headBytes);
  try {
    const plain = await crypto.subtle.decrypt({ name: 'AES-CBC', iv }, key.encryption, signed.subarray(headBytes));
    return new Uint8Array(plain);
  } catch {
    throw invalidToken();
  }
}

function assertAge(token: Uint8Array<ArrayBuffer>, ttlSeconds: number, clock: () => number): void {
  const made = Number(new DataView(token.buffer, token.byteOffset).getBigUint64(1));
  const now = Math.floor(clock() / 1000);
  if (made + ttlSeconds < now || made > now + clockSkewSeconds) throw invalidToken();
}

/** Makes a token. `iv` is for test vectors only: it must never repeat, and is random when left out. */
export async function sealFernet(
  key: FernetKey,
  plain: Uint8Array<ArrayBuffer>,
  options: { readonly clock?: () => number; readonly iv?: Uint8Array<ArrayBuffer> } = {},
): Promise<string> {
  const iv = options.iv ?? crypto.getRandomValues(new Uint8Array(blockBytes));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-CBC', iv }, key.encryption, plain));
  const token = new Uint8Array(headBytes + sealed.length + macBytes);
  token[0] = versionByte;
  const seconds = Math.floor((options.clock ?? Date.now)() / 1000);
  new DataView(token.buffer).setBigUint64(1, BigInt(seconds));
  token.set(iv, 9);
  token.set(sealed, headBytes);
  const signed = token.subarray(0, token.length - macBytes);
  token.set(new Uint8Array(await crypto.subtle.sign('HMAC', key.signing, signed)), signed.length);
  return encodeBase64Url(token);
}

/** Characters of the token of `plainBytes` bytes, so that the length of an answer is known before it is sealed. */
export function fernetTokenLength(plainBytes: number): number {
  const cipherBytes = (Math.floor(plainBytes / blockBytes) + 1) * blockBytes;
  return base64UrlLength(headBytes + cipherBytes + macBytes);
}
