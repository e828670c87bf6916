import { describe, expect, it } from 'vitest';
import { clientVariables, isComfyRunpodError, readEnvironment, workerVariables } from '../../../shared/index.ts';

function refusal(environment: Record<string, string>): string {
  try {
    readEnvironment({ ...clientVariables, ...workerVariables }, environment);
  } catch (error) {
    if (isComfyRunpodError(error) && error.code === 'CONFIG_INVALID') return error.message;
    throw error;
  }
  throw new Error('the environment was accepted');
}

describe('the environment', () => {
  it('has a default for everything that has one, and an empty variable counts as unset', () => {
    expect(readEnvironment(clientVariables, { RUNPOD_POLL_INTERVAL: '' })).toMatchObject({
      RUNPOD_BASE_URL: 'https://api.runpod.ai/v2',
      RUNPOD_REQUEST_TIMEOUT: 30_000,
      RUNPOD_POLL_INTERVAL: 3_000,
      RUNPOD_MAX_POLL_DURATION: 86_400_000,
    });
  });

  it('with several mistakes is refused once, naming each variable and no value', () => {
    const message = refusal({
      RUNPOD_BASE_URL: 'http://example.com/secret',
      COMFY_PORT: 'ninety',
      RUNPOD_REQUEST_TIMEOUT: '-5',
    });
    expect(message).toContain('RUNPOD_BASE_URL: must be https, or http to loopback only');
    expect(message).toContain('COMFY_PORT: not a whole number');
    expect(message).toContain('RUNPOD_REQUEST_TIMEOUT: not a number of seconds');
    expect(message).not.toMatch(/secret|ninety|-5/);
  });

  it.each(['http://127.0.0.1:8000/v2', 'http://localhost:8000/v2/', 'http://[::1]:1/v2', 'https://api.runpod.ai/v2'])(
    'lets the base address %s pass',
    (url) => {
      expect(readEnvironment(clientVariables, { RUNPOD_BASE_URL: url }).RUNPOD_BASE_URL).toBe(url.replace(/\/$/, ''));
    },
  );

  it.each(['http://127.0.0.1.evil.example/v2', 'http://10.0.0.1/v2', 'ftp://localhost/', 'localhost:8000'])(
    'refuses the base address %s',
    (url) => {
      expect(refusal({ RUNPOD_BASE_URL: url })).toContain('RUNPOD_BASE_URL');
    },
  );

  it('reads a heartbeat interval under a second as a second, and WARNING as a log level', () => {
    expect(
      readEnvironment(workerVariables, { RUNPOD_PING_INTERVAL: '500', RUNPOD_LOG_LEVEL: 'WARNING' }),
    ).toMatchObject({ RUNPOD_PING_INTERVAL: 1_000, RUNPOD_LOG_LEVEL: 'warn' });
  });
});
