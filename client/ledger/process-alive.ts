/** Whether a process of this machine lives. */

/** True when it does, whoever's it is. A number that was given out again counts as living: better to wait than to work twice. */
export function isProcessAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
