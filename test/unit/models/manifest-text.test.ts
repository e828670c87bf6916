import { describe, expect, it } from 'vitest';
import { isComfyRunpodError } from '../../../shared/index.ts';
import { parseManifest, writeManifest } from '../../../shared/models/manifest-text.ts';

const good = `version: 1
models:
  - repo: maker/pack
    file: sub/a.safetensors
    folder: loras
    licence: for tests only
  - url: https://models.example/b.safetensors
    folder: vae
    name: c.safetensors
    sha256: ${'A'.repeat(64)}
    size: 12
    required: false
  - folder: checkpoints
    name: on-the-volume.safetensors
`;

function fault(text: string): string {
  try {
    parseManifest(text, 'models.yaml');
  } catch (error) {
    if (isComfyRunpodError(error) && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  throw new Error('nothing was wrong');
}

describe('a model manifest', () => {
  it('says for each model where it comes from and what it is called', () => {
    expect(parseManifest(good, 'models.yaml')).toEqual([
      {
        folder: 'loras',
        name: 'a.safetensors',
        source: { kind: 'huggingface', repo: 'maker/pack', revision: 'main', file: 'sub/a.safetensors' },
        licence: 'for tests only',
      },
      {
        folder: 'vae',
        name: 'c.safetensors',
        source: { kind: 'url', url: 'https://models.example/b.safetensors' },
        sha256: 'a'.repeat(64),
        size: 12,
        required: false,
      },
      { folder: 'checkpoints', name: 'on-the-volume.safetensors', source: { kind: 'none' } },
    ]);
  });

  it('reads what it writes', () => {
    const specs = parseManifest(good, 'models.yaml');
    expect(parseManifest(writeManifest(specs, 'Made for a test.\nTwo lines.'), 'again')).toEqual(specs);
  });

  it.each([
    ['an unknown key', good.replace('licence:', 'license:'), 'line 3: models[0]: unknown key "license"'],
    ['a wrong hash', good.replace('A'.repeat(64), 'abc'), 'line 10: models[1].sha256: not 64 hexadecimal digits'],
    ['a path that leaves the folder', good.replace('c.safetensors', '../../x.safetensors'), 'line 9: models[1].name: '],
    [
      'a repo without a file',
      good.replace('    file: sub/a.safetensors\n', ''),
      'line 3: models[0].file: needed with repo',
    ],
    ['a number for a text', good.replace('folder: vae', 'folder: 7'), 'line 8: models[1].folder: '],
    [
      'two entries for one file',
      `${good}  - folder: vae\n    name: c.safetensors\n`,
      'line 15: models[3]: another entry',
    ],
    ['a key that stands twice', good.replace('size: 12', 'size: 12\n    size: 13'), 'line 12: a key stands twice'],
    ['broken YAML', `${good}  - folder: [\n`, 'line 1'],
    ['another version', good.replace('version: 1', 'version: 2'), 'line 1: version: '],
    ['an empty file', '', 'line 1'],
  ])('names the line of %s', (_what, text, expected) => {
    expect(fault(text)).toContain(expected);
  });

  it('is not blown up by aliases', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g'].map((key, i) => `${key}: &${key} [${Array(9).fill(`*${'abcdef'[i]}`).join(',')}]`).join('\n')}\n`;
    expect(fault(bomb)).toContain('models.yaml');
  });
});
