/** The command `describe`: what a worker of the endpoint has. */
import path from 'node:path';
import type { Description, ResultCounts } from '../../../shared/index.ts';
import { createClient } from '../../client.ts';
import { writeNewFile } from '../../files/write-new-file.ts';
import { describeCached, userCacheFolder } from '../../introspection/describe-cached.ts';
import { readObjectInfo } from '../../introspection/read-object-info.ts';
import { type CommandContext, configuredEndpoint } from '../command-context.ts';
import { endpointKey } from '../declarations.ts';
import { oneLine } from '../terminal-text.ts';

/** Flags of the command. */
export interface DescribeFlags {
  readonly out?: string;
  readonly fresh?: boolean;
}

/** Prints a summary, or with `--json` the whole description; `--out` writes the description with its node classes unpacked. */
export async function describeCommand(flags: DescribeFlags, context: CommandContext): Promise<number> {
  const { options } = configuredEndpoint(context);
  const client = createClient(options);
  try {
    const { description, cached, results } = await describeCached(client, {
      folder: userCacheFolder(context.environment),
      endpoint: endpointKey(options),
      ...(flags.fresh === true && { fresh: true }),
    });
    const { data: _packed, ...nodeClasses } = description.nodeClasses;
    const document = { ...description, nodeClasses };
    if (flags.out !== undefined) await save(path.resolve(context.io.folder, flags.out), document, description);
    context.print(summary(description, cached, results), {
      ok: true,
      cached,
      ...document,
      ...(results && { results }),
    });
    return 0;
  } finally {
    await client.close();
  }
}

/** Never overwrites. */
async function save(file: string, document: object, description: Description): Promise<void> {
  const objectInfo = await readObjectInfo(description);
  const whole = { ...document, ...(objectInfo && { objectInfo }) };
  await writeNewFile(file, `${JSON.stringify(whole)}\n`, '--out');
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function undeliveredText({ undelivered, kept }: ResultCounts): string {
  return `${undelivered} not taken by RunPod since the worker began, ${kept} of them kept on its volume or in its bucket`;
}

function summary(description: Description, cached: boolean, results: ResultCounts | undefined): string {
  const { versions, nodeClasses, models, gpus, disks, memory, importFailures = [], warnings = [] } = description;
  const files = Object.values(models).flat();
  const known = files.reduce((sum, { size = 0 }) => sum + size, 0);
  const software = [`comfy-runpod ${versions.worker}`, `ComfyUI ${versions.comfyui}`];
  if (versions.python !== undefined) software.push(`Python ${versions.python}`);
  if (versions.torch !== undefined) software.push(`torch ${versions.torch}`);
  const rows: [string, string][] = [
    ['worker', `${description.workerId}${description.image === undefined ? '' : ` (${description.image})`}`],
    ['versions', software.join(', ')],
    ['nodes', nodeClasses.count === undefined ? 'unknown' : `${nodeClasses.count} classes`],
    ['models', `${files.length} files, ${gib(known)}`],
    ...Object.entries(models).map(([folder, list]): [string, string] => ['', `${folder}: ${names(list)}`]),
    ...gpus.map((gpu): [string, string] => [
      'gpu',
      `${gpu.name}, ${gib(gpu.freeBytes)} of ${gib(gpu.totalBytes)} free`,
    ]),
    ...(memory ? [['memory', `${gib(memory.freeBytes)} of ${gib(memory.totalBytes)} free`] as [string, string]] : []),
    ...Object.entries(disks).map(([what, disk]): [string, string] => ['disk', `${what}: ${gib(disk.freeBytes)} free`]),
    ...(results && results.undelivered > 0 ? [['results', undeliveredText(results)] as [string, string]] : []),
    ...importFailures.map(({ pack, reason = '' }): [string, string] => ['failed', `${pack} ${reason}`]),
    ...[...warnings, ...(nodeClasses.omitted === undefined ? [] : [nodeClasses.omitted])].map(
      (text): [string, string] => ['note', text],
    ),
    ...(cached ? [['cache', 'kept from an earlier call; --fresh asks again'] as [string, string]] : []),
  ];
  return rows.map(([title, text]) => `${title.padEnd(9)}${oneLine(text, 300)}\n`).join('');
}

function names(files: readonly { readonly name: string }[]): string {
  const shown = files.slice(0, 5).map(({ name }) => name);
  return files.length > shown.length ? `${shown.join(', ')} and ${files.length - shown.length} more` : shown.join(', ');
}
