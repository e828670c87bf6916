// What a child process running the stand-in is told besides ComfyUI's own flags: this module alone reads the environment.
import { type FaultInput, faultScriptSchema } from './faults/fault-schema.ts';
import type { ComfyProfile } from './node-definition.ts';

/** The settings. */
export interface StandInEnvironment {
  readonly profile: ComfyProfile;
  readonly version: string | undefined;
  readonly faults: readonly FaultInput[];
  /** F23: die at start like a ComfyUI whose flags or packages are wrong. */
  readonly startupExitCode: number | undefined;
}

/**
 * Reads SANDBOX_COMFYUI_PROFILE (`baseline` or `late-2026`), SANDBOX_COMFYUI_VERSION, SANDBOX_COMFYUI_FAULTS (a JSON list of
 * faults) and SANDBOX_COMFYUI_STARTUP_EXIT (an exit code). Throws when one of them makes no sense.
 */
export function readStandInEnvironment(env: NodeJS.ProcessEnv): StandInEnvironment {
  const profile = env['SANDBOX_COMFYUI_PROFILE'] ?? 'baseline';
  if (profile !== 'baseline' && profile !== 'late-2026') {
    throw new Error(`SANDBOX_COMFYUI_PROFILE must be baseline or late-2026, not ${profile}`);
  }
  const exit = env['SANDBOX_COMFYUI_STARTUP_EXIT'];
  return {
    profile,
    version: env['SANDBOX_COMFYUI_VERSION'],
    faults: faultScriptSchema.parse(JSON.parse(env['SANDBOX_COMFYUI_FAULTS'] ?? '[]')),
    startupExitCode: exit === undefined ? undefined : Number(exit),
  };
}
