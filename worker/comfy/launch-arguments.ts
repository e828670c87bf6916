/**
 * The command line for a ComfyUI that the worker starts. An unknown flag makes it exit with code 2 (ComfyUI protocol notes §4), so only
 * flags that the installed version declares are passed; they are read from its own source instead of guessed from its version.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** Folders of a started ComfyUI. */
export interface ComfyDirectories {
  readonly input: string;
  readonly output: string;
  /** The folder that holds the files. ComfyUI appends `temp` to what its flag says, so this must end in `/temp` (§4.1). */
  readonly temp: string;
  readonly user: string;
}

/** Flags that every ComfyUI of the last years knows; used when its source can't be read. */
const oldFlags = new Set([
  '--listen',
  '--port',
  '--output-directory',
  '--input-directory',
  '--temp-directory',
  '--disable-auto-launch',
  '--extra-model-paths-config',
]);

/** Flags that this ComfyUI declares. */
export async function knownFlags(comfyDir: string): Promise<ReadonlySet<string>> {
  try {
    const source = await readFile(path.join(comfyDir, 'comfy', 'cli_args.py'), 'utf8');
    const flags = new Set(
      Array.from(source.matchAll(/add_argument\(\s*["'](--[a-z0-9-]+)["']/g), (match) => match[1] ?? ''),
    );
    return flags.size > 0 ? flags : oldFlags;
  } catch {
    return oldFlags;
  }
}

/**
 * Arguments after `main.py`. `extra` comes last and wins, because Python's argparse takes the last value of a flag; a flag of ours that
 * contradicts one of `extra` is left out.
 */
export function launchArguments(options: {
  readonly known: ReadonlySet<string>;
  readonly port: number;
  readonly directories: ComfyDirectories;
  readonly extra: readonly string[];
  /** File that names more models folders; ComfyUI takes several, so one of `extra` does not replace it. */
  readonly modelPaths?: string | undefined;
}): string[] {
  const { known, port, directories, extra, modelPaths } = options;
  const wanted: string[][] = [
    ['--listen', '127.0.0.1'],
    ['--port', String(port)],
    ['--input-directory', directories.input],
    ['--output-directory', directories.output],
    ['--temp-directory', directories.temp.replace(/\/temp\/*$/, '')],
    ['--user-directory', directories.user],
    ['--database-url', `sqlite:///${directories.user}/comfyui.db`],
    ['--disable-auto-launch'],
    ['--disable-metadata'],
    ['--dont-print-server'],
    // The asset database would keep file names and hashes (§5.4); only late versions have it and the flag.
    ['--disable-assets'],
  ];
  const given = new Set(extra.map((argument) => argument.split('=')[0]));
  const ours = wanted.filter(([flag = '']) => known.has(flag) && !given.has(flag)).flat();
  const paths = modelPaths !== undefined && known.has('--extra-model-paths-config');
  return ['main.py', ...ours, ...(paths ? ['--extra-model-paths-config', modelPaths] : []), ...extra];
}
