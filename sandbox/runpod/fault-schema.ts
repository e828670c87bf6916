// The JSON form of a fault script: which requests, which of their occurrences, what goes wrong. See docs/sandbox-runpod.md.
import { z } from 'zod';

/** Every route the emulator serves, and `webhook` for the requests it sends. */
export const ROUTES = [
  'run',
  'runsync',
  'status',
  'status-sync',
  'stream',
  'cancel',
  'retry',
  'purge-queue',
  'health',
  'requests',
  'job-take',
  'job-done',
  'job-stream',
  'ping',
  'job-stop',
  'webhook',
] as const;

/** One of {@link ROUTES}. job-take-batch counts as `job-take`. */
export type RouteName = (typeof ROUTES)[number];

/** Narrower targets: one kind of job-done, or the moment a take gets a job (its job id is known then). */
export const ROUTE_PARTS = ['job-done/progress', 'job-done/result', 'job-take/delivery'] as const;

/** One of {@link ROUTE_PARTS}. */
export type RoutePart = (typeof ROUTE_PARTS)[number];

const target = z.enum([...ROUTES, ...ROUTE_PARTS, '*']);

/**
 * Which matching requests of a rule are hit, counted from 1 over the rule's own matches. Default: every one of them.
 */
const occurrence = z.union([
  z.literal('always'),
  z.strictObject({ nth: z.number().int().positive() }),
  z.strictObject({ from: z.number().int().positive(), to: z.number().int().positive().optional() }),
  z.strictObject({ every: z.number().int().positive(), offset: z.number().int().nonnegative().optional() }),
]);

/** `before`: the request has no effect. `after`: it took effect, but its answer is lost or replaced. */
const moment = z.enum(['before', 'after']).default('before');

const action = z.discriminatedUnion('kind', [
  /** Answers late. Adds up with other faults. */
  z.strictObject({ kind: z.literal('delay'), ms: z.number().int().nonnegative() }),
  /** Never answers; the connection stays open. */
  z.strictObject({ kind: z.literal('hang'), at: moment }),
  /** Closes the connection without an answer. */
  z.strictObject({ kind: z.literal('drop'), at: moment }),
  /** Resets the connection (TCP RST). */
  z.strictObject({ kind: z.literal('reset'), at: moment }),
  /** Answers this instead. `json` and `text` are alternatives for the body; both absent = empty. */
  z.strictObject({
    kind: z.literal('answer'),
    at: moment,
    status: z.number().int().min(100).max(599),
    headers: z.record(z.string(), z.string()).optional(),
    json: z.unknown().optional(),
    text: z.string().optional(),
  }),
  /** Announces the whole answer, sends its first `bytes` (default: half) and closes. The request took effect. */
  z.strictObject({ kind: z.literal('truncate'), bytes: z.number().int().nonnegative().optional() }),
  /** job-take/delivery: the delivered job goes to one more take as well. */
  z.strictObject({ kind: z.literal('deliver-twice') }),
  /** job-take/delivery: an empty or missing input arrives without the `input` key. */
  z.strictObject({ kind: z.literal('drop-empty-input') }),
  /** ping: answers 200, but renews nothing. */
  z.strictObject({ kind: z.literal('lose-lease') }),
]);

/** One rule of a fault script, in JSON. */
export const faultRuleSchema = z.strictObject({
  /** Shows up in the list of hits. */
  name: z.string().optional(),
  route: z.union([target, z.array(target).nonempty()]),
  endpointId: z.string().optional(),
  jobId: z.string().optional(),
  workerId: z.string().optional(),
  when: occurrence.default('always'),
  do: action,
});

/** A fault script in JSON: a list of rules. */
export const faultScriptSchema = z.array(faultRuleSchema);

/** A rule as it may be written. */
export type FaultRuleInput = z.input<typeof faultRuleSchema>;

/** A rule with its defaults. */
export type FaultRule = z.output<typeof faultRuleSchema>;

/** What a rule does. */
export type FaultAction = z.output<typeof action>;
