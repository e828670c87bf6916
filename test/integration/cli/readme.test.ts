// The README and the help are promises: their examples are carried out as a reader would, against the sandbox.
import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../../client/cli/program.ts';
import { startComfyStandIn } from '../../../sandbox/index.ts';
import { useFolder } from '../../support/client-bench.ts';
import { afterThisTest } from '../../support/runpod-emulator.ts';
import { startWholeStack } from '../../support/whole-stack.ts';

const root = join(import.meta.dirname, '../../..');
const execute = promisify(execFile);
const readme = await readFile(join(root, 'README.md'), 'utf8');

/** Code blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, code]) => code ?? '',
  );
}

/** What a block has that can't be carried out here, with the reason. */
const notHere: readonly [RegExp, string][] = [
  [/^npm (run|test)/m, 'these are the checks themselves'],
  [/^docker |^ssh |\bdocker build\b/m, 'needs a container engine or a pod'],
];

/** A folder with the files that the README speaks of, and a running endpoint. */
async function useReader() {
  const folder = await useFolder();
  const stack = await startWholeStack({ workers: 1, quiet: true });
  afterThisTest(() => stack.close());
  const comfy = await startComfyStandIn({});
  afterThisTest(() => comfy.close());
  await cp(join(root, 'examples/workflows/sharpen-picture.json'), join(folder, 'workflow.json'));
  await cp(join(root, 'examples/picture.png'), join(folder, 'photo.png'));
  await cp(join(root, 'test/fixtures/readme'), folder, { recursive: true });
  return { folder, comfyUrl: comfy.url, environment: stack.emulator.clientEnvironment({ endpointId: 'ep1' }) };
}

describe('the README', () => {
  const shell = blocks('sh').filter((block) => !notHere.some(([pattern]) => pattern.test(block)));

  it.for(shell.map((block, index) => ({ block, title: `${index + 1}: ${block.trim().split('\n').at(-1)}` })))(
    'its commands work as they are printed, $title',
    { timeout: 120_000 },
    async ({ block }) => {
      const { folder, comfyUrl, environment } = await useReader();
      const lines = block.split('\n').filter((line) => !/^export RUNPOD_/.test(line));
      const script = `
        npx() { [ "$1" = comfy-runpod ] || return 127; shift; comfy-runpod "$@"; }
        comfy-runpod() { "${process.execPath}" --no-warnings "${join(root, 'client/cli/bin.ts')}" "$@"; }
        ${lines.join('\n').replaceAll('http://127.0.0.1:8188', comfyUrl)}`;
      const { PATH = '' } = process.env;
      const outcome = await execute('bash', ['--norc', '-e', '-o', 'pipefail', '-c', script], {
        cwd: folder,
        env: { PATH, HOME: folder, XDG_DATA_HOME: join(folder, '.data'), ...environment },
      });
      expect(outcome.stderr).not.toContain('error ');
    },
  );

  it.for(blocks('ts').map((block, index) => ({ block, index })))(
    'its program runs, $index',
    { timeout: 60_000 },
    async ({ block }) => {
      const { folder, environment } = await useReader();
      const library = pathToFileURL(join(root, 'client/index.ts')).href;
      // The reader has a key, an endpoint and a workflow; the address of the endpoint is the only thing that differs here.
      await writeFile(
        join(folder, 'library.ts'),
        `import * as library from '${library}';
         export * from '${library}';
         export const createClient = (options) => library.createClient({ ...options, baseUrl: process.env.RUNPOD_BASE_URL });`,
      );
      const prelude = `
        import { readFileSync } from 'node:fs';
        const apiKey = process.env.RUNPOD_API_KEY, endpointId = process.env.RUNPOD_ENDPOINT_ID;
        const workflow = JSON.parse(readFileSync('workflow.json', 'utf8').replaceAll('picture.png', 'photo.png'));
        const base64 = readFileSync('photo.png').toString('base64');`;
      const program = `${prelude}\n${block.replaceAll("'comfy-runpod'", "'./library.ts'").replaceAll("'comfy-runpod/workflow'", `'${pathToFileURL(join(root, 'client/workflow/index.ts')).href}'`)}`;
      await writeFile(join(folder, 'program.ts'), program);
      const { PATH = '' } = process.env;
      const outcome = await execute(process.execPath, ['--no-warnings', 'program.ts'], {
        cwd: folder,
        env: { PATH, HOME: folder, ...environment },
        maxBuffer: 64 * 1024 ** 2,
      });
      expect(outcome.stderr).toBe('');
    },
  );

  it('names every command', () => {
    const program = createProgram(async () => undefined);
    for (const command of program.commands) expect(readme).toContain(`\`${command.name()}`);
  });
});

describe('--help', () => {
  /** Every command with its words, sub-commands included. */
  function all(command: Command, words: readonly string[] = []): { command: Command; name: string }[] {
    return command.commands.flatMap((sub) => {
      const path = [...words, sub.name()];
      return [{ command: sub, name: path.join(' ') }, ...all(sub, path)];
    });
  }

  /** The help as it is printed, examples included. */
  function helpOf(command: Command): string {
    let text = '';
    command.configureOutput({ writeOut: (piece) => (text += piece) });
    command.outputHelp();
    return text;
  }

  it.for(all(createProgram(async () => undefined)).filter(({ command }) => command.commands.length === 0))(
    'of $name has examples, and every one of them is a command line that is understood',
    async ({ name }) => {
      const acted: string[] = [];
      const program = createProgram(async () => void acted.push(name));
      const found = all(program).find((entry) => entry.name === name);
      const help = found === undefined ? '' : helpOf(found.command);
      const lines = help.split('\n').filter((line) => line.trimStart().startsWith('$ '));
      expect(lines.length, `examples of ${name}`).toBeGreaterThan(0);
      for (const { command } of [{ command: program }, ...all(program)]) {
        command.exitOverride().configureOutput({ writeErr: () => undefined, writeOut: () => undefined });
      }
      for (const line of lines) {
        for (const argv of commandLines(line.trim().slice(2))) {
          await program.parseAsync(argv, { from: 'user' });
        }
      }
      expect(acted.length).toBeGreaterThan(0);
    },
  );

  /** The comfy-runpod calls of a shell line, as words: pipes, redirections and substitutions end one. */
  function commandLines(line: string): string[][] {
    return [...line.matchAll(/comfy-runpod ((?:'[^']*'|"[^"]*"|[^|>)&;"'#])*)/g)].map(([, rest = '']) =>
      [...rest.matchAll(/(?:'[^']*'|"[^"]*"|\S)+/g)].map(([word]) => word.replaceAll(/['"]/g, '')),
    );
  }
});
