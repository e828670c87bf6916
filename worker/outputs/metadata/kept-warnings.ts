/** Tells the caller which files may still hold metadata although the job wanted it out. */
import { mayHoldMetadata } from './strip-metadata.ts';

/** What has to be known of an artifact. */
interface Described {
  readonly node: string;
  readonly index: number;
  readonly contentType: string;
  readonly metadata: 'stripped' | 'kept';
}

/** One warning for each artifact whose metadata was kept, for the receipt. Plain text has none beside its content. */
export function keptMetadataWarnings(artifacts: readonly Described[]): { node: string; message: string }[] {
  return artifacts
    .filter(({ metadata, contentType }) => metadata === 'kept' && mayHoldMetadata(contentType))
    .map(({ node, index, contentType }) => ({
      node,
      message: `File ${index + 1} of node ${node} (${contentType}) may still hold the prompt: its metadata could not be removed.`,
    }));
}
