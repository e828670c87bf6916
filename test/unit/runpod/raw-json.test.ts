// Raw members must be exactly what JSON.parse sees, for every object there is.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRawObject } from '../../../sandbox/runpod/raw-json.ts';

describe('parseRawObject', () => {
  it('keeps each member’s text so that parsing it gives the member’s value, in any layout', () => {
    const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true });
    fc.assert(
      fc.property(objects, fc.constantFrom('', ' ', '\t', '\n'), (object, indent) => {
        const text = JSON.stringify(object, null, indent);
        const parsed = parseRawObject(Buffer.from(text));
        const value = JSON.parse(text) as Record<string, unknown>;
        expect(parsed?.value).toEqual(value);
        expect([...(parsed?.members.keys() ?? [])].sort()).toEqual(Object.keys(value).sort());
        for (const [key, raw] of parsed?.members ?? []) expect(JSON.parse(raw.toString())).toEqual(value[key]);
      }),
    );
  });

  it('keeps the text itself: spaces, number forms and escapes', () => {
    const body = '{"a" : [1.50, 2e3 ,{"x":"}"}] ,"b":"\\"\\\\","c":\ttrue\n}';
    const members = [...(parseRawObject(Buffer.from(body))?.members ?? [])].map(([key, raw]) => [key, raw.toString()]);
    expect(members).toEqual([
      ['a', '[1.50, 2e3 ,{"x":"}"}]'],
      ['b', '"\\"\\\\"'],
      ['c', 'true'],
    ]);
  });

  it('a repeated key keeps its last value', () => {
    expect(parseRawObject(Buffer.from('{"a":1,"a":[2]}'))?.members.get('a')?.toString()).toBe('[2]');
  });

  it.each(['', '[]', '1', 'null', '"x"', '{', '{"a":NaN}', '{"a":1}}', '\ufeff{}'])('refuses %j', (body) => {
    expect(parseRawObject(Buffer.from(body))).toBeUndefined();
  });

  it('refuses broken UTF-8', () => {
    expect(parseRawObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBeUndefined();
  });
});
