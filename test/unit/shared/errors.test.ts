import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ComfyRunpodError,
  errorCodes,
  errorFromWire,
  errorPolicies,
  errorToWire,
  isComfyRunpodError,
  toComfyRunpodError,
} from '../../../shared/index.ts';

const origin = { workerId: 'pod1', hostname: 'host1', version: '0.1.0' };

describe('an error on its way from worker to caller', () => {
  it.each(errorCodes)('%s arrives with its code, message, next step, issues and details', (code) => {
    const sent = new ComfyRunpodError(code, 'what happened', {
      issues: [{ node: '3', classType: 'KSampler', field: 'steps', type: 'value_not_in_list', message: 'too many' }],
      details: { bytes: 12, name: 'x', flag: true, nothing: null },
    });
    const received = errorFromWire(errorToWire(sent, origin));
    expect(received).toMatchObject({
      code,
      message: sent.message,
      nextStep: sent.nextStep,
      issues: sent.issues,
      details: sent.details,
    });
  });

  it('has the six keys that existing callers parse, all strings, and stays small', () => {
    const wire = errorToWire(
      new ComfyRunpodError('NODE_FAILED', 'x'.repeat(100_000), {
        issues: Array.from({ length: 500 }, () => ({ message: 'y'.repeat(5_000) })),
      }),
      origin,
    );
    const parsed = JSON.parse(wire) as Record<string, unknown>;
    for (const key of ['error_type', 'error_message', 'error_traceback', 'hostname', 'worker_id', 'runpod_version'])
      expect(parsed[key]).toBeTypeOf('string');
    expect(wire.length).toBeLessThan(48 * 1024);
  });

  it("is recognised when it is one of the platform's own sentences", () => {
    expect(errorFromWire('job timed out after 1 retries').code).toBe('WORKER_LOST');
    expect(errorFromWire('executionTimeout exceeded').code).toBe('DEADLINE_EXCEEDED');
  });

  it('from a foreign worker keeps its text', () => {
    expect(errorFromWire('{"error_type":"<class \'ValueError\'>","error_message":"boom"}')).toMatchObject({
      code: 'JOB_FAILED',
      message: "<class 'ValueError'>: boom",
    });
    expect(errorFromWire('plain words')).toMatchObject({ code: 'JOB_FAILED', message: 'plain words' });
  });

  it('is read without throwing whatever the text', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => isComfyRunpodError(errorFromWire(text))));
  });
});

describe('every error', () => {
  it.each(errorCodes)('%s tells the next step in a sentence', (code) => {
    expect(errorPolicies[code].nextStep).toMatch(/^[A-Z].*\.$/);
  });

  it('that was thrown by something else keeps its cause and does not repeat its text', () => {
    const cause = new TypeError('contains a secret');
    const error = toComfyRunpodError(cause);
    expect(error).toMatchObject({ code: 'INTERNAL', cause });
    expect(error.message).not.toContain('secret');
  });
});
