/** Writes the generated documents: `npm run generate`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { generatedDocuments } from './generated-documents.ts';

const root = join(import.meta.dirname, '..');
for (const [path, content] of Object.entries(generatedDocuments())) {
  const target = join(root, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, content);
}
