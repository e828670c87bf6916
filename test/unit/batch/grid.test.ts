import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gridCombinations, parseGridAxis } from '../../../client/batch/grid.ts';

describe('the values of one --grid', () => {
  it.for([
    ['seed=1..4', ['1', '2', '3', '4']],
    ['seed=4..1', ['4', '3', '2', '1']],
    ['seed=7..7', ['7']],
    ['KSampler.cfg=4,7', ['4', '7']],
    ['denoise=0..1..0.25', ['0.00', '0.25', '0.50', '0.75', '1.00']],
    ['denoise=0.1..0.3..0.1', ['0.1', '0.2', '0.3']],
    ['3.sampler_name=euler, dpmpp_2m', ['euler', 'dpmpp_2m']],
    ['seed=1..3,10', ['1', '2', '3', '10']],
    ['prompt="a cat, sitting",a dog', ['a cat, sitting', 'a dog']],
    [`prompt='say "hi", twice'`, ['say "hi", twice']],
    ['lora.name="1..3"', ['1..3']],
    ['set.text=a=b', ['a=b']],
  ] as const)('%s', ([text, values]) => {
    expect(parseGridAxis(text).values).toEqual(values);
  });

  it.for([
    'seed',
    '=1',
    'seed=',
    'seed=1,,2',
    'seed="open',
    'seed=1..10..-1',
    'x.y=0.1..0.9',
    'seed=1..99999999',
    'x.y=0..1..0',
  ])('%s is refused with how to write it', (text) => {
    expect(() => parseGridAxis(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  it('a range has every whole number from one end to the other', () => {
    fc.assert(
      fc.property(fc.integer({ min: -500, max: 500 }), fc.integer({ min: -500, max: 500 }), (from, to) => {
        const values = parseGridAxis(`seed=${from}..${to}`).values.map(Number);
        expect(values[0]).toBe(from);
        expect(values.at(-1)).toBe(to);
        expect(new Set(values).size).toBe(Math.abs(to - from) + 1);
      }),
    );
  });
});

describe('several --grid', () => {
  it('every combination is there once, the last flag varying fastest', () => {
    const rows = gridCombinations([parseGridAxis('seed=1..2'), parseGridAxis('3.cfg=4,7')]);
    expect(rows.map((row) => [...row.values()].join(' '))).toEqual(['1 4', '1 7', '2 4', '2 7']);
    expect(gridCombinations([])).toEqual([new Map()]);
  });

  it('a flag that is given twice and a grid beyond reason are refused', () => {
    const seeds = parseGridAxis('seed=1..200');
    expect(() => gridCombinations([seeds, seeds])).toThrow('given twice');
    expect(() => gridCombinations([seeds, parseGridAxis('3.cfg=1..200')])).toThrow('40000 combinations');
  });
});
