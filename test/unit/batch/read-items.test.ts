import { describe, expect, it } from 'vitest';
import { combineItems, readItems } from '../../../client/batch/read-items.ts';

const plain = (rows: ReturnType<typeof readItems>) => rows.map((row) => Object.fromEntries(row));

describe('the items of a batch', () => {
  it('JSON lines and CSV say the same', () => {
    const json =
      '{"prompt":"a cat","seed":4,"KSampler.cfg":7.5}\n\n{"prompt":"a dog, brown","image":["a.png","b.png"]}\n';
    expect(plain(readItems(json))).toEqual([
      { prompt: ['a cat'], seed: ['4'], 'KSampler.cfg': ['7.5'] },
      { prompt: ['a dog, brown'], image: ['a.png', 'b.png'] },
    ]);
    const csv = 'prompt,seed,KSampler.cfg,image\r\na cat,4,7.5,\r\n"a dog, brown",,,a.png\r\n';
    expect(plain(readItems(csv))).toEqual([
      { prompt: ['a cat'], seed: ['4'], 'KSampler.cfg': ['7.5'] },
      { prompt: ['a dog, brown'], image: ['a.png'] },
    ]);
  });

  it('what spreadsheets write is understood: a byte order mark, semicolons, tabs, line breaks in quotes', () => {
    expect(plain(readItems('\uFEFFprompt;seed\na;1\n'))).toEqual([{ prompt: ['a'], seed: ['1'] }]);
    expect(plain(readItems('prompt\tseed\n"a\nb"\t1\n'))).toEqual([{ prompt: ['a\nb'], seed: ['1'] }]);
  });

  it.for([
    ['{"promt":"x"}', 'Line 1'],
    ['{"prompt":"x"}\n{"seed":', 'Line 2'],
    ['{"prompt":{"a":1}}', 'prompt'],
    ['prompt,seed\na\n', 'columns'],
    ['widht\n3\n', 'widht'],
    ['prompt\n', 'has none'],
  ])('%s is refused with its line', ([text = '', complaint = '']) => {
    expect(() => readItems(text)).toThrow(complaint);
  });

  it('every item meets every combination of the grid, under a name of its own', () => {
    const rows = readItems('{"name":"cat","prompt":"a cat"}\n{"prompt":"a dog"}');
    const grid = [new Map([['seed', '1']]), new Map([['seed', '2']])];
    const items = combineItems(rows, grid);
    expect(items.map((item) => item.name)).toEqual(['cat-0001', 'cat-0002', '0003', '0004']);
    expect(Object.fromEntries(items[3]?.values ?? [])).toEqual({ prompt: ['a dog'], seed: ['2'] });
    expect(combineItems(rows, [new Map()]).map((item) => item.name)).toEqual(['cat', '0002']);
    expect(() => combineItems([...rows, ...rows], [new Map()])).toThrow('"cat"');
  });
});
