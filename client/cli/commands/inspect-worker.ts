/** `inspect-worker`, in the container `comfy-runpod-inspect`: what the worker in this container is doing. Asks its socket file; needs no network and no key. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import {
  ComfyRunpodError,
  exitCodes,
  type Inspection,
  inspectionSchema,
  inspectSocketName,
} from '../../../shared/index.ts';
import type { CommandContext } from '../command-context.ts';
import { plainText } from '../terminal-text.ts';

const timeoutMs = 5_000;

/** Shows it. Answers with the exit code. */
export async function inspectWorkerCommand(context: CommandContext): Promise<number> {
  const given = context.environment['RUNTIME_DIR'];
  const folders = [
    given === undefined || given === '' ? '/run/comfy-runpod' : given,
    join(tmpdir(), 'comfy-runpod-run'),
  ];
  for (const folder of folders) {
    const inspection = await ask(join(folder, inspectSocketName));
    if (inspection === undefined) continue;
    context.print(inspectionText(inspection), { ok: true, inspection });
    return exitCodes.success;
  }
  throw new ComfyRunpodError('FILE_NOT_FOUND', 'No worker answers in this container.', {
    nextStep: 'Run it inside the container of a worker, as its user or root, with the RUNTIME_DIR that the worker has.',
  });
}

async function ask(socketPath: string): Promise<Inspection | undefined> {
  const agent = new Agent({ connect: { socketPath }, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });
  try {
    const { body } = await request('http://worker/', { dispatcher: agent });
    return inspectionSchema.safeParse(await body.json()).data;
  } catch {
    return undefined;
  } finally {
    await agent.destroy();
  }
}

/** In words. */
export function inspectionText(found: Inspection): string {
  const { boot, comfy, folders, jobs, models, missingModels, versions } = found;
  return [
    `${found.state}, up ${seconds(found.uptimeMs)}, process ${found.pid}${found.image === undefined ? '' : `, ${found.image}`}`,
    `versions: ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...(comfy === undefined ? [] : [`ComfyUI: ${comfy.state}${comfy.url === undefined ? '' : ` at ${comfy.url}`}`]),
    '',
    `start${boot.readyMs === undefined ? '' : ` (ready after ${seconds(boot.readyMs)})`}:`,
    ...boot.stages.map(
      ({ name, state, ms, note }) =>
        `  ${name.padEnd(12)} ${state.padEnd(8)} ${seconds(ms)}${note === undefined ? '' : `  ${note}`}`,
    ),
    '',
    'folders:',
    ...Object.entries(folders).map(
      ([name, { path, freeBytes, totalBytes }]) =>
        `  ${name.padEnd(12)} ${path}  ${gigabytes(freeBytes)} of ${gigabytes(totalBytes)} free`,
    ),
    '',
    `models (${models.length}):`,
    ...models.map(({ name, where, bytes }) => `  ${where.padEnd(12)} ${name}  ${gigabytes(bytes)}`),
    ...missingModels.map(({ name, code, reason }) => `  missing      ${name}  ${code}: ${reason}`),
    '',
    `jobs running (${jobs.running.length}):`,
    ...jobs.running.map(({ id, ms }) => `  ${id}  ${seconds(ms)}`),
    `jobs ended (the last ${jobs.ended.length}):`,
    ...jobs.ended.map(jobLine),
  ]
    .map((line) => plainText(line).replaceAll('\n', ' '))
    .join('\n')
    .concat('\n');
}

function jobLine({ id, outcome, code, ms, endedAt, receipt }: Inspection['jobs']['ended'][number]): string {
  const wipe = receipt === undefined ? '' : `  wipe ${receipt.wipe.mode}: ${receipt.wipe.files} files`;
  const kept = receipt !== undefined && receipt.wipe.kept.length > 0 ? `, kept ${receipt.wipe.kept.join(' ')}` : '';
  return `  ${endedAt}  ${id}  ${outcome}${code === undefined ? '' : ` ${code}`}  ${seconds(ms)}${wipe}${kept}`;
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

function gigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
