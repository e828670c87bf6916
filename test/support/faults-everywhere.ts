// Faults on every route of RunPod and of ComfyUI, none of which may change how a job ends.
import type { FaultInput } from '../../sandbox/comfyui/index.ts';
import type { FaultRuleInput } from '../../sandbox/runpod/index.ts';

/** Name of the fault that loses a delivered job on its way: the worker never sees it. */
export const lostDelivery = 'lost-delivery';

/** What RunPod and the network do. */
export const platformFaults: FaultRuleInput[] = [
  { route: 'job-take', when: { every: 19 }, do: { kind: 'answer', status: 500, json: { error: 'internal' } } },
  { route: 'job-take', when: { every: 23 }, do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } } },
  { route: 'job-take', when: { every: 29 }, do: { kind: 'reset' } },
  { name: lostDelivery, route: 'job-take/delivery', when: { every: 41 }, do: { kind: 'drop', at: 'after' } },
  { route: 'job-take/delivery', when: { every: 13 }, do: { kind: 'deliver-twice' } },
  { route: 'job-done/result', when: { every: 5 }, do: { kind: 'answer', status: 503, text: 'try later' } },
  { route: 'job-done/result', when: { every: 7 }, do: { kind: 'reset' } },
  { route: 'job-done/result', when: { every: 11 }, do: { kind: 'drop', at: 'after' } },
  { route: 'job-done/progress', when: { every: 3 }, do: { kind: 'answer', status: 500 } },
  { route: 'job-done/progress', when: { every: 4 }, do: { kind: 'delay', ms: 80 } },
  { route: 'job-stop', when: { every: 5 }, do: { kind: 'answer', status: 500 } },
  { route: 'ping', when: { every: 6 }, do: { kind: 'reset' } },
  {
    route: ['status', 'status-sync'],
    when: { every: 9 },
    do: { kind: 'answer', status: 502, text: '<html>bad gateway</html>' },
  },
  { route: ['status', 'status-sync'], when: { every: 14 }, do: { kind: 'truncate' } },
  {
    route: ['status', 'status-sync'],
    when: { every: 17 },
    do: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
  },
];

/** What ComfyUI does, none of which may change an outcome. */
export function comfyFaults(rounds = 3): FaultInput[] {
  const faults: FaultInput[] = [];
  for (let round = 0; round < rounds; round++) {
    const skip = 4 + round * 9;
    faults.push(
      { kind: 'late-history', delayMs: 400, skip, times: 2 },
      { kind: 'lost-socket', at: 4, refuseReconnectMs: 150, skip: skip + 2 },
      { kind: 'reshape-event', event: 'execution_success', action: 'drop', skip: skip + 3 },
      { kind: 'reshape-event', event: 'executed', action: 'drop', skip: skip + 1 },
      { kind: 'reshape-event', event: 'executing', action: 'duplicate', skip: skip + 5 },
      { kind: 'reshape-event', event: 'progress', action: 'swap-with-next', skip: skip + 2 },
      { kind: 'foreign-events', event: 'execution_start', skip: skip + 1 },
      { kind: 'odd-frame', at: 3, frame: 'truncated-header', skip: skip + 4 },
      { kind: 'lost-answer', at: 'after-queueing', skip: skip + 6 },
      { kind: 'lost-answer', at: 'before-queueing', skip: skip + 7 },
      { kind: 'answer-after-run', skip: skip + 3 },
      { kind: 'nan', in: 'history', skip: skip + 2 },
      { kind: 'nan', in: 'executed', skip: skip + 1 },
      { kind: 'latency', endpoint: '/history/*', delayMs: 300, skip: skip * 2 },
      { kind: 'bad-status', endpoint: '/queue', status: 500, skip: skip * 2 },
      { kind: 'stalled-delivery', at: 5, forMs: 500, skip: skip + 8 },
      { kind: 'interrupt-ignored', skip: round * 2 },
    );
  }
  return faults;
}
