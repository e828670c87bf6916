// The RunPod emulator's public face.
export { type Clock, type ClockTimer, systemClock, type VirtualClock, virtualClock } from './clock.ts';
export {
  type EmulatorInspector,
  type JobSnapshot,
  type RunpodEmulator,
  type RunpodEmulatorOptions,
  startRunpodEmulator,
  type WorkerSnapshot,
} from './emulator.ts';
export type { HealthCounters } from './endpoint.ts';
export type { WorkerIdentity } from './environment.ts';
export type { EmulatorEvent, SeenRequest } from './events.ts';
export {
  type FaultAction,
  type FaultRule,
  type FaultRuleInput,
  faultRuleSchema,
  faultScriptSchema,
  ROUTES,
  type RouteName,
  type RoutePart,
} from './fault-schema.ts';
export {
  createFaultScript,
  type FaultHit,
  type FaultRuleWithMatch,
  type FaultScript,
  type FaultSubject,
} from './fault-script.ts';
export type { JobStatus } from './job.ts';
export {
  DEFAULT_API_KEY,
  DEFAULT_ENDPOINT_ID,
  type EndpointOptions,
  type EndpointSettings,
  endpointSettingsSchema,
} from './options.ts';
