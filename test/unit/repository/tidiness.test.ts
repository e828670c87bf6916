/** Promises about the repository itself. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\0')
  .filter(Boolean);
const text = (path: string) => readFileSync(join(root, path), 'utf8');

describe('a tidy repository', () => {
  it('has no source file over 400 lines', () => {
    const long = tracked
      .filter((path) => path.endsWith('.ts') && !path.startsWith('test/fixtures/'))
      .filter((path) => text(path).split('\n').length > 401);
    expect(long).toEqual([]);
  });

  it('has no lock file that names a download address', () => {
    expect(text('package-lock.json')).not.toContain('"resolved"');
  });

  it('has a whole lock file: no platform of an optional dependency is missing, or `npm ci` fails', () => {
    interface Lock {
      readonly packages: Readonly<Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>>;
    }
    const { packages } = JSON.parse(text('package-lock.json')) as Lock;
    const missing = Object.entries(packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter((name) => {
        const places = [`${path}/node_modules/${name}`, `node_modules/${name}`];
        return !places.some((place) => place in packages);
      }),
    );
    expect(missing).toEqual([]);
  });

  it('has no suppressed type check and no unfinished mark', () => {
    const own = tracked.filter(
      (path) =>
        /\.(ts|mjs|js)$/.test(path) && !path.includes('fixtures') && path !== 'test/unit/repository/tidiness.test.ts',
    );
    const wrong = own.filter((path) =>
      /@ts-(ignore|nocheck|expect-error)|\bTODO\b|\bFIXME\b|\bas any\b/.test(text(path)),
    );
    expect(wrong).toEqual([]);
  });
});
