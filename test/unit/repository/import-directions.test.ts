/** Walks the import graph of the source and checks who imports whom, and who may touch the process, the network and child processes. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');

interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** Imported specifiers; relative ones resolved to paths in the repository. */
  readonly imports: readonly string[];
  /** Those that are loaded with the file: no types, no dynamic imports. */
  readonly loads: readonly string[];
}

async function sourceFiles(folder: string): Promise<SourceFile[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  return Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(root, path), 'utf8');
      const resolve = (specifier: string) => (specifier.startsWith('.') ? join(dirname(path), specifier) : specifier);
      const matches = (pattern: RegExp) => [...text.matchAll(pattern)].map((match) => resolve(match[1] ?? ''));
      const imports = matches(/(?:from|import)\s*\(?\s*'([^']+)'/g);
      const loads = matches(/^(?:import|export) (?!type )[^;]*?from '([^']+)'/gm);
      return { path, text, imports, loads };
    }),
  );
}

const folders = ['shared', 'worker', 'client', 'sandbox'] as const;
const files = (await Promise.all(folders.map(sourceFiles))).flat();

/** The files that join the client's command line with the worker and the sandbox. */
const crossings = new Set([
  'client/cli/local-stack.ts',
  'client/cli/model-files.ts',
  'client/cli/commands/dev.ts',
  'client/cli/commands/worker.ts',
]);

const allowed: Readonly<Record<(typeof folders)[number], readonly string[]>> = {
  shared: ['shared'],
  sandbox: ['sandbox', 'shared'],
  worker: ['worker', 'shared'],
  client: ['client', 'shared'],
};

function offenders(test: (file: SourceFile) => boolean): string[] {
  return files.filter(test).map((file) => file.path);
}

describe('who may import whom', () => {
  it('finds the sources', () => {
    expect(files.length).toBeGreaterThan(100);
  });

  it.each(folders)('%s/ imports only what it may', (folder) => {
    const wrong = files
      .filter((file) => file.path.startsWith(`${folder}/`) && !crossings.has(file.path))
      .flatMap((file) =>
        file.imports
          .filter((target) =>
            folders.some((other) => target.startsWith(`${other}/`) && !allowed[folder].includes(other)),
          )
          .map((target) => `${file.path} -> ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it('shared/ is pure: nothing of Node', () => {
    expect(
      offenders((file) => file.path.startsWith('shared/') && file.imports.some((target) => target.startsWith('node:'))),
    ).toEqual([]);
  });

  it('the folders of the worker do not import one another; only worker/job joins them, and all may import worker/net', () => {
    const part = (path: string) => (/^worker\/([^/]+)\//.exec(path) ?? [])[1];
    const wrong = files
      .filter((file) => part(file.path) !== undefined && part(file.path) !== 'job')
      .flatMap((file) =>
        file.imports
          .filter((target) => ![undefined, 'net', part(file.path)].includes(part(target)))
          .map((target) => `${file.path} -> ${target}`),
      );
    expect(wrong).toEqual([]);
  });

  it('the emulator and the worker read the RunPod protocol independently', () => {
    expect(
      offenders(
        (file) => file.path.startsWith('sandbox/') && file.imports.some((target) => target.startsWith('worker/')),
      ),
    ).toEqual([]);
  });

  it('no file imports in a circle (types aside: they are gone at run time)', () => {
    const byPath = new Map(files.map((file) => [file.path, file.loads.filter((target) => target.endsWith('.ts'))]));
    const circles: string[] = [];
    const state = new Map<string, 'open' | 'done'>();
    const walk = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      state.set(path, 'open');
      for (const next of byPath.get(path) ?? []) walk(next, [...trail, path]);
      state.set(path, 'done');
    };
    for (const path of byPath.keys()) walk(path, []);
    expect(circles).toEqual([]);
  });
});

describe('the way to the first job', () => {
  it('a worker asks for its first job before anything is loaded that only jobs need', () => {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const loaded = new Set<string>();
    const load = (path: string): void => {
      if (loaded.has(path)) return;
      loaded.add(path);
      for (const next of byPath.get(path)?.loads ?? []) load(next);
    };
    load('client/cli/commands/worker.ts');
    expect(loaded).toContain('worker/runpod/job-source.ts');
    const late = /^(shared\/(index|dialects|job-|describe|parse-)|worker\/(compose|comfy|job|inputs|workspace))/;
    expect([...loaded].filter((path) => late.test(path))).toEqual([]);
    // Of the packages, the one that reads the environment; the others are loaded in parts or with the first use.
    const packages = [...loaded].filter((path) => !path.endsWith('.ts') && !path.startsWith('node:'));
    expect(packages).toEqual(['zod']);
  });
});

/** Code without comments, so that prose may name what code may not. */
function code(file: SourceFile): string {
  return file.text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

describe('thin edges', () => {
  const mains = /^(worker\/main\.ts|sandbox\/(comfyui|runpod)\/main\.ts|client\/cli\/bin\.ts)$/;

  it('the process environment is read in the mains and the config modules only', () => {
    expect(
      offenders(
        (file) => /\bprocess\.env\b/.test(code(file)) && !mains.test(file.path) && !/(^|\/)config\.ts$/.test(file.path),
      ),
    ).toEqual([]);
  });

  it('only the mains end the process', () => {
    expect(offenders((file) => /\bprocess\.(exit|exitCode)\b/.test(code(file)) && !mains.test(file.path))).toEqual([]);
  });

  it('only the mains listen to signals', () => {
    expect(
      offenders((file) => /\bprocess\.(on|once|addListener)\((?!'exit')/.test(code(file)) && !mains.test(file.path)),
    ).toEqual([]);
  });

  it('nothing writes to the console', () => {
    expect(offenders((file) => /\bconsole\.(log|info|warn|error|debug)\(/.test(code(file)))).toEqual([]);
  });

  it('child processes are started by worker/comfy (ComfyUI) and worker/boot (GPU probe, SSH) only', () => {
    const starts = (file: SourceFile) => file.imports.some((target) => /^(node:child_process|execa)$/.test(target));
    expect(offenders((file) => starts(file) && !/^worker\/(comfy|boot)\//.test(file.path))).toEqual([]);
  });

  it('certificates are always verified', () => {
    expect(offenders((file) => /rejectUnauthorized: (?!true)|NODE_TLS_REJECT_UNAUTHORIZED/.test(code(file)))).toEqual(
      [],
    );
  });
});
