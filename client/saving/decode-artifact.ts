/** Bytes of an artifact, proven to be what the worker made: strict base64, size and SHA-256. */
import { createHash } from 'node:crypto';
import {
  type Artifact,
  base64DecodedLength,
  ComfyRunpodError,
  type Delivery,
  isStrictBase64,
} from '../../shared/index.ts';

import { receivedFileOf } from '../receiving/received-file.ts';

/** Where a person finds an artifact that this machine can't fetch. */
function placeOf(delivery: Delivery): string {
  if (delivery.via === 'volume') return `It is on the endpoint's network volume, at ${delivery.path}.`;
  if (delivery.via === 'put') return 'It is at the address that the job gave for it.';
  return 'Wait for the job with a handle of this library, which reads the chunks.';
}

/** Decodes and checks. Throws `RESULT_CORRUPT` that names the artifact's node, not its content. */
export function decodeArtifact(artifact: Artifact): Buffer {
  const { delivery } = artifact;
  if (delivery.via !== 'inline') {
    throw new ComfyRunpodError(
      'RESULT_NOT_SAVED',
      `An output of node ${artifact.node.slice(0, 60)} is not in the answer.`,
      {
        details: { node: artifact.node.slice(0, 60), index: artifact.index, via: delivery.via },
        nextStep: delivery.via === 'url' ? 'Use saveArtifacts, which downloads it.' : placeOf(delivery),
      },
    );
  }
  const corrupt = (why: string) =>
    new ComfyRunpodError(
      'RESULT_CORRUPT',
      `Output ${artifact.index} of node ${artifact.node.slice(0, 60)} arrived damaged: ${why}.`,
      {
        details: { node: artifact.node.slice(0, 60), index: artifact.index },
      },
    );
  const received = receivedFileOf(delivery);
  if (received) return checked(received.read(), artifact, corrupt);
  const { data } = delivery;
  if (!isStrictBase64(data)) throw corrupt('not valid base64');
  if (base64DecodedLength(data) !== artifact.size) {
    throw corrupt(`${base64DecodedLength(data)} bytes instead of ${artifact.size}`);
  }
  return checked(Buffer.from(data, 'base64'), artifact, corrupt);
}

function checked(bytes: Buffer, { sha256 }: Artifact, corrupt: (why: string) => ComfyRunpodError): Buffer {
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw corrupt('wrong SHA-256');
  return bytes;
}
