import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { fernetTokenLength, importFernetKey, openFernet, sealFernet } from '../../../shared/dialects/fernet.ts';
import { isComfyRunpodError } from '../../../shared/index.ts';
import { dialectFixture, testFernetKey } from '../../support/dialects.ts';

const vector = z.object({ token: z.string(), now: z.string(), secret: z.string() });
const specification = z
  .object({
    generate: z.array(vector.extend({ iv: z.array(z.number()), src: z.string() })),
    verify: z.array(vector.extend({ ttl_sec: z.number(), src: z.string() })),
    invalid: z.array(vector.extend({ ttl_sec: z.number(), desc: z.string() })),
  })
  .parse(await dialectFixture('fernet-specification'));
const python = z
  .object({ key: z.string(), madeAt: z.number(), tokens: z.array(z.object({ plain: z.string(), token: z.string() })) })
  .parse(await dialectFixture('fernet-python'));

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (plain: string) => new TextEncoder().encode(plain);
const at = (now: string) => () => Date.parse(now);

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => (isComfyRunpodError(error) ? error.code : 'not coded'),
  );
}

describe('a Fernet token', () => {
  it.each(specification.generate)(
    'is made exactly as the specification says',
    async ({ secret, src, iv, now, token }) => {
      const key = await importFernetKey(secret);
      expect(await sealFernet(key, bytesOf(src), { iv: Uint8Array.from(iv), clock: at(now) })).toBe(token);
    },
  );

  it.each(specification.verify)('of the specification is opened', async ({ secret, token, ttl_sec, now, src }) => {
    const key = await importFernetKey(secret);
    expect(text(await openFernet(key, token, { ttlSeconds: ttl_sec, clock: at(now) }))).toBe(src);
  });

  it.each(specification.invalid)(
    'of the specification with $desc is refused',
    async ({ secret, token, ttl_sec, now }) => {
      const key = await importFernetKey(secret);
      expect(await codeOf(openFernet(key, token, { ttlSeconds: ttl_sec, clock: at(now) }))).toBe('INPUT_INVALID');
    },
  );

  it.each(python.tokens)('that Python made is opened (%#)', async ({ plain, token }) => {
    expect(text(await openFernet(await importFernetKey(python.key), token))).toBe(plain);
  });

  it('has the age checked only when a limit is given', async () => {
    const key = await importFernetKey(python.key);
    const token = python.tokens[1]?.token ?? '';
    const clock = () => (python.madeAt + 61) * 1_000;
    expect(text(await openFernet(key, token, { clock }))).toBe('hello');
    expect(text(await openFernet(key, token, { clock, ttlSeconds: 61 }))).toBe('hello');
    expect(await codeOf(openFernet(key, token, { clock, ttlSeconds: 60 }))).toBe('INPUT_INVALID');
  });

  it('comes back as it went in, and is as long as foretold', async () => {
    const key = await importFernetKey(testFernetKey);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const token = await sealFernet(key, Uint8Array.from(bytes));
        expect(token).toHaveLength(fernetTokenLength(bytes.length));
        expect([...(await openFernet(key, token))]).toEqual([...bytes]);
      }),
    );
  });

  it('is refused when a single character is changed, wherever it stands', async () => {
    const key = await importFernetKey(testFernetKey);
    const token = await sealFernet(key, bytesOf('a lighthouse at dawn'));
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === 'A' ? 'B' : 'A';
      expect(await codeOf(openFernet(key, token.slice(0, i) + other + token.slice(i + 1))), `at ${i}`).toBe(
        'INPUT_INVALID',
      );
    }
  });

  it('made with another key is refused with the same words as a damaged one', async () => {
    const token = await sealFernet(await importFernetKey(testFernetKey), bytesOf('secret words'));
    const other = await importFernetKey(specification.verify[0]?.secret ?? '');
    const refusals = await Promise.allSettled([
      openFernet(other, token),
      openFernet(other, 'gAAA'),
      openFernet(other, '%'),
    ]);
    const messages = refusals.map((refusal) => (refusal.status === 'rejected' ? String(refusal.reason) : 'accepted'));
    expect(new Set(messages).size).toBe(1);
    expect(messages[0]).not.toContain('accepted');
  });
});

describe('the key of encrypted requests', () => {
  it.each([
    '',
    'short',
    testFernetKey.slice(0, 40),
    `${testFernetKey}AAAA`,
    `${testFernetKey.slice(0, 20)} ${testFernetKey.slice(21)}`,
  ])('is refused without being repeated when it is not 32 bytes of base64 (%#)', async (key) => {
    const refusal = await importFernetKey(key).catch((error: unknown) => error);
    expect(isComfyRunpodError(refusal) && refusal.code).toBe('CONFIG_INVALID');
    if (key !== '') expect(String(refusal)).not.toContain(key);
  });

  it('may have lost its padding when it was copied', async () => {
    const token = await sealFernet(await importFernetKey(testFernetKey), bytesOf('x'));
    expect(text(await openFernet(await importFernetKey(` ${testFernetKey.replace('=', '')}\n`), token))).toBe('x');
  });
});
