import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ComfyRunpodError, isComfyRunpodError, type JobInputWire, parseJobInput } from '../../../shared/index.ts';

const workflow = {
  '1': { class_type: 'LoadImage', inputs: { image: 'a.png' } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0] } },
};
const file = { name: 'a.png', data: 'iVBORw0KGgo=' };

function refusal(input: unknown): ComfyRunpodError {
  try {
    parseJobInput(input);
  } catch (error) {
    if (isComfyRunpodError(error)) return error;
    throw error;
  }
  throw new Error('the input was accepted');
}

describe('a job input', () => {
  it('is accepted whole', () => {
    const job: JobInputWire = {
      contract: 1,
      workflow,
      files: [{ ...file, sha256: 'a'.repeat(64) }],
      injections: [
        { node: '1', input: 'image', file: 'a.png' },
        { node: '2', input: 'filename_prefix', value: 'x' },
      ],
      destination: { kind: 'inline' },
      limits: { executionMs: 60_000, stallMs: 30_000 },
      outputs: { temp: true, nodes: ['2'] },
      debug: true,
      metadata: 'keep',
    };
    expect(parseJobInput(job)).toEqual(job);
  });

  it('loses the data URL prefix that callers of other workers send', () => {
    const parsed = parseJobInput({ workflow, files: [{ name: 'a.png', data: `data:image/png;base64,${file.data}` }] });
    expect(parsed.files?.[0]).toMatchObject({ data: file.data });
  });

  it.each([
    ['workfow', { workfow: workflow }, 'workflow'],
    ['images', { workflow, images: [] }, 'files'],
    ['prompt', { prompt: workflow }, 'workflow'],
    ['files.0.dat', { workflow, files: [{ name: 'a.png', dat: '' }] }, 'data'],
    ['limits.execution', { workflow, limits: { execution: 1 } }, 'executionMs'],
    ['outputs.tmp', { workflow, outputs: { tmp: true } }, 'temp'],
  ])('with the unknown key %s is refused, naming the key and the nearest known one', (field, input, suggestion) => {
    const error = refusal(input);
    expect(error.code).toBe('INPUT_UNKNOWN_KEY');
    expect(error.issues.map((issue) => issue.field)).toEqual([field]);
    expect(error.message).toContain(`did you mean "${suggestion}"`);
  });

  it.each(['../a.png', '/etc/passwd', 'a/../../b', 'a\0b', 'C:\\x', 'a\\b', '', './a', 'a//b', 'x [output]'])(
    'with the file name %j is refused',
    (name) => {
      expect(refusal({ workflow, files: [{ ...file, name }] }).code).toBe('FILE_NAME_UNSAFE');
    },
  );

  it.each(['A', 'AAA', 'AA=A', 'AAAA\n', 'AA-_', '!!!!'])('with the bad base64 %j is refused', (data) => {
    expect(refusal({ workflow, files: [{ ...file, data }] }).code).toBe('FILE_BASE64_INVALID');
  });

  it('with an empty file is refused', () => {
    expect(refusal({ workflow, files: [{ ...file, data: '' }] }).code).toBe('FILE_EMPTY');
  });

  it("in the editor's format is refused with the way to export it", () => {
    const error = refusal({ workflow: { nodes: [], links: [], version: 0.4 } });
    expect(error.code).toBe('WORKFLOW_EDITOR_FORMAT');
    expect(error.nextStep).toContain('Export (API)');
  });

  it.each([[null], [undefined], [{}], [{ workflow: {} }], [{ workflow: { '1': { inputs: {} } } }], [{ workflow: [] }]])(
    'without a usable workflow (%j) is refused',
    (input) => {
      expect(refusal(input).code).toBe('WORKFLOW_INVALID');
    },
  );

  it('that injects into a node or a file that is not there is refused', () => {
    expect(refusal({ workflow, injections: [{ node: '9', input: 'x', value: 1 }] }).code).toBe(
      'INJECTION_TARGET_MISSING',
    );
    expect(refusal({ workflow, injections: [{ node: '1', input: 'image', file: 'b.png' }] }).code).toBe(
      'INPUT_INVALID',
    );
  });

  it('with two files of one name is refused', () => {
    expect(refusal({ workflow, files: [file, file] }).code).toBe('INPUT_INVALID');
  });

  it('of any shape is either accepted or refused with a code, and the refusal repeats no long value of it', () => {
    const secret = 'S3CRET'.repeat(20);
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 4 }),
        fc.constantFrom('workflow', 'files', 'injections', 'limits', 'debug'),
        (value, key) => {
          try {
            parseJobInput({ workflow, [key]: value, comfyOrgApiKey: secret.repeat(20) });
          } catch (error) {
            expect(isComfyRunpodError(error)).toBe(true);
            expect(
              JSON.stringify([(error as ComfyRunpodError).message, (error as ComfyRunpodError).issues]),
            ).not.toContain(secret);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
