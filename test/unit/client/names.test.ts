import { isAbsolute, join, normalize, win32 } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainText } from '../../../client/cli/terminal-text.ts';
import { namePictures } from '../../../client/files/name-pictures.ts';
import { numberedName, safeResultPath } from '../../../client/saving/safe-result-path.ts';
import { unsafeNameReason } from '../../../shared/index.ts';

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        '..',
        '.',
        '/',
        '\\',
        'C:',
        'con',
        'NUL.png',
        'a',
        ' ',
        '\0',
        '\n',
        'é',
        '.env',
        '~',
        'x'.repeat(300),
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
);

describe('a name from the worker', () => {
  it('never leads out of the folder, on any system, whatever it is', () => {
    fc.assert(
      fc.property(hostile, hostile, (subfolder, name) => {
        const { folders, name: file } = safeResultPath(subfolder, name, 'output.bin');
        const parts = [...folders, file];
        for (const part of parts) {
          expect(part).not.toMatch(/^$|^\.|[/\\:\0<>|?*"]|[. ]$/);
          expect(part.length).toBeLessThanOrEqual(121);
        }
        const path = join('/root', ...parts);
        expect(normalize(path)).toBe(path);
        expect(path.startsWith('/root/')).toBe(true);
        expect(isAbsolute(join(...parts)) || win32.isAbsolute(join(...parts))).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });

  it('stays as it is when it is harmless, and is numbered before its extension', () => {
    expect(safeResultPath('portraits/may', 'face_00001_.png', 'x')).toEqual({
      folders: ['portraits', 'may'],
      name: 'face_00001_.png',
    });
    expect([0, 1].map((count) => numberedName('face.tar.gz', count))).toEqual(['face.tar.gz', 'face.tar (1).gz']);
    expect(numberedName('README', 2)).toBe('README (2)');
  });
});

describe('names of pictures in a job', () => {
  it('are safe and distinct, except for equal bytes under one name', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            baseName: fc.oneof(hostile, fc.constantFrom('a.png', 'A.png')),
            sha256: fc.constantFrom('1', '2'),
          }),
          { maxLength: 8 },
        ),
        (pictures) => {
          const names = namePictures(pictures);
          const owners = new Map<string, string>();
          for (const [index, name] of names.entries()) {
            expect(unsafeNameReason(name)).toBeUndefined();
            const sha256 = pictures[index]?.sha256 ?? '';
            expect(owners.get(name.toLowerCase()) ?? sha256).toBe(sha256);
            owners.set(name.toLowerCase(), sha256);
          }
        },
      ),
    );
    expect(
      namePictures([
        { baseName: 'a.png', sha256: '1' },
        { baseName: 'a.png', sha256: '2' },
        { baseName: 'a.png', sha256: '1' },
      ]),
    ).toEqual(['a.png', 'a (1).png', 'a.png']);
  });
});

describe('text from elsewhere', () => {
  it('can not steer the terminal', () => {
    expect(plainText('a\u001b[2Jb\u0007\u202ec\u009bd\ne')).toBe('a[2Jbcd\ne');
  });
});
