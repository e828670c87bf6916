/** What stands in `output` beside the `error` of a failed job that made nothing. The job is FAILED in every dialect. */
import type { ComfyRunpodError } from '../error.ts';
import type { DialectName } from './detect-dialect.ts';
import type { AnswerFacts } from './job-draft.ts';

/** The dialect's own words for a failure, or undefined where it has none or where our `error` says it all. */
export function shapeFailure(dialect: DialectName, error: ComfyRunpodError, facts: AnswerFacts = {}): unknown {
  switch (dialect) {
    case 'worker-comfyui':
    case 'raw':
      return error.issues.length === 0 ? undefined : { details: details(error) };
    case 'worker-comfyui-4':
    case 'dimhara':
      return { status: 'error', message: error.message };
    case 'comfygen':
      return { ok: false, error: error.message };
    case 'salad':
      return { ...id(facts), error: error.message };
    case 'ai-dock':
      return { ...id(facts), status: 'failed', message: error.message, output: [] };
    case 'canonical':
    case 'cog':
      return undefined;
  }
}

function id(facts: AnswerFacts): { readonly id?: string } {
  return facts.requestId === undefined ? {} : { id: facts.requestId };
}

function details(error: ComfyRunpodError): readonly string[] {
  return error.issues.map(({ node, field, message }) => {
    const where = [node === undefined ? '' : `node ${node}`, field ?? ''].filter((part) => part !== '').join(', ');
    return where === '' ? message : `${where}: ${message}`;
  });
}
