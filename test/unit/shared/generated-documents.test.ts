import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generatedDocuments } from '../../../scripts/generated-documents.ts';
import { jobInputSchema, packageVersion } from '../../../shared/index.ts';

const root = join(import.meta.dirname, '../../..');

describe('what is generated is what is checked in', () => {
  it.each(Object.entries(generatedDocuments()))('%s is up to date (npm run generate)', async (path, content) => {
    expect(await readFile(join(root, path), 'utf8')).toBe(content);
  });

  it('the package version in shared/ is that of package.json', async () => {
    const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    expect(packageVersion).toBe(manifest.version);
  });

  it('the JSON Schema refuses unknown keys as the parser does', () => {
    const schema = JSON.parse(generatedDocuments()['docs/schema/job-input.schema.json'] ?? '{}') as {
      additionalProperties: unknown;
      properties: object;
    };
    expect(schema.additionalProperties).toBe(false);
    expect(Object.keys(schema.properties)).toEqual(Object.keys(jobInputSchema.shape));
  });
});
