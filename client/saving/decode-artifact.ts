/** Bytes of an artifact, proven to be what the worker made: strict base64, size and SHA-256. */
import { createHash } from 'node:crypto';
import { type Artifact, base64DecodedLength, ComfyRunpodError, isStrictBase64 } from '../../shared/index.ts';

/** Decodes and checks. Throws `RESULT_CORRUPT` that names the artifact's node, not its content. */
export function decodeArtifact(artifact: Artifact): Buffer {
  const { data } = artifact.delivery;
  const corrupt = (why: string) =>
    new ComfyRunpodError(
      'RESULT_CORRUPT',
      `Output ${artifact.index} of node ${artifact.node.slice(0, 60)} arrived damaged: ${why}.`,
      {
        details: { node: artifact.node.slice(0, 60), index: artifact.index },
      },
    );
  if (!isStrictBase64(data)) throw corrupt('not valid base64');
  if (base64DecodedLength(data) !== artifact.size) {
    throw corrupt(`${base64DecodedLength(data)} bytes instead of ${artifact.size}`);
  }
  const bytes = Buffer.from(data, 'base64');
  if (createHash('sha256').update(bytes).digest('hex') !== artifact.sha256) throw corrupt('wrong SHA-256');
  return bytes;
}
