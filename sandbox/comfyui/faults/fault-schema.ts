// The scripted faults, as data (ComfyUI protocol notes, Appendix C). JSON in, typed and checked; neighbours: fault-controller.ts
// counts them, and each place that can fail asks it. All faults share the same aiming fields, so any of them can be armed
// for one prompt, one node class or one endpoint, once, always or at the nth chance.
import { z } from 'zod';

/** Which chances a fault takes: skip the first `skip`, then strike `times` times. */
const aim = {
  /** Only for this prompt id. */
  promptId: z.string().optional(),
  /** Only when a node of this class runs (faults of execution). */
  classType: z.string().optional(),
  /** Only for this path, without `/api`, e.g. `/history/*`; `*` stands for one path part (faults of HTTP). */
  endpoint: z.string().optional(),
  /** Matching chances to let pass first; `skip: 2` strikes at the third. Default 0. */
  skip: z.number().int().min(0).default(0),
  /** How often it strikes. Default 1. */
  times: z.union([z.number().int().min(1), z.literal('always')]).default(1),
};

/** The point in a prompt's events: the nth (from 1), or the first of a type. */
const atEvent = z.union([z.number().int().min(1), z.string()]);
const milliseconds = z.number().min(0);

function fault<Kind extends string, Shape extends z.ZodRawShape>(kind: Kind, shape: Shape) {
  return z.strictObject({ kind: z.literal(kind), ...aim }).extend(shape);
}

/** Every fault, by `kind`. The comment gives its number in Appendix C. */
export const faultSchema = z.discriminatedUnion('kind', [
  /** F01: the prompt stays running for so long after its last event. */
  fault('late-history', { delayMs: milliseconds }),
  /** F02: the answer to POST /prompt waits until the prompt is in history. */
  fault('answer-after-run', {}),
  /** F03: the connection of POST /prompt dies before or after the prompt was queued. */
  fault('lost-answer', { at: z.enum(['before-queueing', 'after-queueing']) }),
  /** F04: the prompt's client loses its socket at an event; reconnecting is refused for a while. */
  fault('lost-socket', { at: atEvent, refuseReconnectMs: milliseconds.default(0) }),
  /** F05: from this event on nothing is delivered to anybody, for so long or for ever. */
  fault('stalled-delivery', { at: atEvent, forMs: milliseconds.optional() }),
  /** F06: when an id is taken over, the old connection ends so much later and unregisters the new one. */
  fault('late-old-socket-close', { afterMs: milliseconds }),
  /** F07: an event is dropped, sent twice, or sent after the one that follows it. */
  fault('reshape-event', { event: z.string(), action: z.enum(['drop', 'duplicate', 'swap-with-next']) }),
  /** F08: progress, preview and end messages of a prompt nobody here posted. */
  fault('foreign-events', { event: z.string() }),
  /** F09: the worker thread dies when it takes the prompt; it stays running for ever. */
  fault('dead-worker', {}),
  /** F10: the process ends at an event; null means it does not come back by itself. */
  fault('crash', { at: atEvent, restartAfterMs: milliseconds.nullable().default(null) }),
  /** F11: reading the prompt's history entry answers 500. */
  fault('unreadable-history', {}),
  /** F12: a bare NaN in an answer or event. */
  fault('nan', { in: z.enum(['history', 'executed', 'object_info']) }),
  /** F13: the files a run listed are gone, or cut to so many bytes, before anyone can read them. */
  fault('lost-output-files', { keepBytes: z.number().int().min(0).nullable().default(null) }),
  /** F14: history lists no outputs. */
  fault('empty-outputs', {}),
  /** F15: history says success although its messages hold an execution_error. */
  fault('error-in-success', {}),
  /** F16: ExecutionBlocked is reported, the run succeeds without outputs. */
  fault('blocked-then-success', { message: z.string().default('blocked by a fault') }),
  /** F17: this output node fails validation, the others are accepted. */
  fault('partial-acceptance', { nodeId: z.string() }),
  /** F18: /interrupt answers 200 and does nothing, or acts so much later. */
  fault('interrupt-ignored', { actAfterMs: milliseconds.nullable().default(null) }),
  /** F19: the entry is gone from history as soon as it was written. */
  fault('history-evicted', {}),
  /** F20: the upload is stored under another name, which the answer tells. */
  fault('upload-renamed', { name: z.string() }),
  /** F20: the upload's file holds only so many bytes. */
  fault('upload-truncated', { keepBytes: z.number().int().min(0).default(0) }),
  /** F21: how /view misbehaves. */
  fault('bad-view', {
    status: z.union([z.literal(403), z.literal(404)]).optional(),
    contentType: z.string().optional(),
    /** Milliseconds before each part of the body. */
    slowMs: milliseconds.optional(),
    /** The body ends, and the connection with it, after so many bytes. */
    cutAfterBytes: z.number().int().min(0).optional(),
  }),
  /** F22: the node raises torch.OutOfMemoryError. */
  fault('out-of-memory', {}),
  /** F22: the node raises a CUDA error, and so does every node after it until a restart. */
  fault('cuda-fault', {}),
  /** Any other exception of a node. */
  fault('node-error', { exceptionType: z.string().default('RuntimeError'), message: z.string() }),
  /** A node takes so much longer and notices nothing meanwhile. */
  fault('slow-node', { delayMs: milliseconds }),
  /** F24: the class is not installed. */
  fault('missing-class', { classType: z.string() }),
  /** F24, F30: the endpoint answers with this status and an empty or the usual text body. */
  fault('bad-status', { endpoint: z.string(), status: z.number().int().min(400).max(599) }),
  /** F25: bodies above this are refused with 413. */
  fault('body-limit', { limitBytes: z.number().int().min(1) }),
  /** F26: file entries of a shape nobody expects. */
  fault('odd-outputs', { shape: z.enum(['unexpected-key', 'bare-entries', 'escaping-paths', 'extra-fields']) }),
  /** F27: a frame nobody expects, right before an event. */
  fault('odd-frame', { at: atEvent, frame: z.enum(['huge', 'unknown-type', 'truncated-header']) }),
  /** F29: /free answers 200 and does nothing. */
  fault('free-ignored', {}),
  /** F30: the endpoint answers so much later; null means never. */
  fault('latency', { endpoint: z.string(), delayMs: milliseconds.nullable() }),
  /** F23: after the next start the port opens so much later. */
  fault('slow-start', { delayMs: milliseconds }),
]);

/** A fault as a script writes it: aiming fields may be left out. */
export type FaultInput = z.input<typeof faultSchema>;

/** A checked fault. */
export type Fault = z.output<typeof faultSchema>;

/** The kinds. */
export type FaultKind = Fault['kind'];

/** A script: what `--` scripts and test files hold. */
export const faultScriptSchema = z.array(faultSchema);
