/** Looks for a GPU without importing torch, which takes seconds: by nvidia-smi, or by the driver's own files where that is not installed. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { runProgram } from './run-program.ts';

/** One GPU. */
export interface FoundGpu {
  readonly name: string;
  readonly memoryMiB?: number;
  readonly driver?: string;
  /** CUDA compute capability, such as `8.9`. */
  readonly capability?: string;
}

/** What was found. `why`: the reason in words when there is none. */
export interface GpuProbe {
  readonly gpus: readonly FoundGpu[];
  readonly why?: string;
}

/** Where to look; tests look elsewhere. */
export interface GpuProbeOptions {
  readonly signal: AbortSignal;
  /** Default: `nvidia-smi`. */
  readonly program?: string;
  /** Default: `/proc/driver/nvidia`. */
  readonly driverFolder?: string;
}

/** A GPU that has fallen off the bus makes nvidia-smi hang. */
const timeoutMs = 20_000;
const fields = ['name', 'memory.total', 'driver_version', 'compute_cap'];

/** Looks for GPUs. Throws only the signal's reason. */
export async function probeGpu(options: GpuProbeOptions): Promise<GpuProbe> {
  const { signal, program = 'nvidia-smi', driverFolder = '/proc/driver/nvidia' } = options;
  const query = [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'];
  const end = await runProgram(program, query, { timeoutMs, signal });
  if (end.kind === 'ok') {
    const gpus = end.output.split('\n').flatMap(readLine);
    return gpus.length > 0 ? { gpus } : { gpus, why: 'nvidia-smi lists no GPU' };
  }
  if (end.kind === 'failed')
    return { gpus: [], why: `nvidia-smi failed: ${end.output.split('\n')[0] ?? ''}`.slice(0, 200) };
  const gpus = await readDriver(driverFolder);
  return gpus.length > 0 ? { gpus } : { gpus, why: 'there is no nvidia-smi and no driver' };
}

function readLine(line: string): FoundGpu[] {
  const [name = '', memory, driver, capability] = line.split(',').map((text) => text.trim());
  if (name === '') return [];
  const memoryMiB = Number(memory);
  return [
    {
      name,
      ...(Number.isFinite(memoryMiB) && { memoryMiB }),
      ...(driver !== undefined && driver !== '' && { driver }),
      ...(capability !== undefined && /^\d/.test(capability) && { capability }),
    },
  ];
}

async function readDriver(folder: string): Promise<FoundGpu[]> {
  const gpus = path.join(folder, 'gpus');
  const names = await readdir(gpus).catch((): string[] => []);
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(path.join(gpus, name, 'information'), 'utf8').catch(() => '');
      return { name: /^Model:\s*(.+)$/m.exec(text)?.[1]?.trim() ?? 'a GPU' };
    }),
  );
}

/** In words, for the report of the boot. */
export function describeGpus(gpus: readonly FoundGpu[]): string {
  return gpus
    .map(({ name, memoryMiB, driver, capability }) =>
      [
        name,
        memoryMiB === undefined ? '' : `${Math.round(memoryMiB / 1024)} GiB`,
        capability === undefined ? '' : `compute ${capability}`,
        driver === undefined ? '' : `driver ${driver}`,
      ]
        .filter((part) => part !== '')
        .join(', '),
    )
    .join('; ');
}
