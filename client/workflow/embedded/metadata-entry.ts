/** A text that a file carries under a name. */
export interface MetadataEntry {
  readonly key: string;
  readonly text: string;
}

/** Longest text that is looked at, bytes. Workflows are kilobytes, the largest known are a few megabytes. */
export const longestText = 32 * 1024 * 1024;

/** True for the keys under which a workflow may stand. */
export function isWantedKey(key: string): boolean {
  return wanted.has(key.toLowerCase());
}

const wanted: ReadonlySet<string> = new Set([
  'prompt',
  'workflow',
  'comment',
  'usercomment',
  'description',
  '©cmt',
  'extra_pnginfo',
]);
