import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backoffMs,
  base64DecodedLength,
  base64EncodedLength,
  compareNodeIds,
  createDeadline,
  delay,
  detectWorkflowFormat,
  isStrictBase64,
  parseTolerantJson,
  ResourceStack,
  raceSignal,
  retryAfterMs,
} from '../../../shared/index.ts';

describe('waiting', () => {
  it('ends with the reason of its signal, at once when that is aborted already', async () => {
    const reason = new Error('stop');
    await expect(delay(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = delay(60_000, controller.signal);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(raceSignal(new Promise(() => {}), AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('tells a time-out from a cancel', async () => {
    const parent = new AbortController();
    using timed = createDeadline(1, () => new Error('time is up'), parent.signal);
    await expect(delay(60_000, timed.signal)).rejects.toThrow('time is up');
    expect(timed.expired).toBe(true);
    using cancelled = createDeadline(60_000, () => new Error('time is up'), parent.signal);
    parent.abort(new Error('cancelled'));
    await expect(delay(60_000, cancelled.signal)).rejects.toThrow('cancelled');
    expect(cancelled.expired).toBe(false);
  });
});

describe('pauses between attempts', () => {
  it('never exceed their bound and never are negative', () => {
    fc.assert(
      fc.property(
        fc.nat(200),
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 1e6 }),
        (attempt, baseMs, maxMs) => {
          const pause = backoffMs(attempt, { baseMs, maxMs });
          expect(pause).toBeGreaterThanOrEqual(0);
          expect(pause).toBeLessThanOrEqual(maxMs);
        },
      ),
    );
  });

  it('honour Retry-After in seconds and as a date, within a ceiling', () => {
    expect(retryAfterMs('2', 60_000)).toBe(2_000);
    expect(retryAfterMs('900', 60_000)).toBe(60_000);
    expect(retryAfterMs('Sat, 21 Nov 2026 00:00:05 GMT', 60_000, () => Date.parse('2026-11-21T00:00:00Z'))).toBe(5_000);
    expect(retryAfterMs('soon', 60_000)).toBeUndefined();
    expect(retryAfterMs(null, 60_000)).toBeUndefined();
  });
});

describe('owned resources', () => {
  it('are all released in reverse order, once, and every failure is reported', async () => {
    const stack = new ResourceStack();
    const released: number[] = [];
    for (const n of [1, 2, 3]) {
      stack.defer(() => {
        released.push(n);
        if (n !== 1) throw new Error(`failed ${n}`);
      });
    }
    await expect(stack.close()).rejects.toMatchObject({ errors: [{ message: 'failed 3' }, { message: 'failed 2' }] });
    await expect(stack.close()).rejects.toBeInstanceOf(AggregateError);
    expect(released).toEqual([3, 2, 1]);
  });
});

describe("ComfyUI's JSON", () => {
  it('is read with bare NaN and Infinity, which leaves strings that say so alone', () => {
    expect(parseTolerantJson('{"a": NaN, "b": [-Infinity, Infinity], "NaN": "NaN, \\"Infinity\\""}')).toEqual({
      a: null,
      b: [null, null],
      NaN: 'NaN, "Infinity"',
    });
  });

  it('of any ordinary shape is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseTolerantJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it('that is broken is refused without repeating it', () => {
    expect(() => parseTolerantJson('{"prompt": "private words')).toThrow(/^not valid JSON$/);
  });
});

describe('base64', () => {
  it('lengths are those of the real encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(isStrictBase64(text)).toBe(true);
        expect(base64EncodedLength(bytes.length)).toBe(text.length);
        expect(base64DecodedLength(text)).toBe(bytes.length);
      }),
    );
  });

  it('is strict: the same as the grammar for any text, at every place and every length', () => {
    const grammar = (text: string) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
    const near = fc.string({ unit: fc.constantFrom(...'AZaz09+/==  \t\n-_%\u00e9\u0141'), maxLength: 12 });
    // From the start of one part that is looked at, and across the border to the next.
    for (const before of [0, 65_532, 65_528, 131_064]) {
      fc.assert(
        fc.property(near, (text) => {
          const whole = 'A'.repeat(before) + text;
          expect(isStrictBase64(whole)).toBe(grammar(whole));
          const followed = `${whole}AAAA`;
          expect(isStrictBase64(followed)).toBe(grammar(followed));
        }),
        { numRuns: before === 0 ? 5_000 : 300 },
      );
    }
  });
});

describe('workflows', () => {
  it('sort their node ids as people read them', () => {
    expect(['10', '2', '12:10', '12:3', '12', 'b', 'a'].toSorted(compareNodeIds)).toEqual([
      '2',
      '10',
      '12',
      '12:3',
      '12:10',
      'a',
      'b',
    ]);
  });

  it('are told apart by format', () => {
    expect(detectWorkflowFormat({ '1': { class_type: 'X', inputs: {} } })).toBe('api');
    expect(detectWorkflowFormat({ nodes: [], links: [] })).toBe('editor');
    expect(detectWorkflowFormat({ a: 1 })).toBe('unknown');
    expect(detectWorkflowFormat([])).toBe('unknown');
  });
});
