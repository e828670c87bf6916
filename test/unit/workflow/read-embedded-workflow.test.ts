import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { convertWorkflow } from '../../../client/workflow/convert/convert-workflow.ts';
import { readEmbeddedWorkflow } from '../../../client/workflow/embedded/read-embedded-workflow.ts';
import { detectWorkflowFormat } from '../../../shared/index.ts';
import { classes } from './editor-graphs.ts';
import {
  box,
  dataBox,
  type ExifEntry,
  element,
  exif,
  gif,
  jpeg,
  matroska,
  png,
  pngText,
  quickTimeText,
  webp,
} from './media-builders.ts';

const folder = new URL('../../fixtures/workflows/embedded/', import.meta.url);
const saved = readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder))] as const);

const prompt = { '1': { class_type: 'Number', inputs: { value: 1 } } };
const workflow = { nodes: [{ id: 1, type: 'Number', title: 'Zähler 数' }], links: [], version: 0.4 };
const [promptText, workflowText] = [JSON.stringify(prompt), JSON.stringify(workflow)];
const both = JSON.stringify({ prompt, workflow });

describe('a file that a real ComfyUI saved gives back what was run', () => {
  it('with every output node that embeds it', () => {
    expect(saved.map(([name]) => name)).toEqual([
      'save-animated-png.png',
      'save-animated-webp.webp',
      'save-audio.flac',
      'save-audio.mp3',
      'save-audio.opus',
      'save-image.png',
      'save-video.mp4',
      'save-webm.webm',
    ]);
  });

  it.each(saved)('%s', async (_, bytes) => {
    const found = await readEmbeddedWorkflow(bytes);
    expect(detectWorkflowFormat(found?.prompt)).toBe('api');
    expect(found?.workflow).toMatchObject({
      nodes: [{ type: 'EmptyImage' }, { type: 'SaveImage', title: 'Grüße 保存' }],
    });
    expect(Object.keys(convertWorkflow(found?.workflow, classes).workflow)).toEqual(['1', '2']);
  });

  it.each(saved)('%s, also as a window into a larger buffer', async (_, bytes) => {
    const larger = new Uint8Array(bytes.length + 20).fill(0x7b);
    larger.set(bytes, 10);
    expect(await readEmbeddedWorkflow(larger.subarray(10, 10 + bytes.length))).toEqual(
      await readEmbeddedWorkflow(bytes),
    );
  });
});

const comment = (text: string): Buffer => Buffer.concat([Buffer.from('ASCII\0\0\0'), Buffer.from(text)]);
const wideComment = (text: string): Buffer => Buffer.concat([Buffer.from('UNICODE\0'), Buffer.from(text, 'utf16le')]);
const tags: readonly ExifEntry[] = [
  [0x010f, 2, Buffer.from(`Workflow:${workflowText}\0`)],
  [0x0110, 2, Buffer.from(`prompt: ${promptText}\0`)],
];
const marker = Buffer.from('Exif\0\0');
const keys = box(
  'keys',
  Buffer.from([0, 0, 0, 0, 0, 0, 0, 2]),
  box('mdta', Buffer.from('prompt')),
  box('mdta', Buffer.from('com.example.workflow')),
);
const items = box('ilst', box('\0\0\0\x01', dataBox(promptText)), box('\0\0\0\x02', dataBox(workflowText)));
const freeform = (name: string, text: string) =>
  box(
    '----',
    box('mean', Buffer.from('\0\0\0\0com.example')),
    box('name', Buffer.from(`\0\0\0\0${name}`)),
    dataBox(text),
  );
const start = box('ftyp', Buffer.from('isom'));
const version = Buffer.alloc(4);

