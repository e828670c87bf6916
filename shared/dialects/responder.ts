/** Answers one job in the dialect that it came in. Joins the shapes with what the request asked for: ids, encryption, progress. */
import { ComfyRunpodError } from '../error.ts';
import type { ProgressEvent } from '../progress.ts';
import type { DialectName } from './detect-dialect.ts';
import type { AnswerFacts } from './job-draft.ts';
import { flatNames, type ResultFacts } from './result-facts.ts';
import { artifactSlot, jsonSegments, type Segment } from './segments.ts';
import { shapeFailure } from './shape-failure.ts';
import { shapeProgress } from './shape-progress.ts';
import { metaOf, type ResultContext, shapeResult } from './shape-result.ts';

/** Answers in the words of one request's dialect. */
export interface Responder {
  /**
   * The `output` of a run as JSON segments. `failure` is why the job failed, when the result is what was made before; it belongs into the job's
   * `error` as well, always.
   */
  result(
    result: ResultFacts,
    failure?: ComfyRunpodError,
    deliveries?: ResultContext['deliveries'],
  ): Promise<readonly Segment[]>;
  /** True when the answer is encrypted: then every file must be in it. */
  readonly sealed: boolean;
  /** What to post as progress; undefined means nothing. */
  progress(event: ProgressEvent): unknown;
  /** What to put into `output` beside the `error` of a job that made nothing; undefined means no output. */
  failure(error: ComfyRunpodError): unknown;
  /** Turns the bytes of an artifact into the text of a `sealed` segment. Rejects with `INTERNAL` unless the answer is encrypted. */
  seal(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
}

/** A responder for a request with these warnings and facts. */
export function createResponder(dialect: DialectName, warnings: readonly string[], facts: AnswerFacts): Responder {
  const { seal } = facts;
  return {
    sealed: seal !== undefined,
    async result(result, failure, deliveries) {
      const context: ResultContext = {
        ...facts,
        warnings,
        ...(failure !== undefined && { failure }),
        ...(deliveries !== undefined && { deliveries }),
      };
      return seal === undefined ? shapeResult(dialect, result, context) : sealedResult(result, context, seal);
    },
    progress: (event) => shapeProgress(dialect, event, facts),
    failure: (error) => shapeFailure(dialect, error, facts),
    async seal(bytes) {
      if (seal === undefined) throw new ComfyRunpodError('INTERNAL', 'This answer is not encrypted.');
      return seal(bytes);
    },
  };
}

/**
 * The encrypted answer: `encrypted_output` is a token of `{status, images: [name, ...], meta}`, `encrypted_files` are tokens of the bytes of
 * those files in that order. One token per file, so that no more than one file is encrypted in memory at a time and the length is known.
 */
async function sealedResult(
  result: ResultFacts,
  context: ResultContext,
  seal: NonNullable<AnswerFacts['seal']>,
): Promise<readonly Segment[]> {
  const status = result.status === 'partial' || context.failure !== undefined ? 'error' : 'success';
  const inner = {
    status,
    ...(context.failure !== undefined && { message: context.failure.message }),
    images: flatNames(result),
    meta: metaOf(result, context),
  };
  const token = await seal(new TextEncoder().encode(JSON.stringify(inner)));
  return jsonSegments({
    status,
    encrypted_output: token,
    encrypted_files: result.artifacts.map((_, i) => artifactSlot(i, 'sealed')),
  });
}
