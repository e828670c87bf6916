import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatModels, isComfyRunpodError, type ModelSpec, parseModels } from '../../../shared/index.ts';

const hub = (repo: string, file: string, folder: string, name: string, revision = 'main'): ModelSpec => ({
  folder,
  name,
  source: { kind: 'huggingface', repo, revision, file },
});

function fault(text: string): string {
  try {
    parseModels(text);
  } catch (error) {
    if (isComfyRunpodError(error) && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  throw new Error('nothing was wrong');
}

describe('MODELS', () => {
  it('is a list of repo:file:folder with an optional name', () => {
    expect(parseModels('maker/pack:sub/a.safetensors:loras, maker/pack:b.gguf:unet:other.gguf ,')).toEqual([
      hub('maker/pack', 'sub/a.safetensors', 'loras', 'a.safetensors'),
      hub('maker/pack', 'b.gguf', 'unet', 'other.gguf'),
    ]);
    expect(parseModels('')).toEqual([]);
  });

  it('takes colons and escaped commas in file names, revisions behind @, and folders below folders', () => {
    expect(parseModels(String.raw`maker/pack@v1.0:dir/mix: new\, old.safetensors:models/loras/flux`)).toEqual([
      hub('maker/pack', 'dir/mix: new, old.safetensors', 'loras/flux', 'mix: new, old.safetensors', 'v1.0'),
    ]);
  });

  it('takes addresses with ports', () => {
    expect(parseModels('https://models.example:8443/x/a.safetensors?download=1:vae')).toEqual([
      {
        folder: 'vae',
        name: 'a.safetensors',
        source: { kind: 'url', url: 'https://models.example:8443/x/a.safetensors?download=1' },
      },
    ]);
  });

  it('takes an address on the hub as repository and file, so that the host cache can have it', () => {
    const address = 'https://huggingface.co/maker/pack/resolve/v1/sub/a%20b.safetensors?download=true:vae';
    expect(parseModels(address)).toEqual([hub('maker/pack', 'sub/a b.safetensors', 'vae', 'a b.safetensors', 'v1')]);
    const climbing = 'https://huggingface.co/maker/pack/resolve/main/..%2f..%2fx.safetensors:vae:x.safetensors';
    expect(parseModels(climbing)).toMatchObject([{ source: { kind: 'url' } }]);
  });

  it.each([
    ['maker/pack', 'expected repo:file:folder'],
    ['maker/pack:loras', 'expected repo:file:folder'],
    ['maker/pack:sub/a.safetensors:loras:mine', 'item 1: a name behind the folder must end like a model file'],
    ['https://models.example/a.safetensors:loras:mine', 'item 1: a name behind the folder must end like a model file'],
    ['maker/pack:a.safetensors:../loras', 'item 1: folder: the folder can\'t be used: it contains ".."'],
    ['maker/pack:../../etc/a.safetensors:loras', 'item 1: file: '],
    ['maker/pack:a.safetensors:loras:../../x.safetensors', 'item 1: name: '],
    ['maker/pack:a.safetensors:/etc', 'item 1: folder: '],
    ['maker/pack:a.py:custom_nodes', 'custom_nodes holds code'],
    ['ok/ok:a.safetensors:vae,no repo:a.safetensors:vae', 'item 2: repo: not the id'],
    ['../up:a.safetensors:vae', 'item 1: repo: not the id'],
    ['https://user:pass@host.example/a.safetensors:vae', 'item 1: url: must not hold a user name'],
    ['https://host.example/download:vae', 'item 1: name: needed'],
  ])('names what is wrong with %s and does not repeat it', (text, expected) => {
    expect(fault(text)).toContain(expected);
    expect(fault(text)).not.toContain('pass@');
  });

  it('reads what it writes, whatever the names are', () => {
    const word = fc
      .stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{1,12}$/)
      .filter((text) => !text.includes('--') && !text.includes('..'));
    const fileWord = fc
      .string({ minLength: 2, maxLength: 20 })
      .filter(
        (text) =>
          /^[^\\/\p{C}]+$/u.test(text) && text.trim() === text && !/^.:/.test(text) && !['..', '.'].includes(text),
      );
    const file = fc.array(fileWord, { maxLength: 3 }).map((parts) => [...parts, 'm.safetensors'].join('/'));
    const folder = fc.constantFrom('loras', 'vae', 'checkpoints/xl', 'ipadapter');
    const spec = fc.record({
      repo: fc.tuple(word, word),
      file,
      folder,
      name: fileWord.filter((text) => !text.includes(':')),
    });
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 4 }), (list) => {
        const specs = list.map(({ repo, file, folder, name }) =>
          hub(repo.join('/'), file, folder, `${name}.safetensors`),
        );
        expect(parseModels(formatModels(specs))).toEqual(specs);
      }),
    );
  });

  it('never breaks down on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseModels(text);
        } catch (error) {
          expect(isComfyRunpodError(error)).toBe(true);
        }
      }),
    );
  });
});
