import { Agent, interceptors } from 'undici';
import { describe, expect, it } from 'vitest';
import { loadUndiciCore } from '../../../worker/runpod/undici-core.ts';

describe('the parts of undici', () => {
  it('are where the worker looks for them, and the same that the whole package has', () => {
    const core = loadUndiciCore();
    expect(core.Agent).toBe(Agent);
    expect(core.redirect).toBe(interceptors.redirect);
  });
});
