/** From what ComfyUI named to the result envelope. */

export {
  type CollectedArtifact,
  type CollectedOutputs,
  type Collection,
  collectOutputs,
  type LocateFile,
  tooLarge,
} from './collect.ts';
export { sniffContentType } from './content-type.ts';
export { keepResult } from './delivery/keep-result.ts';
export { assertDestination, type DeliveryPlaces, type DeliveryRequest } from './delivery/ladder.ts';
export type { FoundFile } from './delivery/prepare-artifact.ts';
export { buildEnvelope } from './envelope.ts';
export { type BodyPart, createJsonBody } from './json-body.ts';
export { type ListedOutputs, listOutputs, type OutputFile, type OutputValue } from './list-outputs.ts';
export { keptMetadataWarnings } from './metadata/kept-warnings.ts';
export { stripMetadata } from './metadata/strip-metadata.ts';
