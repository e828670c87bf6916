/** From what ComfyUI named to the result envelope. */

export {
  type CollectedArtifact,
  type CollectedOutputs,
  type Collection,
  collectOutputs,
  type FoundFile,
  type LocateFile,
  tooLarge,
} from './collect.ts';
export { sniffContentType } from './content-type.ts';
export { buildEnvelope } from './envelope.ts';
export { type BodyPart, createJsonBody } from './json-body.ts';
export { type ListedOutputs, listOutputs, type OutputFile, type OutputValue } from './list-outputs.ts';
export { keptMetadataWarnings } from './metadata/kept-warnings.ts';
export { stripMetadata } from './metadata/strip-metadata.ts';
