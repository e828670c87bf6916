/**
 * The completion oracle against a model of ComfyUI in simulated time: ten thousand generated lives of a run. A failure prints its seed;
 * `ORACLE_SEED=<seed> ORACLE_PATH=<path>` plays it again, `ORACLE_RUNS` changes how many there are.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ModelResult, modelSettings, type Scenario, simulate } from '../support/model-comfyui.ts';

const ms = (max: number) => fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max }));
const maybe = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const rarely = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);

const requestFault = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('none' as const) },
    fc.constantFrom('reset-early', 'reset-late', 'timeout', 'garbled', 'server-error', 'doubled'),
  ),
  delayMs: ms(700),
});
const messageFault = fc.record({
  kind: fc.constantFrom('none', 'none', 'dropped', 'doubled'),
  delayMs: ms(4_000),
});

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  verdict: fc.constantFrom('success', 'success', 'failed', 'unreadable'),
  partial: rarely,
  allowPartial: fc.boolean(),
  waitMs: ms(20_000),
  nodeMs: fc.array(ms(30_000), { minLength: 1, maxLength: 4 }),
  lagMs: ms(4_000),
  deadThread: rarely,
  interruptsIgnored: fc.constantFrom(0, 0, 1, 3, 1_000),
  requests: fc.array(requestFault, { maxLength: 30 }),
  messages: fc.array(messageFault, { maxLength: 12 }),
  socketDown: fc.array(fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 60_000 })), {
    maxLength: 3,
  }),
  restart: maybe(fc.record({ atMs: ms(60_000), downMs: ms(15_000), supervised: fc.boolean() })),
  evictedAfterMs: maybe(ms(3_000)),
  cancelAtMs: maybe(ms(60_000)),
  deadlineMs: fc.integer({ min: 1_000, max: 120_000 }),
});

/** What is wrong with a result, or undefined. */
function defect(scenario: Scenario, result: ModelResult): string | undefined {
  const { outcome, endedAt } = result;
  if (!outcome) return `hangs after ${result.steps} steps`;
  if (endedAt > scenario.deadlineMs + modelSettings.cancelMs + 10) return `ends ${endedAt} ms after its beginning`;
  const refused = scenario.partial && !scenario.allowPartial;
  if (!outcome.failure) {
    if (result.recorded !== 'success') return 'claims a success that was none';
    if (!outcome.entry) return 'claims a success without its record';
    if (refused && scenario.requests.length === 0) return 'takes a part for the whole';
  }
  const lost = [...result.told].filter((node) => !outcome.outputs[node]);
  if (lost.length > 0) return `loses outputs that it was told of: ${lost.join(', ')}`;
  const readable = result.recorded === 'success' || result.recorded === 'failed' || result.recorded === 'interrupted';
  if (readable && !outcome.entry && result.readableSince !== undefined && endedAt - result.readableSince > 5_000) {
    return `does not read a record that is there since ${result.readableSince}`;
  }
  const { failure } = outcome;
  if (outcome.entry && !outcome.entry.failure && failure && !refused)
    return `fails a run that succeeded: ${failure.code}`;
  if (result.mostRunsPerLife > 1) return 'runs the prompt twice';
  if (result.leftRunning && outcome.condemn === undefined) return 'leaves the prompt running';
  return undefined;
}

describe('the completion oracle', () => {
  it('never hangs, never claims a false success, never loses an output, whatever network and server do', () => {
    const seed = Number(process.env['ORACLE_SEED'] ?? Date.now() % 2 ** 31);
    const path = process.env['ORACLE_PATH'];
    const numRuns = Number(process.env['ORACLE_RUNS'] ?? 10_000);
    const endings = new Map<string, number>();
    process.stdout.write(`completion oracle: ORACLE_SEED=${seed}\n`);
    fc.assert(
      fc.property(scenarios, (scenario) => {
        const result = simulate(scenario, 300_000);
        const ending = result.outcome?.failure?.code ?? (result.outcome ? 'success' : 'none');
        endings.set(ending, (endings.get(ending) ?? 0) + 1);
        const found = defect(scenario, result);
        if (found !== undefined) throw new Error(found);
      }),
      { seed, numRuns, ...(path !== undefined && { path }) },
    );
    // The generator reaches every way to end; otherwise the property would be empty.
    if (path === undefined && numRuns >= 10_000) {
      const reached = [
        'success',
        'NODE_FAILED',
        'JOB_CANCELLED',
        'DEADLINE_EXCEEDED',
        'COMFY_STALLED',
        'COMFY_CRASHED',
      ];
      expect([...endings.keys()]).toEqual(
        expect.arrayContaining([...reached, 'COMFY_UNREACHABLE', 'COMFY_PROTOCOL', 'PROMPT_LOST', 'WORKFLOW_REJECTED']),
      );
      expect(endings.get('success')).toBeGreaterThan(numRuns / 20);
    }
  });
});
