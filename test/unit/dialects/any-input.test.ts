import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dialectNames, isComfyRunpodError, parseJobInput, readJobRequest } from '../../../shared/index.ts';
import { testFernetKey } from '../../support/dialects.ts';

const marker = 'SECRETVALUE';

/** Keys that readers look for, so that the inputs get past the first test. */
const keys = [
  'workflow',
  'images',
  'params',
  'is_encrypted',
  'encrypted_input',
  'encrypt_output',
  'debug',
  'file_inputs',
  'overrides',
  'timeout',
  'workflow_json',
  'input_file',
  'output_format',
  'randomise_seeds',
  'modifier',
  'modifications',
  's3',
  'webhook',
  'request_id',
  'prompt',
  'id',
  'credentials',
  'extra_data',
  'comfy_org_api_key',
  'limits',
  'outputs',
  'metadata',
  'files',
  'injections',
  'contract',
  'class_type',
  'inputs',
  'image',
  'name',
  'url',
  'field',
  'filename',
  'seed',
  '1',
  '1.seed',
  '__proto__',
  'constructor',
  'toString',
];

const secretText = fc.oneof(
  fc.string({ maxLength: 8 }).map((text) => `${text}${marker}`),
  fc.constantFrom(
    `https://example.com/${marker}`,
    `data:image/png;base64,${marker}`,
    `/etc/${marker}`,
    `__RANDOM_INT__${marker}`,
    `{"1":{"class_type":"${marker}"`,
    `../${marker}`,
  ),
);
const leaf = fc.oneof(secretText, fc.integer(), fc.double(), fc.boolean(), fc.constant(null));
const key = fc.constantFrom(...keys);
const node = fc.record(
  { class_type: fc.constantFrom('LoadImage', 'KSampler'), inputs: fc.dictionary(key, leaf) },
  { requiredKeys: ['class_type'] },
);
const graph = fc.dictionary(fc.constantFrom('1', '2', '3:4'), node, { minKeys: 1 });
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    graph,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 5 }),
  ),
}));
const named = fc
  .tuple(fc.constantFrom(...dialectNames), fc.dictionary(key, value, { maxKeys: 6 }), graph)
  .map(([dialect, rest, workflow]) => ({ workflow, prompt: workflow, workflow_json: workflow, ...rest, dialect }));

describe('any JSON at all', () => {
  it('is either a valid job or refused with a code, a next step and none of its values', async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          value,
          named,
          graph,
          named.map((input) => JSON.stringify(input)),
        ),
        async (input) => {
          const outcome = await readJobRequest(input, { fernetKey: testFernetKey }).catch((error: unknown) => ({
            error,
          }));
          if ('error' in outcome) {
            const { error } = outcome;
            if (!isComfyRunpodError(error)) throw error;
            expect(error.nextStep).not.toBe('');
            expect(JSON.stringify([error.message, error.issues, error.details, error.nextStep])).not.toContain(marker);
          } else {
            accepted += 1;
            expect(parseJobInput(outcome.job)).toEqual(outcome.job);
            expect(JSON.stringify(outcome.warnings)).not.toContain(marker);
          }
        },
      ),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it('is read without touching what was given', async () => {
    await fc.assert(
      fc.asyncProperty(named, async (input) => {
        const before = structuredClone(input);
        await readJobRequest(input, { fernetKey: testFernetKey }).catch(() => undefined);
        expect(input).toEqual(before);
      }),
    );
  });
});
