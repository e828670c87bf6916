/**
 * A result in the words of a dialect, as JSON segments. Invariants: every artifact is in the answer exactly once; what the dialect has no
 * word for is under the one key `meta`; a result that comes beside an error never says success.
 */
import type { Delivery } from '../delivery.ts';
import type { ComfyRunpodError } from '../error.ts';
import type { DialectName } from './detect-dialect.ts';
import type { AnswerFacts } from './job-draft.ts';
import { flatNames, picturesFirst, type ResultFacts } from './result-facts.ts';
import { artifactSlot, jsonSegments, type Segment } from './segments.ts';

/** What an answer needs besides the result. */
export interface ResultContext extends AnswerFacts {
  /** Warnings of the request. */
  readonly warnings?: readonly string[];
  /** Why the job failed, when the result is what was made before it did. Goes beside `error` of the job, never in its place. */
  readonly failure?: ComfyRunpodError;
  /** How artifacts travelled that are not in the answer, by index. Never `chunked`: no foreign caller reads /stream. */
  readonly deliveries?: readonly (ForeignDelivery | undefined)[];
}

/** A way beside the answer that a foreign caller can follow. */
export type ForeignDelivery = Extract<Delivery, { via: 'url' | 'put' | 'volume' }>;

type Shape = (result: ResultFacts, context: ResultContext) => unknown;

const shapes: Readonly<Record<DialectName, Shape>> = {
  canonical,
  'worker-comfyui': workerComfyui,
  'worker-comfyui-4': workerComfyui4,
  dimhara,
  comfygen,
  cog,
  'ai-dock': aiDock,
  salad,
  // Callers that send a bare graph read what worker-comfyui answers.
  raw: workerComfyui,
};

/** The answer of a dialect. Encrypted answers are the responder's business. */
export function shapeResult(
  dialect: DialectName,
  result: ResultFacts,
  context: ResultContext = {},
): readonly Segment[] {
  return jsonSegments(shapes[dialect](result, context));
}

/** Everything of the result that the dialect has no word for, without the bytes. */
export function metaOf(result: ResultFacts, context: ResultContext): Record<string, unknown> {
  return {
    ...result,
    artifacts: result.artifacts.map((artifact, i) => {
      const delivery = context.deliveries?.[i];
      return delivery === undefined ? artifact : { ...artifact, delivery };
    }),
    status: failed(result, context) ? 'partial' : 'success',
    ...(context.warnings !== undefined && context.warnings.length > 0 && { warnings: context.warnings }),
  };
}

function failed(result: ResultFacts, context: ResultContext): boolean {
  return result.status === 'partial' || context.failure !== undefined;
}

function failureText(result: ResultFacts, context: ResultContext): string | undefined {
  if (context.failure !== undefined) return context.failure.message;
  return failed(result, context) ? 'The job failed after these were made.' : undefined;
}

function canonical(result: ResultFacts, context: ResultContext): unknown {
  const artifacts = result.artifacts.map((artifact, i) => ({
    ...artifact,
    delivery: { via: 'inline', data: artifactSlot(i) },
  }));
  return { ...result, status: failed(result, context) ? 'partial' : 'success', artifacts };
}

/** The artifact itself, or where it is: an address, a path on the volume; nothing where the caller gave the address. */
function content(context: ResultContext, i: number, prefix = ''): unknown {
  const delivery = context.deliveries?.[i];
  switch (delivery?.via) {
    case undefined:
      return artifactSlot(i, 'base64', prefix);
    case 'url':
      return delivery.url;
    case 'volume':
      return delivery.path;
    case 'put':
      return undefined;
  }
}

/** What worker-comfyui calls the ways; the last two are ours. */
const itemTypes = { url: 's3_url', volume: 'volume_path', put: 'put' } as const;

/** The item of worker-comfyui for one artifact. */
function imageItem(result: ResultFacts, context: ResultContext, i: number): unknown {
  const delivery = context.deliveries?.[i];
  const type = delivery === undefined ? 'base64' : itemTypes[delivery.via];
  return { filename: result.artifacts[i]?.name, type, data: content(context, i) };
}

/** What went missing although the job went on: worker-comfyui lists that under `errors`. */
function errorsOf(result: ResultFacts, context: ResultContext): readonly string[] {
  const failure = failureText(result, context);
  const warned = (result.receipt.warnings ?? []).map(({ node, message }) =>
    node === undefined ? message : `Node ${node}: ${message}`,
  );
  return [...(failure === undefined ? [] : [failure]), ...warned];
}

