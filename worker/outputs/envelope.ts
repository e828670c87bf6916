/** Builds the result envelope as text whose length is known, with the files that travel in it as base64 made while it is sent. */
import { contractVersion, type Receipt, type ResultEnvelope } from '../../shared/index.ts';
import type { JsonBody } from '../types.ts';
import type { CollectedOutputs } from './collect.ts';
import { type BodyPart, createJsonBody } from './json-body.ts';

/** An envelope of these outputs. `partial` comes beside an error. */
export function buildEnvelope(status: ResultEnvelope['status'], outputs: CollectedOutputs, receipt: Receipt): JsonBody {
  const head = { kind: 'comfy-runpod/result', contract: contractVersion, status };
  const parts: BodyPart[] = [`${opened(head)},"artifacts":[`];
  for (const [i, artifact] of outputs.artifacts.entries()) {
    parts.push(`${i === 0 ? '' : ','}${opened(artifact.described)},"delivery":`);
    if ('bytes' in artifact) {
      parts.push(`{"via":"inline","reason":"it fits into the answer","data":"`, { base64: artifact.bytes }, '"}}');
    } else parts.push(`${JSON.stringify(artifact.delivery)}}`);
  }
  parts.push(`],"values":${JSON.stringify(outputs.values)},"receipt":${JSON.stringify(receipt)}}`);
  return createJsonBody(parts);
}

/** JSON of an object without its last brace. */
function opened(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}
