import { describe, expect, it } from 'vitest';
import { type ComfyRunpodError, isComfyRunpodError, type JobInputWire, parseJobInput } from '../../../shared/index.ts';

const workflow = { '1': { class_type: 'SaveImage', inputs: {} } };
const sha256 = 'a'.repeat(64);
const data = 'iVBORw0KGgo=';

function refusal(input: unknown): ComfyRunpodError {
  try {
    parseJobInput(input);
  } catch (error) {
    if (isComfyRunpodError(error)) return error;
    throw error;
  }
  throw new Error('the input was accepted');
}

const withFile = (file: object) => ({ workflow, files: [{ name: 'a.png', ...file }] });

describe('an input file of a job', () => {
  it('is given by its bytes, by its address, or by the hash of what the worker holds', () => {
    const job: JobInputWire = {
      workflow,
      files: [
        { name: 'a.png', data },
        { name: 'b.png', url: 'https://files.example/b.png?sign=x', sha256 },
        { name: 'c.png', sha256, held: true },
      ],
      hold: { seconds: 600 },
    };
    expect(parseJobInput(job)).toEqual(job);
  });

  it.each([
    [{ dat: data }, 'dat', 'data'],
    [{ uri: 'https://files.example/' }, 'uri', 'url'],
    [{ data, sha265: sha256 }, 'sha265', 'sha256'],
    [{ url: 'https://files.example/', sha265: sha256 }, 'sha265', 'sha256'],
    [{ sha256, hold: true }, 'hold', 'held'],
    [{ sha256, held: true, nme: 'x' }, 'nme', 'name'],
  ])('with the keys of %j is refused, naming %s and the nearest known one, %s', (file, key, suggestion) => {
    const error = refusal(withFile(file));
    expect(error.code).toBe('INPUT_UNKNOWN_KEY');
    expect(error.issues.map((issue) => issue.field)).toContain(`files.0.${key}`);
    expect(error.message).toContain(`"${key}" (did you mean "${suggestion}"?)`);
  });

  it.each([
    [{ data, url: 'https://files.example/' }],
    [{ data, sha256, held: true }],
    [{ url: 'https://files.example/', sha256, held: true }],
  ])('given in two ways at once, %j, is refused with the choice', (file) => {
    const error = refusal(withFile(file));
    expect(error.code).toBe('INPUT_INVALID');
    expect(error.message).toBe('files.0: give only one of data, url, held.');
  });

  it('whose injection has a file and a value is refused with the choice', () => {
    const injections = [{ node: '1', input: 'image', file: 'a.png', value: 1 }];
    expect(refusal({ ...withFile({ data }), injections }).message).toBe('injections.0: give only one of file, value.');
  });

  it.each([
    'http://files.example/a.png?private',
    'ftp://files.example/private',
    'https://user:private@files.example/',
    '/private/a.png',
    'data:image/png;base64,private',
  ])('at the address %s is refused without repeating it', (url) => {
    const error = refusal(withFile({ url }));
    expect(error.code).toBe('INPUT_URL_REFUSED');
    expect(error.message).not.toContain('private');
  });

  it('that is held needs its hash, and nothing else will do than true', () => {
    expect(refusal(withFile({ held: true })).code).toBe('INPUT_INVALID');
    expect(refusal(withFile({ held: false, sha256 })).code).toBe('INPUT_INVALID');
    expect(refusal(withFile({ held: true, sha256: 'A'.repeat(64) })).message).toContain('hex SHA-256');
  });

  it('keeps its specific codes inside the choice', () => {
    expect(refusal(withFile({ data: '!' })).code).toBe('FILE_BASE64_INVALID');
    expect(refusal({ workflow, files: [{ name: '../a', url: 'https://files.example/' }] }).code).toBe(
      'FILE_NAME_UNSAFE',
    );
    expect(refusal({ workflow, files: [{ name: '../a', sha256, held: true }] }).code).toBe('FILE_NAME_UNSAFE');
  });
});

describe('how long a job asks its files to be held', () => {
  it.each([0, -1, 1.5, 3_601, '60', Number.NaN])('is refused when it is %j', (seconds) => {
    expect(refusal({ workflow, hold: { seconds } }).code).toBe('INPUT_INVALID');
  });

  it('is refused with a key that it lacks', () => {
    expect(refusal({ workflow, hold: { second: 5 } }).message).toContain('did you mean "seconds"');
  });
});
