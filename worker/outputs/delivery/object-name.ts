/** Names of results where others can list them: the job's id and a number, nothing that a caller chose but the kind of file. Pure. */

/** Folder and file name of an artifact. */
export function objectName(jobId: string, index: number, extension: string): readonly [folder: string, file: string] {
  const ending = /^\.[a-z0-9]{1,12}$/.test(extension) ? extension : '.bin';
  return [safeFolder(jobId), `${String(index).padStart(4, '0')}${ending}`];
}

/** A job's id as a folder name. */
export function safeFolder(jobId: string): string {
  return jobId.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 120) || 'job';
}
