/** Whether a process of this machine lives. */
import { uptime } from 'node:os';

/** Slack for clocks that were set while a process or the machine ran, milliseconds. */
const slackMs = 2_000;

/**
 * True when the process lives that had this number at `since` (milliseconds since 1970), whoever's it is. A number from before the machine was
 * started, or this process's own from before it was, belongs to a process that is gone: containers give the same few numbers to every command.
 * Otherwise a number that was given out again counts as living: better to wait than to work twice.
 */
export function isProcessAlive(processId: number, since: number = Date.now()): boolean {
  if (processId === process.pid) return since >= performance.timeOrigin - slackMs;
  if (since < Date.now() - uptime() * 1_000 - slackMs) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
