/** A finished job for stdout: a path per file, a line per value; or one JSON document. */
import { isAbsolute, relative, sep } from 'node:path';
import type { ResultEnvelope } from '../../../shared/index.ts';
import type { JobTimes } from '../../job-result.ts';
import type { SavedFile } from '../../saving/save-artifacts.ts';
import { oneLine } from '../terminal-text.ts';

/** A path as a person would type it from `folder`. */
export function shownPath(path: string, folder: string): string {
  const near = relative(folder, path);
  if (near === '' || near.startsWith('..') || isAbsolute(near)) return path;
  return `.${sep}${near}`;
}

/** Lines for stdout. */
export function resultText(files: readonly SavedFile[], envelope: ResultEnvelope, folder: string): string {
  const lines = files.map((file) => shownPath(file.path, folder));
  for (const value of envelope.values) {
    lines.push(`${oneLine(`${value.node}.${value.key}`, 80)}\t${JSON.stringify(value.value)}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** The files of a result in the `--json` document. */
export function filesDocument(files: readonly SavedFile[]): object[] {
  return files.map(({ path, artifact }) => ({
    path,
    name: artifact.name,
    node: artifact.node,
    classType: artifact.classType,
    kind: artifact.kind,
    contentType: artifact.contentType,
    size: artifact.size,
    sha256: artifact.sha256,
  }));
}

/** The `--json` document of a job that succeeded. */
export function successDocument(
  jobId: string,
  files: readonly SavedFile[],
  envelope: ResultEnvelope,
  times: JobTimes,
): object {
  return { ok: true, jobId, files: filesDocument(files), values: envelope.values, times, receipt: envelope.receipt };
}
