/** The contract of client and worker, everything public on one screen. Pure: runs in Node and in a browser. */

export { base64DecodedLength, base64EncodedLength, isStrictBase64, stripDataUrl } from './base64.ts';
export {
  type BootReport,
  type BootStage,
  type BootStageReport,
  bootExitCode,
  bootExitCodes,
  bootReportSchema,
  bootStages,
  type MissingModel,
  missingModelSchema,
} from './boot.ts';
export {
  type Delivery,
  type Destination,
  type OutputFormat,
  type ResultChunk,
  readResultChunk,
} from './delivery.ts';
export {
  type ActionInput,
  actionInputSchema,
  type DescribedNodes,
  type Description,
  descriptionSchema,
  isAction,
  type Pong,
  pongSchema,
  type ResultCounts,
  readActionInput,
  readDescription,
  readPong,
} from './describe.ts';
export { type DialectName, detectDialect, dialectNames } from './dialects/detect-dialect.ts';
export { type DialectOptions, type JobRequest, readJobRequest } from './dialects/read-job-request.ts';
export type { Responder } from './dialects/responder.ts';
export type { ResultFacts } from './dialects/result-facts.ts';
export { type ArtifactSegment, type Segment, segmentsByteLength } from './dialects/segments.ts';
export { shapeFailure } from './dialects/shape-failure.ts';
export { shapeProgress } from './dialects/shape-progress.ts';
export { type ForeignDelivery, type ResultContext, shapeResult } from './dialects/shape-result.ts';
export {
  type ClientEnvironment,
  clientVariables,
  type EnvironmentValues,
  isLoopbackUrl,
  readEnvironment,
  type VariableSpec,
  type WorkerEnvironment,
  workerVariables,
} from './environment.ts';
export {
  ComfyRunpodError,
  type ErrorDetails,
  type ErrorIssue,
  type ErrorOptions,
  isComfyRunpodError,
  toComfyRunpodError,
} from './error.ts';
export {
  type Blame,
  type ErrorCode,
  type ErrorPolicy,
  errorCodes,
  errorPolicies,
  exitCodes,
  isErrorCode,
  type RetryAdvice,
} from './error-codes.ts';
export { type ErrorOrigin, errorFromWire, errorToWire } from './error-wire.ts';
export { assertSafeName, safeExtension, unsafeNameReason } from './file-names.ts';
export { type EndedJob, type Inspection, inspectionSchema, inspectSocketName } from './inspection.ts';
export {
  type Injection,
  type InputFile,
  type JobInput,
  type JobInputWire,
  jobInputSchema,
  type OutputSelection,
} from './job-input.ts';
export {
  type Artifact,
  type ArtifactKind,
  type Receipt,
  type ResultEnvelope,
  readResultEnvelope,
  resultEnvelopeSchema,
  type ValueOutput,
} from './job-output.ts';
export { limits } from './limits.ts';
export {
  type ModelEntry,
  type ModelSource,
  type ModelSpec,
  modelEntrySchema,
  modelLabel,
  modelManifestSchema,
  sourceLabel,
  specOf,
} from './models/model-entry.ts';
export { foldersOfType, hasModelEnding, isPickle, modelFolderType, modelFolderTypes } from './models/model-folders.ts';
export { formatModels, parseModels } from './models/parse-models.ts';
export { parseJobInput } from './parse-job-input.ts';
export { type Phase, type Preview, type ProgressEvent, progressEventSchema, readProgressEvent } from './progress.ts';
export {
  type HealthView,
  healthViewSchema,
  isTerminalStatus,
  type JobView,
  jobViewSchema,
  purgeViewSchema,
  type StreamView,
  type SubmitBody,
  streamViewSchema,
  submitBodySchema,
  type TerminalStatus,
  terminalStatuses,
} from './runpod-api.ts';
export { type BackoffOptions, backoffMs, retryAfterMs } from './util/backoff.ts';
export { createDeadline, type Deadline } from './util/deadline.ts';
export { delay, raceSignal, throwIfAborted } from './util/delay.ts';
export { type Release, ResourceStack } from './util/resource-stack.ts';
export { parseTolerantJson } from './util/tolerant-json.ts';
export { contractVersion, packageVersion } from './version.ts';
export {
  type ApiNode,
  compareNodeIds,
  detectWorkflowFormat,
  isLink,
  type Link,
  nodeTitle,
  type Workflow,
  type WorkflowFormat,
  workflowSchema,
} from './workflow.ts';