describe('both parts are found in', () => {
  it.each<[string, Buffer]>([
    ['PNG, plain texts', png([pngText.plain('prompt', promptText), pngText.plain('workflow', workflowText)])],
    [
      'PNG, compressed texts',
      png([pngText.compressed('prompt', promptText), pngText.compressed('workflow', workflowText)]),
    ],
    [
      'PNG, international texts',
      png([pngText.international('prompt', promptText, false), pngText.international('workflow', workflowText, true)]),
    ],
    ['WebP, big-endian EXIF', webp(exif(tags))],
    ['WebP, little-endian EXIF with a marker', webp(Buffer.concat([marker, exif(tags, true)]))],
    [
      'JPEG, EXIF tags',
      jpeg([
        [0xe0, Buffer.from('JFIF\0')],
        [0xe1, Buffer.concat([marker, exif(tags, true)])],
      ]),
    ],
    ['JPEG, UserComment', jpeg([[0xe1, Buffer.concat([marker, exif([], false, [[0x9286, 7, comment(both)]])])]])],
    [
      'JPEG, UserComment in UTF-16',
      jpeg([[0xe1, Buffer.concat([marker, exif([], false, [[0x9286, 7, wideComment(both)]])])]]),
    ],
    [
      'JPEG, comments',
      jpeg([
        [0xfe, Buffer.from(promptText)],
        [0xfe, Buffer.from(workflowText)],
      ]),
    ],
    ['GIF, a comment', gif(both)],
    ['MP4, keys', Buffer.concat([start, box('moov', box('udta', box('meta', version, keys, items)))])],
    [
      'MOV, keys without a version',
      Buffer.concat([start, box('moov', box('meta', box('hdlr', version), keys, items))]),
    ],
    [
      'MP4, a comment of doubly encoded texts',
      Buffer.concat([
        start,
        box(
          'moov',
          box(
            'udta',
            box(
              'meta',
              version,
              box('ilst', box('\xa9cmt', dataBox(JSON.stringify({ prompt: promptText, workflow: workflowText })))),
            ),
          ),
        ),
      ]),
    ],
    [
      'M4A, freeform items',
      Buffer.concat([
        start,
        box(
          'moov',
          box(
            'udta',
            box('meta', version, box('ilst', freeform('prompt', promptText), freeform('workflow', workflowText))),
          ),
        ),
      ]),
    ],
    ['MOV, a QuickTime comment', Buffer.concat([start, box('moov', box('udta', quickTimeText(both)))])],
    ['MKV, a comment', matroska('COMMENT', both)],
    ['WebM of unknown size', matroska('comment', both, true)],
  ])('%s', async (_, bytes) => {
    expect(await readEmbeddedWorkflow(bytes)).toEqual({ prompt, workflow });
  });
});

describe('nothing is found, and nothing thrown, for', () => {
  it.each<[string, Uint8Array]>([
    ['an empty file', new Uint8Array()],
    ['a file of another kind', Buffer.from('{"nodes":[]}')],
    [
      'texts of other programs',
      png([
        pngText.plain('parameters', 'a cat'),
        pngText.plain('prompt', 'a cat'),
        pngText.plain('comment', '{"a":1}'),
      ]),
    ],
    ['damaged JSON', png([pngText.plain('workflow', '{"nodes":[')])],
    ['damaged compression', png([['zTXt', Buffer.from('workflow\0\0not zlib')]])],
    ['a directory that points to itself', webp(Buffer.from('4d4d002a000000080000000000080000', 'hex'))],
    ['a box that is larger than the file', box('ftyp', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x6d, 0x6f, 0x6f, 0x76]))],
    [
      'a tag without a name',
      Buffer.concat([element(0x1a45dfa3), element(0x18538067, element(0x1254c367, element(0x7373, element(0x67c8))))]),
    ],
  ])('%s', async (_, bytes) => {
    expect(await readEmbeddedWorkflow(bytes)).toBeUndefined();
  });

  it('a text that would unpack to more than a workflow can be', async () => {
    const bomb = Buffer.alloc(40 * 1024 * 1024, 0x20);
    bomb.write(workflowText);
    expect(await readEmbeddedWorkflow(png([pngText.compressed('workflow', bomb)]))).toBeUndefined();
  });
});

describe('damaged files', () => {
  const samples = [
    ...saved.map(([, bytes]) => bytes),
    webp(exif(tags)),
    jpeg([[0xe1, Buffer.concat([marker, exif(tags, true, [[0x9286, 7, comment(both)]])])]]),
    gif(both),
    matroska('COMMENT', both, true),
    Buffer.concat([start, box('moov', box('udta', quickTimeText(both)))]),
  ];

  it('that end too early give what came before, or nothing', async () => {
    for (const bytes of samples) {
      const step = Math.max(1, Math.floor(bytes.length / 150));
      for (let end = 0; end < bytes.length; end += step) await readEmbeddedWorkflow(bytes.subarray(0, end));
    }
  });

  it('never make the reader throw or hang, wherever the damage is', async () => {
    const change = fc.tuple(
      fc.nat(),
      fc.oneof(fc.constantFrom(0, 0xff, 0x7f, 0x80, 1), fc.integer({ min: 0, max: 255 })),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.nat(samples.length - 1),
        fc.array(change, { minLength: 1, maxLength: 12 }),
        async (index, changes) => {
          const bytes = Uint8Array.from(samples[index] ?? []);
          // Most of the structure is in the first part of these files.
          for (const [at, value] of changes)
            bytes[at % Math.min(bytes.length, at % 3 === 0 ? bytes.length : 400)] = value;
          await readEmbeddedWorkflow(bytes);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('of pure noise behind a known signature are harmless', async () => {
    const heads = [
      '\x89PNG\r\n\x1a\n',
      'RIFF\0\0\0\0WEBP',
      '\xff\xd8\xff',
      'GIF89a',
      'fLaC',
      'OggS',
      'ID3\x04',
      '\x1aE\xdf\xa3',
      '\0\0\0\x08ftyp',
    ];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 300 }), async (head, noise) => {
        await readEmbeddedWorkflow(Buffer.concat([Buffer.from(head, 'latin1'), noise]));
      }),
      { numRuns: 1500 },
    );
  });
});