function workerComfyui(result: ResultFacts, context: ResultContext): unknown {
  const errors = errorsOf(result, context);
  const none = result.artifacts.length === 0 && !failed(result, context);
  return {
    ...(none && { status: 'success_no_images' }),
    images: picturesFirst(result).map((i) => imageItem(result, context, i)),
    ...(errors.length > 0 && { errors }),
    meta: metaOf(result, context),
  };
}

/** Files beyond the one that the dialect has a word for. */
function metaWithFiles(result: ResultFacts, context: ResultContext, indexes: readonly number[]): unknown {
  const files = indexes.map((i) => imageItem(result, context, i));
  return { ...metaOf(result, context), ...(files.length > 0 && { files }) };
}

function workerComfyui4(result: ResultFacts, context: ResultContext): unknown {
  const [first, ...rest] = picturesFirst(result);
  const failure = failureText(result, context);
  if (failure !== undefined) {
    const all = picturesFirst(result);
    return { status: 'error', message: failure, meta: metaWithFiles(result, context, all) };
  }
  const message = first === undefined ? '' : (content(context, first) ?? '');
  return { status: 'success', message, meta: metaWithFiles(result, context, rest) };
}

function dimhara(result: ResultFacts, context: ResultContext): unknown {
  const names = flatNames(result);
  const failure = failureText(result, context);
  return {
    status: failure === undefined ? 'success' : 'error',
    ...(failure !== undefined && { message: failure }),
    images: Object.fromEntries(names.map((name, i) => [name, content(context, i)])),
    meta: metaOf(result, context),
  };
}

function dataUrl(result: ResultFacts, context: ResultContext, i: number): unknown {
  const type = result.artifacts[i]?.contentType ?? '';
  const safe = /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : 'application/octet-stream';
  return content(context, i, `data:${safe};base64,`);
}

/** `url` is a data URL where the file is in the answer: a reader of URLs can still open it. */
function comfygen(result: ResultFacts, context: ResultContext): unknown {
  const [first, ...rest] = picturesFirst(result);
  const failure = failureText(result, context);
  return {
    ok: failure === undefined,
    ...(failure !== undefined && { error: failure }),
    output: {
      ...(first !== undefined && { url: dataUrl(result, context, first) }),
      ...(context.seed !== undefined && { seed: context.seed }),
    },
    meta: metaWithFiles(result, context, rest),
  };
}

/** cog answers with a bare list, which has no place for `meta`. */
function cog(result: ResultFacts, context: ResultContext): unknown {
  return picturesFirst(result).map((i) => dataUrl(result, context, i) ?? null);
}

function aiDock(result: ResultFacts, context: ResultContext): unknown {
  const failure = failureText(result, context);
  const { timings } = result.receipt;
  return {
    id: context.requestId ?? result.receipt.promptId,
    status: failure === undefined ? 'completed' : 'failed',
    message: failure ?? 'Generation complete',
    comfyui_response: {},
    output: result.artifacts.map((artifact, i) => ({
      filename: artifact.name,
      subfolder: artifact.subfolder,
      type: artifact.type,
      node_id: artifact.node,
      output_type: artifact.key,
      mimetype: artifact.contentType,
      data: content(context, i),
    })),
    timings: {
      preprocess_ms: timings.stageMs,
      generation_ms: timings.runMs,
      postprocess_ms: timings.collectMs,
    },
    meta: metaOf(result, context),
  };
}

/** Salad repeats the whole request; we repeat its id only, so that neither prompts nor input files come back. */
function salad(result: ResultFacts, context: ResultContext): unknown {
  const order = picturesFirst(result);
  const names = flatNames(result);
  const failure = failureText(result, context);
  const { timings, nodes } = result.receipt;
  return {
    id: context.requestId ?? result.receipt.promptId,
    ...(failure !== undefined && { error: failure }),
    images: order.map((i) => content(context, i) ?? null),
    filenames: order.map((i) => names[i]),
    stats: {
      comfy_execution: {
        duration: timings.runMs,
        nodes: Object.fromEntries(nodes.map(({ node, ms }) => [node, { duration: ms }])),
      },
      preprocess_time: timings.stageMs,
      comfy_round_trip_time: timings.runMs,
      postprocess_time: timings.collectMs,
      total_time: timings.totalMs,
    },
    meta: metaOf(result, context),
  };
}
