/** The answer of a `describe` job: what this worker and its ComfyUI have. Shrinks until it fits into the result. */
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import {
  ComfyRunpodError,
  contractVersion,
  type DescribedNodes,
  type Description,
  limits,
  packageVersion,
} from '../../../shared/index.ts';
import type { ComfyConnection, ComfyInspection } from '../../comfy/index.ts';
import type { RunContext } from '../../types.ts';
import { bootAnswer, type WorkerFacts } from './worker-facts.ts';

const compress = promisify(gzip);
/** Bytes around the answer in a job-done body. */
const wrapperBytes = 256;

/** Describes the worker. Waits for ComfyUI; throws what `ComfyConnection.ready` throws, and `RESULT_TOO_LARGE`. */
export async function describeWorker(
  comfy: ComfyConnection,
  facts: WorkerFacts,
  context: RunContext,
): Promise<Description> {
  const server = await comfy.ready(context.signal);
  const found = await comfy.inspect(context.signal);
  const limitBytes = context.resultLimitBytes - wrapperBytes;
  const nodeClasses = await compressedNodes(found);
  const description: Description = {
    kind: 'comfy-runpod/description',
    contract: contractVersion,
    workerId: facts.workerId,
    ...(facts.image !== undefined && { image: facts.image }),
    versions: {
      worker: packageVersion,
      node: process.versions.node,
      comfyui: server.version,
      ...(found.python !== undefined && { python: found.python }),
      ...(found.torch !== undefined && { torch: found.torch }),
    },
    nodeClasses,
    models: mutableModels(found),
    limits: callerLimits(context.resultLimitBytes),
    ...(found.memory && { memory: found.memory }),
    disks: await measureFolders(facts.folders),
    // Without a GPU ComfyUI lists the processor with the memory of the machine (ComfyUI protocol notes §1.9).
    gpus: found.devices.filter(({ type }) => type !== 'cpu').map((device) => ({ ...device })),
    ...(context.results && { results: context.results() }),
    ...(server.failedPacks.length > 0 && { importFailures: server.failedPacks.map((pack) => ({ pack })) }),
    ...bootAnswer(facts),
    ...(found.warnings.length > 0 && { warnings: [...found.warnings] }),
  };
  return shrink(description, found, limitBytes);
}

async function compressedNodes({ nodes }: ComfyInspection): Promise<DescribedNodes> {
  if (!nodes) return { omitted: 'ComfyUI could not declare its node classes.' };
  const data = (await compress(nodes.json, { level: 9 })).toString('base64');
  return { count: nodes.names.length, encoding: 'gzip+base64', data };
}

/** Declarations give way to names, then those go as well. Models stay: they are what nobody else can tell. */
function shrink(description: Description, found: ComfyInspection, limitBytes: number): Description {
  const size = (candidate: Description) => Buffer.byteLength(JSON.stringify(candidate));
  if (size(description) <= limitBytes) return description;
  const count = found.nodes?.names.length ?? 0;
  const omitted = `The declarations do not fit into a result of ${limitBytes} bytes.`;
  const named: Description = {
    ...description,
    nodeClasses: { count, omitted, names: [...(found.nodes?.names ?? [])] },
  };
  if (size(named) <= limitBytes) return named;
  const bare: Description = { ...description, nodeClasses: { count, omitted } };
  const bytes = size(bare);
  if (bytes <= limitBytes) return bare;
  throw descriptionTooLarge(bytes, limitBytes);
}

function mutableModels({ models }: ComfyInspection): Description['models'] {
  return Object.fromEntries(
    Object.entries(models).map(([folder, files]) => [folder, files.map((file) => ({ ...file }))]),
  );
}

/** A folder that is not there is left out. */
async function measureFolders(folders: WorkerFacts['folders']): Promise<Description['disks']> {
  const disks: Description['disks'] = {};
  for (const [what, folder] of Object.entries(folders)) {
    const stats = await statfs(folder).catch(() => undefined);
    if (!stats) continue;
    disks[what] = { totalBytes: stats.blocks * stats.bsize, freeBytes: stats.bavail * stats.bsize };
  }
  return disks;
}

/** Numbers of `shared/limits.ts` that a caller can run into. */
function callerLimits(resultLimitBytes: number): Record<string, number> {
  const { workflowNodes, workflowDepth, jobFiles, fileNameChars, jobInjections, outputFileBytes } = limits;
  const { runBodyBytes, runsyncBodyBytes, runResultBytes, runsyncResultBytes, streamResultBytes, stallMs } = limits;
  return {
    ...(Number.isFinite(resultLimitBytes) && { resultBytes: resultLimitBytes }),
    ...{ runBodyBytes, runsyncBodyBytes, runResultBytes, runsyncResultBytes, streamResultBytes, outputFileBytes },
    ...{ workflowNodes, workflowDepth, jobFiles, fileNameChars, jobInjections, stallMs },
    executionTimeoutMs: limits.executionTimeoutMs.max,
  };
}

/** The error for a description that can't be made small enough. */
function descriptionTooLarge(bytes: number, limitBytes: number): ComfyRunpodError {
  return new ComfyRunpodError('RESULT_TOO_LARGE', `The description takes ${bytes} bytes of ${limitBytes}.`, {
    details: { resultBytes: bytes, limitBytes },
  });
}
