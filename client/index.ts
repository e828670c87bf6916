/**
 * The client library.
 *
 *     const client = createClient({ apiKey, endpointId });
 *     const job = await client.submit({ workflow, files });
 *     for await (const event of job) console.log(event.type);
 *     const result = await job.wait();
 *     if (result.kind === 'succeeded') await saveArtifacts(result.envelope.artifacts, { folder: 'results' });
 *     await client.close();
 */
export { type Client, type ClientOptions, type ClientSubmitOptions, createClient } from './client.ts';
export { type ClientConfig, type Environment, readClientConfig, withDotEnv } from './config.ts';
export { type PictureFile, type ReadPictureOptions, readPicture } from './files/read-picture.ts';
export { readWorkflowBytes, type WorkflowBytes, type WorkflowFile } from './files/read-workflow-bytes.ts';
export {
  type Declarations,
  declarationsOf,
  parseDeclarations,
  readDeclarationsFile,
  shippedDeclarations,
} from './introspection/declarations.ts';
export {
  type CachedDescription,
  type DescribeCacheOptions,
  describeCached,
  keptDescription,
  userCacheFolder,
} from './introspection/describe-cached.ts';
export { type FetchDeclarationsOptions, fetchDeclarations } from './introspection/fetch-declarations.ts';
export { readObjectInfo } from './introspection/read-object-info.ts';
export type { JobEvent } from './job-events.ts';
export { JobHandle, type WaitOptions } from './job-handle.ts';
export type { JobResult, JobTimes } from './job-result.ts';
export { userDataFolder } from './ledger/data-folder.ts';
export {
  Ledger,
  type LedgerEnd,
  type LedgerIntent,
  type LedgerQuery,
  ledgerFile,
  type PastRun,
} from './ledger/ledger.ts';
export { type LedgerFile, type LedgerRow, type LedgerState, ledgerStates, openStates } from './ledger/ledger-row.ts';
export { type Candidate, type JobNeeds, type Ranking, rankEndpoints } from './profiles/rank-endpoints.ts';
export { createRoutedTransport, type RoutedTransportOptions, type RouteMember } from './profiles/routed-transport.ts';
export { decodeArtifact } from './saving/decode-artifact.ts';
export { isFetchable, type SavedFile, type SaveOptions, saveArtifacts } from './saving/save-artifacts.ts';
export { type CheckOptions, checkWorkflow, refusalOf } from './submit/check-workflow.ts';
export { type LoadedWorkflow, type LoadWorkflowOptions, loadWorkflow } from './submit/load-workflow.ts';
export { type JobRequest, type PreparedJob, prepareJob } from './submit/prepare-job.ts';
export { type RunHoldingOptions, runHolding } from './submit/run-holding.ts';
export { createInProcessTransport, type InProcessRunner, type RunnerOutcome } from './transport/in-process.ts';
export { createRunpodTransport, type RunpodTransportOptions } from './transport/runpod/runpod-transport.ts';
export type {
  FollowOptions,
  JobPolicy,
  PurgeResult,
  Submission,
  SubmitOptions,
  SubmitRoute,
  Transport,
} from './transport/transport.ts';
export { parseWorkflow, parseWorkflowDocument, type WorkflowDocument } from './workflow/parse-workflow.ts';
export {
  type PictureLoader,
  type PictureRequest,
  type PlacedPictures,
  type PlaceOptions,
  pictureLoaders,
  placePictures,
} from './workflow/picture-inputs.ts';
