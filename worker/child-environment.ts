/** Environment of the processes that the worker starts. Beside config.ts the only place of worker/ that reads the process environment. */

/** What belongs between the worker and RunPod: custom nodes run in the child and have no business with it. */
const withheld = /^(RUNPOD_AI_API_KEY|RUNPOD_API_KEY|RUNPOD_WEBHOOK_)/;

/** The worker's own environment without its keys and addresses. */
export function childEnvironment(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Readonly<Record<string, string>> {
  const kept = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !withheld.test(entry[0]),
  );
  return Object.fromEntries(kept);
}
