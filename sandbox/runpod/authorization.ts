// Keys: RunPod accepts `Bearer <key>` and the bare key on both faces (RunPod protocol notes §1.1, §2.23.9).
import { timingSafeEqual } from 'node:crypto';

/** Whether an Authorization header carries the wanted key; `null` accepts anything, a missing header included. */
export function acceptsKey(header: string | undefined, wanted: string | null): boolean {
  if (wanted === null) return true;
  if (header === undefined) return false;
  const given = Buffer.from(header.replace(/^Bearer\s+/i, ''));
  const expected = Buffer.from(wanted);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** How the key came, for the request log, which never holds the key itself. */
export function authorizationKind(header: string | undefined): 'none' | 'raw' | 'bearer' {
  if (header === undefined || header === '') return 'none';
  return /^Bearer\s/i.test(header) ? 'bearer' : 'raw';
}
