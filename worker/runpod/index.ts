/** The worker side of RunPod's protocol. */
export type { DeliveredJob } from './delivered-job.ts';
export { type Heartbeat, startHeartbeat } from './heartbeat.ts';
export { runJobSource, type Slots } from './job-source.ts';
export {
  createReporter,
  type JobReport,
  type KeepResult,
  type PostedOutcome,
  type Reporter,
  resultLimitBytes,
} from './reporter.ts';
export { type RunpodConfig, type RunpodTimings, timingsOf } from './runpod-config.ts';
export { runStopChannel } from './stop-channel.ts';
export { createTransport, type Transport } from './transport.ts';
export { buildUrls, fillTemplate, type RunpodUrls } from './url-template.ts';
