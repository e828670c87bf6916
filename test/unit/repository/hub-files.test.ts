/** What RunPod's Hub reads of this repository agrees with the contract. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { describe, expect, it } from 'vitest';
import { readEnvironment, workerVariables } from '../../../shared/index.ts';
import { startWholeStack } from '../../support/whole-stack.ts';

const root = join(import.meta.dirname, '../../..');
const read = (path: string): unknown => JSON.parse(readFileSync(join(root, path), 'utf8'));

interface Hub {
  readonly type: string;
  readonly config: {
    readonly runsOn: string;
    readonly env: readonly {
      readonly key: string;
      readonly input: { readonly type: string; readonly default: unknown };
    }[];
  };
}
interface HubTests {
  readonly tests: readonly { readonly name: string; readonly input: object }[];
  readonly config: { readonly env: readonly { readonly key: string; readonly value: string }[] };
}

const hub = read('.runpod/hub.json') as Hub;
const hubTests = read('.runpod/tests.json') as HubTests;

describe("the files for RunPod's Hub", () => {
  it('offer only variables that the worker knows, with defaults that it takes', () => {
    const names = hub.config.env.map(({ key }) => key);
    expect(names.filter((name) => !(name in workerVariables))).toEqual([]);
    const defaults = hub.config.env.map(({ key, input }) => [key, String(input.default)] as const);
    const tested = hubTests.config.env.map(({ key, value }) => [key, value] as const);
    expect(() => readEnvironment(workerVariables, Object.fromEntries([...defaults, ...tested]))).not.toThrow();
  });

  it('have tests that a worker completes', async () => {
    const stack = await startWholeStack({ workers: 1 });
    try {
      for (const { input } of hubTests.tests) {
        // As the Hub sends them.
        const answer = await request(`${stack.emulator.endpointUrl('ep1')}/runsync`, {
          method: 'POST',
          headers: { authorization: 'Bearer sandbox', 'content-type': 'application/json' },
          body: JSON.stringify({ input }),
        });
        expect(answer.statusCode).toBe(200);
        expect(await answer.body.json()).toMatchObject({ status: 'COMPLETED' });
      }
    } finally {
      await stack.close();
    }
  });
});
