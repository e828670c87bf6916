import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folders = ['convert', 'embedded', 'validate'].map(
  (name) => new URL(`../../../client/workflow/${name}/`, import.meta.url),
);
const files = folders.flatMap((folder) => readdirSync(folder).map((name) => [name, new URL(name, folder)] as const));

it.each(files)('%s runs in a browser: it uses nothing of Node', (_, url) => {
  const source = readFileSync(url, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  expect(source).not.toMatch(
    /from '(?!\.|fastest-levenshtein')|import\(|\b(?:Buffer|process|require|setImmediate|__dirname)\b/,
  );
});
