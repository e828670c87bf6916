import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64Url, encodeBase64Url } from '../../../shared/dialects/base64-url.ts';

describe('URL-safe base64', () => {
  it('is what Node makes of it, with padding, both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        const plain = Buffer.from(bytes).toString('base64url');
        const text = plain.padEnd(Math.ceil(plain.length / 4) * 4, '=');
        expect(encodeBase64Url(bytes)).toBe(text);
        expect(decodeBase64Url(text)).toEqual(Uint8Array.from(bytes));
      }),
    );
  });

  it.each(['A', 'AA', 'AAA', 'AA=A', '====', 'A===', 'AB==', 'AAB=', 'AA A', 'AA+A', 'AA/A', 'AAAĀ', 'AA==AA=='])(
    'refuses %s, which is malformed or a second spelling',
    (text) => {
      expect(decodeBase64Url(text)).toBeUndefined();
    },
  );
});
