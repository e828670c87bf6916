// `GET /prompt` and `POST /prompt` (ComfyUI protocol notes §1.2, §1.3).
// Invariants: 1. the counter grows although validation fails. 2. Ids are taken as they are in 0.3.64; late 2026 wants a
// canonical lowercase UUID. 3. The accepted graph is the posted one with coerced constants.
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { NodeError } from '../../node-definition.ts';
import type { PyDict, PyValue } from '../../python-json.ts';
import { PyFloat } from '../../python-number.ts';
import { pyStr, pyTruth, pyTypeName } from '../../python-repr.ts';
import { queueInfo, type ServerContext } from '../../server-context.ts';
import { coerceConstant } from '../../validation/coerce.ts';
import type { ValidationError, ValidationResult } from '../../validation/types.ts';
import { validatePrompt } from '../../validation/validate-prompt.ts';
import { type Answer, jsonAnswer } from '../answers.ts';
import type { Route, RouteRequest } from '../route.ts';

/** Times of more prompts than the history keeps (ComfyUI protocol notes §1.5: 10 000) are of no use. */
const KNOWN_JOB_TIMES = 10_000;
const CANONICAL_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The server-wide counter behind queue numbers. */
class Counter {
  private next = 0;

  /** The number of a request: the client's as a float, else the counter, negated for `front`. */
  take(body: PyValue): PyValue {
    if (body instanceof Map && body.has('number')) return coerceConstant(body.get('number') ?? null, 'FLOAT');
    const front = body instanceof Map && pyTruth(body.get('front'));
    const number = this.next;
    this.next += 1;
    return front && number !== 0 ? -number : number;
  }
}

function refusal(error: ValidationError, nodeErrors: ValidationResult['nodeErrors'] = new Map()): Answer {
  return jsonAnswer({ error, node_errors: nodeErrors }, 400);
}

function asBody(body: PyValue): PyDict | undefined {
  if (body instanceof Map) return body;
  // `in` works on lists and text, so these have no prompt; on anything else Python raises.
  if (Array.isArray(body) || typeof body === 'string') return undefined;
  throw new NodeError('TypeError', `argument of type '${pyTypeName(body)}' is not iterable`);
}

function readPromptId(body: PyDict, modern: boolean): string | ValidationError {
  const given = body.get('prompt_id');
  if (!modern) return body.has('prompt_id') ? pyStr(given) : randomUUID();
  if (given === undefined || given === null) return randomUUID();
  if (typeof given === 'string' && CANONICAL_UUID.test(given)) return given;
  return {
    type: 'invalid_prompt_id',
    message: 'prompt_id must be a valid UUID',
    details: 'prompt_id has to be a string in canonical lowercase UUID form',
    extra_info: {},
  };
}

function readExtraData(body: PyDict, modern: boolean, request: RouteRequest, now: number): PyValue {
  const extraData = body.get('extra_data') ?? new Map();
  if (body.has('client_id')) {
    if (!(extraData instanceof Map)) {
      throw new NodeError('TypeError', `'${pyTypeName(extraData)}' object does not support item assignment`);
    }
    extraData.set('client_id', body.get('client_id') ?? null);
  }
  if (modern && extraData instanceof Map) {
    extraData.set('create_time', Math.trunc(now));
    const source = request.raw.headers['comfy-usage-source'];
    if (typeof source === 'string') extraData.set('comfy_usage_source', source);
  }
  return extraData;
}

async function validate(body: PyDict, promptId: string, context: ServerContext): Promise<ValidationResult> {
  const settings = {
    registry: context.registry,
    orderOutputs: context.settings.orderOutputs,
    log: (line: string) => context.log.write('ERROR', line),
  };
  const targets = body.get('partial_execution_targets') ?? null;
  const result = await validatePrompt(body.get('prompt') ?? null, targets, settings);
  const partial = context.faults.strike('partial-acceptance', { promptId }, (fault) =>
    result.outputs.includes(fault.nodeId),
  );
  if (partial === undefined || result.outputs.length < 2) return result;
  const prompt = body.get('prompt');
  const node = prompt instanceof Map ? prompt.get(partial.nodeId) : undefined;
  const entry = {
    errors: [
      {
        type: 'required_input_missing',
        message: 'Required input is missing',
        details: 'images',
        extra_info: { input_name: 'images' },
      },
    ],
    dependent_outputs: [partial.nodeId],
    class_type: pyStr(node instanceof Map ? node.get('class_type') : ''),
  };
  return {
    error: null,
    outputs: result.outputs.filter((id) => id !== partial.nodeId),
    nodeErrors: new Map([...result.nodeErrors, [partial.nodeId, entry]]),
  };
}

async function untilInHistory(context: ServerContext, promptId: string): Promise<void> {
  while (context.queue.history.get(promptId) === undefined && !context.closing.aborted) await wait(2);
}

function postPrompt(counter: Counter) {
  return async (request: RouteRequest, context: ServerContext): Promise<Answer | 'sent'> => {
    context.log.write('INFO', 'got prompt');
    const posted = await request.json();
    const modern = context.settings.profile === 'late-2026';
    const body = asBody(posted);
    const number = counter.take(posted);
    if (body === undefined || !body.has('prompt')) {
      const text = 'No prompt provided';
      return refusal({ type: 'no_prompt', message: text, details: text, extra_info: {} });
    }
    const promptId = readPromptId(body, modern);
    if (typeof promptId !== 'string') return refusal(promptId);
    const lost = context.faults.strike('lost-answer', { promptId, endpoint: request.endpoint });
    if (lost?.at === 'before-queueing') return cut(request);
    const valid = await validate(body, promptId, context);
    const extraData = readExtraData(body, modern, request, context.clock.now());
    if (valid.error !== null) {
      context.log.write('WARNING', `invalid prompt: ${valid.error.type}: ${valid.error.message}`);
      return refusal(valid.error, valid.nodeErrors);
    }
    const prompt = body.get('prompt');
    if (!(prompt instanceof Map)) throw new NodeError('TypeError', 'prompt is not a dict');
    context.jobTimes.set(promptId, { created: Math.trunc(context.clock.now()) });
    const [oldest] = context.jobTimes.keys();
    if (context.jobTimes.size > KNOWN_JOB_TIMES && oldest !== undefined) context.jobTimes.delete(oldest);
    context.queue.put({ number, promptId, prompt, extraData, outputs: valid.outputs });
    context.onAccepted({ promptId, number: number instanceof PyFloat ? number.value : number });
    if (lost !== undefined) return cut(request);
    if (context.faults.strike('answer-after-run', { promptId }) !== undefined) await untilInHistory(context, promptId);
    return jsonAnswer({ prompt_id: promptId, number, node_errors: valid.nodeErrors });
  };
}

function cut(request: RouteRequest): 'sent' {
  request.response.destroy();
  return 'sent';
}

/** The routes, with a counter of their own. */
export function promptRoutes(): Route[] {
  return [
    {
      method: 'GET',
      path: '/prompt',
      handler: (_request, context) => jsonAnswer(queueInfo(context.queue.remaining)),
    },
    { method: 'POST', path: '/prompt', handler: postPrompt(new Counter()) },
  ];
}
