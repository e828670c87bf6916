// The values of an answer of /stream are the same however the network cuts it, and in whatever order its keys come.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerTooLong, StreamAnswer } from '../../../client/transport/runpod/stream-answer.ts';

function read(text: string, cuts: readonly number[] = []): { values: unknown[]; rest: unknown } {
  const bytes = Buffer.from(text);
  const answer = new StreamAnswer();
  const values: unknown[] = [];
  let from = 0;
  for (const cut of [...cuts.filter((at) => at < bytes.length).toSorted((a, b) => a - b), bytes.length]) {
    values.push(...answer.push(bytes.subarray(from, cut)));
    from = cut;
  }
  return { values, rest: answer.rest() };
}

const cuts = fc.array(fc.nat({ max: 2_000 }), { maxLength: 30 });

describe('an answer of /stream', () => {
  it('gives every value and the rest, wherever it is cut', () => {
    const document = fc.record({
      stream: fc.array(fc.record({ output: fc.jsonValue() })),
      before: fc.dictionary(fc.string(), fc.jsonValue()),
      status: fc.string(),
      after: fc.dictionary(fc.string(), fc.jsonValue()),
      space: fc.constantFrom(0, 2),
      end: fc.constantFrom('', '\n'),
    });
    fc.assert(
      fc.property(document, cuts, ({ stream, before, status, after, space, end }, at) => {
        const { stream: _a, error: _b, status: _c, ...first } = before;
        const { stream: _d, error: _e, status: _f, ...last } = after;
        const whole = { ...first, stream, ...last, status };
        const { values, rest } = read(JSON.stringify(whole, null, space) + end, at);
        // As JSON has them: -0 is 0.
        expect(values).toEqual(JSON.parse(JSON.stringify(stream)));
        expect(rest).toEqual({ status });
      }),
      { numRuns: 500 },
    );
  });

  it('gives the values that came whole when it breaks off', () => {
    const text = '{"status":"COMPLETED","stream":[{"output":"a]\\"}"},{"output":"b"},{"output":"c';
    expect(read(text).values).toEqual([{ output: 'a]"}' }, { output: 'b' }]);
  });

  it('shows how it begins when it is no JSON, or ends too early', () => {
    expect(read('<html><body>502 Bad Gateway</body></html>', [3])).toEqual({
      values: [],
      rest: '<html><body>502 Bad Gateway</body></html>',
    });
    expect(read('{"status":"COMPL')).toEqual({ values: [], rest: '{"status":"COMPL' });
    expect(read('')).toEqual({ values: [], rest: '' });
  });

  it('has values in its own list only', () => {
    expect(read('{"error":"no","list":[{"stream":[3]}],"more":{"stream":[1,2]}}')).toEqual({
      values: [],
      rest: { error: 'no' },
    });
  });

  it('is given up when one value is longer than anything that RunPod sends', () => {
    const answer = new StreamAnswer();
    answer.push(Buffer.from('{"stream":["'));
    const block = Buffer.alloc(1024 * 1024, 0x61);
    expect(() => {
      for (let i = 0; i < 40; i++) answer.push(block);
    }).toThrow(AnswerTooLong);
  });
});
